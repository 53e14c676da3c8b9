/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX timers, under their old ids.
 *
 * They are made when the threads exist (SIGEV_THREAD_ID names one) and while privileges last (the alarm clocks
 * need CAP_WAKE_ALARM), so in the leader at the start of THREAD_SELF; and armed at the very end. Where the kernel knows
 * PR_TIMER_CREATE_RESTORE_IDS (6.15), an id is asked for. Other kernels count ids up from 0 in each process, so small
 * gaps are filled with timers that are deleted at once: the same program is right on both.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/task/kin.h"
#include "common/task/posix_timer.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON 1
#endif
#define GAPS_MAX 256 /* beyond this many missing ids the kernel must know the prctl */

struct kernel_sigevent { uint64_t value; int32_t signo, notify, tid; int32_t pad[11]; };
_Static_assert(sizeof(struct kernel_sigevent) == 64, "struct sigevent of the kernel");

struct posix_timer_slot {
	const struct proc_timer *timers;
	size_t n;
	struct data_ref *values;
	struct step_ref *overruns;
	struct timer_clocks *clocks;
};

/*
 * Whether a restored process can name the clock: negative ids hold a pid or a descriptor. Pid 0 is whoever makes the timer: it means
 * the same for the restored process, and which of its threads is found out (posix_timer_clock.c). That of another process is found when
 * all tasks are born.
 */
static int check_clock(const struct dump *d, const struct proc_timer *t, struct err *err)
{
	const pid_t pid = clock_pid(t->clock);
	const struct dump_task *its;

	if (t->clock < 0 && (t->clock & CLOCK_KIND) == CLOCK_OF_DEVICE)
		return err_refuse(err, "POSIX timer %d runs on a clock device", t->id);
	if (t->clock >= 0 || !pid)
		return 0;
	for (size_t i = 0; i < d->task->nthreads; i++)
		if (d->task->threads[i].frozen->tid == pid)
			return 0;
	its = dump_find_task(d, pid);
	if (its && its->zombie)
		return err_refuse(err, "POSIX timer %d counts the CPU time of process %d, which is dead", t->id, pid);
	return its ? 0 : err_refuse(err, "POSIX timer %d counts the CPU time of process %d, which is not dumped", t->id, pid);
}

static int look_posix_timer(struct dump *d, struct err *err)
{
	if (d->task->kin & KIN_NO_TIMERS)
		return 0;
	return proc_timers(d->task->proc_fd, d->arena, &d->task->timers, &d->task->ntimers, err);
}

static int ask_posix_timer(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct posix_timer_slot *s = slot;
	int ret;

	s->timers = d->task->timers;
	s->n = d->task->ntimers;
	s->values = arena_alloc(d->arena, s->n * sizeof(*s->values) + 1);
	s->overruns = arena_alloc(d->arena, s->n * sizeof(*s->overruns) + 1);
	for (size_t i = 0; i < s->n; i++) {
		uint64_t id = (uint64_t)s->timers[i].id;

		ret = check_clock(d, &s->timers[i], err);
		if (ret)
			return ret;
		s->values[i] = program_data(prog, NULL, sizeof(struct kernel_itimerspec));
		program_call(prog, 0, "POSIX timer", SYS_timer_gettime, A(id), A_DATA(s->values[i]));
		s->overruns[i] = program_call(prog, 0, "POSIX timer", SYS_timer_getoverrun, A(id));
	}
	return timer_clocks_ask(d, prog, &s->clocks, err);
}

