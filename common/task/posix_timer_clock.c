/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that a POSIX timer counts. Nobody tells it, but while all threads stand still a timer does: armed for a time of its clock
 * that is far away (TIMER_ABSTIME), it says how long that takes, and so where its clock stands; and the thread whose clock stands there, to
 * the nanosecond, is the one. Then it gets back what it had. The agent does this in one program, which it finishes whatever becomes of
 * us. The clock of a thread is told only to its own process (kernel/time/posix-cpu-timers.c, pid_for_clock()): the agent asks for it, too.
 *
 * The thread that the agent runs in is the only one whose clock goes on meanwhile, and a timer of which two readings differ is its own.
 * Armed ones show that before they are touched, and are not touched then: they might go off in between. Those of the others cannot go
 * off. But a signal that a timer has sent and nobody has taken is lost when it is armed anew (kernel/time/posix-timers.c,
 * __posixtimer_deliver_signal(), Linux 6.13), and a program that is busy and profiled has such a timer half of the time: the tick that
 * makes it go off also gives the processor to us. So such a timer is left alone, and read twice by one thread after the other, that which
 * is to get its signal first, until the readings differ. So is one whose clock stands where those of several threads do, as they may among
 * a thousand that have just begun.
 */
#include "common/task/posix_timer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#define FAR_S 1000000000 /* of processor time: thirty years */
#define NS_PER_S 1000000000
#define PEEK_BATCH 16

/* One timer: what it said in the first program (twice), what it had, and what it said when it was armed for FAR_S (twice). */
struct asked {
	const struct proc_timer *t;
	struct data_ref first[2], had, then[2];
	struct step_ref armed, again;
	bool touched;
	bool waits; /* its signal does: it must not be armed */
	bool several; /* threads have a clock that stands where its does, */
	uint64_t ns; /* here */
	bool off; /* it is not armed */
	pid_t tid; /* which it is */
};

struct timer_clocks {
	struct asked *v; /* in the order of d->task->timers */
	size_t n;
	bool any; /* of them has such a clock */
	struct data_ref *at; /* clocks of the other threads */
	struct thread_clock *threads;
	size_t nthreads;
	struct data_ref own[2]; /* that of the thread which the agent runs in, before and after the second program */
};

/* More than the second program needs for a timer: it runs where there is room for the first one. */
#define ROOM (4 * sizeof(struct agent_step) + 4 * sizeof(struct kernel_itimerspec))

static bool same_time(const struct kernel_itimerspec *a, const struct kernel_itimerspec *b)
{
	return a->vsec == b->vsec && a->vnsec == b->vnsec;
}

static const char note[] = "POSIX timer, for its clock";

/* No step here may end a program early: what comes after gives the timer back what it had. */
static struct data_ref add_gettime(struct program *prog, const struct proc_timer *t)
{
	const struct data_ref out = program_data(prog, NULL, sizeof(struct kernel_itimerspec));

	program_try(prog, 0, note, SYS_timer_gettime, A((uint64_t)t->id), A_DATA(out));
	return out;
}

static struct data_ref add_clock(struct program *prog, pid_t tid)
{
	const struct data_ref out = program_data(prog, NULL, sizeof(struct timespec));

	program_try(prog, 0, "CPU time of a thread", SYS_clock_gettime, A((uint64_t)(int64_t)clock_of_thread(tid)), A_DATA(out));
	return out;
}

int timer_clocks_ask(struct dump *d, struct program *prog, struct timer_clocks **out, struct err *err)
{
	const struct dump_task *task = d->task;
	struct timer_clocks *c = *out = arena_alloc(d->arena, sizeof(*c));

	c->n = task->nthreads > 1 ? task->ntimers : 0;
	c->v = arena_alloc(d->arena, c->n * sizeof(*c->v) + 1);
	for (size_t i = 0; i < c->n; i++) {
		const struct proc_timer *t = &task->timers[i];

		if (!clock_is_makers(t->clock))
			continue;
		if (t->clock < 0 && (t->clock & CLOCK_WHICH) != CLOCK_OF_SCHEDULER)
			return err_refuse(err, "POSIX timer %d counts the CPU time of one of %zu threads in ticks: many may have as many",
					  t->id, task->nthreads);
		c->v[i].t = t;
		c->v[i].first[0] = add_gettime(prog, t);
		c->v[i].first[1] = add_gettime(prog, t);
		program_data(prog, NULL, ROOM);
		c->any = true;
	}
	if (!c->any)
		return 0;
	c->at = arena_alloc(d->arena, task->nthreads * sizeof(*c->at));
	c->threads = arena_alloc(d->arena, task->nthreads * sizeof(*c->threads));
	for (size_t i = 0; i < task->nthreads; i++) {
		if (task->threads[i].frozen->dead || task->threads[i].frozen->tid == task->tid)
			continue;
		c->threads[c->nthreads].tid = task->threads[i].frozen->tid;
		c->at[c->nthreads++] = add_clock(prog, task->threads[i].frozen->tid);
	}
	/* Of no timer: what a seccomp filter says to the call has to be known before (common/task/seccomp.c). */
	program_try(prog, 0, note, SYS_timer_settime, A(UINT64_MAX), A(0), A(0), A(0));
	return 0;
}