static int dump_posix_timer(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			    struct err *err)
{
	const struct posix_timer_slot *s = slot;
	TaskCoreEntry *tc = task_core(d);
	TaskTimersEntry *out;
	int ret;

	if (!tc->timers)
		tc->timers = arena_msg(d->arena, TaskTimersEntry, task_timers_entry__init);
	out = tc->timers;
	if (!s->n)
		return 0;
	ret = timer_clocks_find(d, prog, s->clocks, err);
	if (ret)
		return ret;
	out->posix = arena_alloc(d->arena, s->n * sizeof(*out->posix));
	for (size_t i = 0; i < s->n; i++) {
		const struct proc_timer *t = &s->timers[i];
		const struct kernel_itimerspec *k = program_answer(prog, s->values[i]);
		PosixTimerEntry *e = arena_msg(d->arena, PosixTimerEntry, posix_timer_entry__init);

		e->it_id = (uint32_t)t->id;
		e->clock_id = (uint32_t)timer_clocks_name(d, s->clocks, i);
		e->si_signo = (uint32_t)t->signo;
		e->it_sigev_notify = (uint32_t)t->notify;
		e->sival_ptr = t->sigev_value;
		e->overrun = (uint32_t)program_result(prog, s->overruns[i]);
		e->isec = (uint64_t)k->isec;
		e->insec = (uint64_t)k->insec;
		e->vsec = (uint64_t)k->vsec;
		e->vnsec = (uint64_t)k->vnsec;
		if (t->notify & SIGEV_THREAD_ID) {
			e->has_notify_thread_id = true;
			e->notify_thread_id = t->notify_tid;
		}
		out->posix[out->n_posix++] = e;
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const PosixTimerEntry *x = *(PosixTimerEntry *const *)a, *y = *(PosixTimerEntry *const *)b;

	return x->it_id < y->it_id ? -1 : x->it_id > y->it_id;
}

static int check_entry(const PosixTimerEntry *e, const struct model_task *task, struct err *err)
{
	if (e->it_id > INT32_MAX)
		return err_image(err, "POSIX timer with id %u", e->it_id);
	if (e->insec > 999999999 || e->vnsec > 999999999 || e->isec > INT64_MAX || e->vsec > INT64_MAX)
		return err_image(err, "POSIX timer %u: invalid time", e->it_id);
	if (!(e->it_sigev_notify & SIGEV_THREAD_ID))
		return 0;
	for (size_t i = 0; e->has_notify_thread_id && i < task->nthreads; i++)
		if (task->threads[i].tid == e->notify_thread_id)
			return 0;
	return err_image(err, "POSIX timer %u notifies a thread that is not in the images", e->it_id);
}

static void plan_create(struct program *prog, uint32_t id, uint32_t clock, const struct kernel_sigevent *ev, bool keep)
{
	struct data_ref event = program_data(prog, ev, sizeof(*ev)), idp = program_data(prog, &id, sizeof(id));

	program_call(prog, THREAD_SELF, keep ? "POSIX timer" : "skip a timer id", SYS_timer_create,
		     A((uint64_t)(int64_t)(int32_t)clock), A_DATA(event), A_DATA(idp));
	if (!keep)
		program_call(prog, THREAD_SELF, "skip a timer id", SYS_timer_delete, A(id));
}

static void plan_make(struct program *prog, PosixTimerEntry **v, size_t n)
{
	static const struct kernel_sigevent none = { .notify = SIGEV_NONE };
	bool fill = v[n - 1]->it_id - (n - 1) <= GAPS_MAX;
	uint32_t next = 0;

	program_add(prog, THREAD_SELF, "timer ids", fill ? EXPECT_ANY : EXPECT_OK, 0, SYS_prctl,
		    PROGRAM_ARGS(A(PR_TIMER_CREATE_RESTORE_IDS), A(PR_TIMER_CREATE_RESTORE_IDS_ON)));
	for (size_t i = 0; i < n; i++) {
		const PosixTimerEntry *e = v[i];
		struct kernel_sigevent ev = {
			.value = e->sival_ptr,
			.signo = (int32_t)e->si_signo,
			.notify = (int32_t)e->it_sigev_notify,
			.tid = e->has_notify_thread_id ? e->notify_thread_id : 0,
		};

		for (; fill && next < e->it_id; next++)
			plan_create(prog, next, CLOCK_MONOTONIC, &none, false);
		plan_create(prog, e->it_id, e->clock_id, &ev, true);
		next = e->it_id + 1;
	}
	program_add(prog, THREAD_SELF, "timer ids", fill ? EXPECT_ANY : EXPECT_OK, 0, SYS_prctl,
		    PROGRAM_ARGS(A(PR_TIMER_CREATE_RESTORE_IDS), A(PR_TIMER_CREATE_RESTORE_IDS_OFF)));
}

static int plan_posix_timer(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskTimersEntry *t = thread->core->tc->timers;
	PosixTimerEntry **v;

	if (!t || !t->n_posix)
		return 0;
	v = arena_dup(plan->arena, t->posix, t->n_posix * sizeof(*v));
	qsort(v, t->n_posix, sizeof(*v), by_id);
	for (size_t i = 0; i < t->n_posix; i++) {
		int ret = check_entry(v[i], task, err);

		if (ret)
			return ret;
		if (i && v[i]->it_id == v[i - 1]->it_id)
			return err_image(err, "POSIX timer %u is there twice", v[i]->it_id);
	}
	plan_make(pth->prog, v, t->n_posix);
	for (size_t i = 0; i < t->n_posix; i++) {
		struct kernel_itimerspec k = {
			(int64_t)v[i]->isec, (int64_t)v[i]->insec, (int64_t)v[i]->vsec, (int64_t)v[i]->vnsec,
		};

		/* A disarmed timer too: this proves that its id is the right one. */
		program_call(pth->prog, TASK_TIMERS, "POSIX timer", SYS_timer_settime, A(v[i]->it_id), A(0),
			     A_DATA(program_data(pth->prog, &k, sizeof(k))), A(0));
	}
	return 0;
}

const struct state_kind posix_timer_kind = {
	.name = "POSIX timers",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct posix_timer_slot),
	.look = look_posix_timer,
	.ask = ask_posix_timer,
	.dump = dump_posix_timer,
	.plan = plan_posix_timer,
};