/* ---- what must not be touched ---- */

/* 1: a signal of the timer waits to be taken. */
static int is_pending(const struct dump_task *task, const struct proc_timer *t, struct err *err)
{
	const bool shared = !(t->notify & SIGEV_THREAD_ID);
	const pid_t tid = shared ? task->tid : t->notify_tid;
	siginfo_t si[PEEK_BATCH];
	uint64_t seen = 0;
	long n;

	if (t->notify & SIGEV_NONE)
		return 0;
	do {
		struct __ptrace_peeksiginfo_args args = { seen, shared ? PTRACE_PEEKSIGINFO_SHARED : 0, PEEK_BATCH };

		n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, si);
		if (n < 0)
			return err_sys(err, "cannot read the pending signals of thread %d", tid);
		for (long i = 0; i < n; i++)
			if (si[i].si_code == SI_TIMER && si[i].si_timerid == t->id)
				return 1;
		seen += (uint64_t)n;
	} while (n == PEEK_BATCH);
	return 0;
}

/* ---- the second program ---- */

/* Armed for a far time, read twice, and given back what it had. */
static void add_timer(struct program *prog, struct data_ref far, const struct kernel_itimerspec *now, struct asked *a)
{
	const struct arg id = A((uint64_t)a->t->id);

	/* What it has is put there by the kernel, or is known, should the first call fail. */
	a->had = program_data(prog, now, sizeof(*now));
	a->armed = program_try(prog, 0, note, SYS_timer_settime, id, A(TIMER_ABSTIME), A_DATA(far), A_DATA(a->had));
	a->then[0] = add_gettime(prog, a->t);
	a->then[1] = add_gettime(prog, a->t);
	a->again = program_try(prog, 0, note, SYS_timer_settime, id, A(0), A_DATA(a->had), A(0));
}

static struct data_ref add_far(struct program *prog)
{
	return program_data(prog, &(struct kernel_itimerspec){ .vsec = FAR_S }, sizeof(struct kernel_itimerspec));
}

static int ask_again(struct dump *d, const struct program *first, struct timer_clocks *c, struct program *prog, struct err *err)
{
	const struct data_ref far = add_far(prog);
	size_t n = 0;

	c->own[0] = add_clock(prog, d->task->tid);
	for (size_t i = 0; i < c->n; i++) {
		struct asked *a = &c->v[i];
		int ret;

		if (!a->t)
			continue;
		const struct kernel_itimerspec *now = program_answer(first, a->first[0]);

		a->off = !now->vsec && !now->vnsec;
		if (!same_time(now, program_answer(first, a->first[1]))) {
			a->tid = d->task->tid;
			continue;
		}
		ret = is_pending(d->task, a->t, err);
		if (ret < 0)
			return ret;
		a->waits = ret;
		if (a->waits)
			continue;
		add_timer(prog, far, now, a);
		a->touched = true;
		n++;
	}
	if (!n)
		return 0;
	c->own[1] = add_clock(prog, d->task->tid);
	remote_prepare(d->task->remote, prog, true);
	return remote_run(d->task->remote, prog, err);
}

/* ---- whose is it? ---- */

const struct thread_clock *timer_clock_owner(const struct thread_clock *v, size_t n, uint64_t ns, const struct thread_clock **second)
{
	const struct thread_clock *found = NULL;

	*second = NULL;
	for (size_t i = 0; i < n; i++) {
		if (v[i].ns != ns)
			continue;
		if (found) {
			*second = &v[i];
			return NULL;
		}
		found = &v[i];
	}
	return found;
}

static uint64_t clock_answer(const struct program *prog, struct data_ref at)
{
	const struct timespec *ts = program_answer(prog, at);

	return (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

static int find_owner(const struct dump *d, const struct program *prog, const struct timer_clocks *c, struct asked *a, struct err *err)
{
	const struct kernel_itimerspec *then = program_answer(prog, a->then[0]);
	const int64_t armed = program_result(prog, a->armed), again = program_result(prog, a->again);
	const struct thread_clock *its, *second;

	if (armed == -ESRCH)
		return err_refuse(err, "POSIX timer %d counts the CPU time of a thread that has ended", a->t->id);
	if (armed < 0 || again < 0)
		return err_set(err, ERR_FAILED, (int)-MIN(armed, again), "POSIX timer %d cannot be asked for its clock", a->t->id);
	if (!same_time(then, program_answer(prog, a->then[1]))) {
		a->tid = d->task->tid;
		return 0;
	}
	const uint64_t ns = (uint64_t)((FAR_S - then->vsec) * NS_PER_S - then->vnsec);

	its = timer_clock_owner(c->threads, c->nthreads, ns, &second);
	/* A clock that is too coarse to be seen moving. */
	if (its && ns >= clock_answer(prog, c->own[0]) && ns <= clock_answer(prog, c->own[1]))
		second = its;
	a->ns = ns;
	a->several = second != NULL;
	if (second)
		return 0;
	if (!its)
		return err_refuse(err, "POSIX timer %d counts the CPU time of a thread, and of none that lives", a->t->id);
	a->tid = its->tid;
	return 0;
}

/* ---- one thread after the other ---- */

struct turn { size_t thread; const struct program *prog; const struct asked *a; bool moves; };

static bool is_its_turn(void *ctx, size_t thread)
{
	const struct turn *turn = ctx;

	return thread == turn->thread;
}

static int compare_readings(void *ctx, size_t thread, struct err *err)
{
	struct turn *t = ctx;

	t->moves = !same_time(program_answer(t->prog, t->a->then[0]), program_answer(t->prog, t->a->then[1]));
	return 0;
}

/* Whether the timer moves while this thread runs. */
static int read_in(struct dump *d, struct asked *a, size_t thread, struct err *err)
{
	const struct dump_thread *its = &d->task->threads[thread];
	cleanup_program struct program *prog = program_new();
	struct turn turn = { .thread = thread, .prog = prog, .a = a };
	const struct remote_done done = { is_its_turn, compare_readings, &turn };
	int ret;

	/* What a filter would say to it, nobody has asked. */
	if (its->frozen->dead || its->frozen->tid == d->task->tid || its->status.seccomp)
		return 0;
	/* One that is not armed does not move; and before that far time it does not go off. */
	if (a->off && !a->waits) {
		add_timer(prog, add_far(prog), &(struct kernel_itimerspec){ 0 }, a);
	} else {
		a->then[0] = add_gettime(prog, a->t);
		a->then[1] = add_gettime(prog, a->t);
	}
	remote_prepare(d->task->remote, prog, false);
	ret = remote_run_others(d->task->remote, prog, &done, err);
	if (!ret && turn.moves)
		a->tid = its->frozen->tid;
	return ret;
}

/* Whether it may be this thread's, by what the clocks were. */
static bool may_be(const struct timer_clocks *c, const struct asked *a, pid_t tid)
{
	if (a->waits)
		return true;
	for (size_t i = 0; i < c->nthreads; i++)
		if (c->threads[i].tid == tid)
			return c->threads[i].ns == a->ns;
	return false;
}

static int find_by_turns(struct dump *d, const struct timer_clocks *c, struct asked *a, struct err *err)
{
	const struct dump_task *task = d->task;
	int ret = 0;

	for (int guess = 1; guess >= 0; guess--)
		for (size_t i = 0; i < task->nthreads && !ret && !a->tid; i++) {
			const pid_t tid = task->threads[i].frozen->tid;

			if ((tid == a->t->notify_tid) == guess && may_be(c, a, tid))
				ret = read_in(d, a, i, err);
		}
	if (ret || a->tid)
		return ret;
	ret = err_refuse(err, "POSIX timer %d counts the CPU time of one of %zu threads, and does not tell which%s", a->t->id,
			 task->nthreads, a->waits ? " while its signal waits" : ": several have used as much");
	return err_hint(err, ret, a->waits ? "let the program take its signal, and try again" : "try again when they have run");
}

int timer_clocks_find(struct dump *d, const struct program *first, struct timer_clocks *c, struct err *err)
{
	cleanup_program struct program *prog = program_new();
	int ret;

	if (!c->any)
		return 0;
	for (size_t i = 0; i < c->nthreads; i++)
		c->threads[i].ns = clock_answer(first, c->at[i]);
	ret = ask_again(d, first, c, prog, err);
	for (size_t i = 0; i < c->n && !ret; i++)
		if (c->v[i].touched)
			ret = find_owner(d, prog, c, &c->v[i], err);
	/* Last: clocks go on. */
	for (size_t i = 0; i < c->n && !ret; i++)
		if (c->v[i].waits || c->v[i].several)
			ret = find_by_turns(d, c, &c->v[i], err);
	return ret;
}

int timer_clocks_name(const struct dump *d, const struct timer_clocks *c, size_t timer)
{
	const struct dump_task *task = d->task;
	const pid_t tid = timer < c->n ? c->v[timer].tid : 0;

	return tid && tid != task->pid ? clock_of_thread(tid) : task->timers[timer].clock;
}
