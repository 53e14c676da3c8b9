/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core images: what must be there, array lengths, ranges. What only one state kind understands is left to its plan. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "common/arch/arch.h"
#include "common/restore/verify.h"
#include "common/task/cgroup.h"
#include "common/task/seccomp.h"
#include "common/task/dead.h"

#define GROUPS_MAX 65536u /* include/uapi/linux/limits.h: NGROUPS_MAX */
#define SIGNALS 64u
#define COMM_MAX 15u
#define QUEUE_MAX (1u << 20)
enum { TASK_ALIVE = 1, TASK_DEAD = 2, TASK_STOPPED = 3 };

static int check_itimer(const ItimerEntry *t, const char *name, const struct where *at, struct err *err)
{
	if (t->iusec > 999999 || t->isec > INT64_MAX)
		return bad_image(err, at, "interval of the %s timer: %lu s %lu us", name, t->isec, t->iusec);
	if (t->vusec > 999999 || t->vsec > INT64_MAX)
		return bad_image(err, at, "value of the %s timer: %lu s %lu us", name, t->vsec, t->vusec);
	return 0;
}

static int by_timer_id(const void *a, const void *b)
{
	uint32_t x = (*(PosixTimerEntry *const *)a)->it_id, y = (*(PosixTimerEntry *const *)b)->it_id;

	return x < y ? -1 : x > y;
}

static int check_posix_timers(const struct model_task *t, const TaskTimersEntry *timers, const struct where *at,
			      struct err *err)
{
	cleanup_free PosixTimerEntry **sorted = NULL;

	for (size_t i = 0; i < timers->n_posix; i++) {
		const PosixTimerEntry *p = timers->posix[i];
		bool found = p->it_sigev_notify != SIGEV_THREAD_ID;

		if (p->it_id > INT32_MAX)
			return bad_image(err, at, "POSIX timer %u: the id is out of range", p->it_id);
		if (p->it_sigev_notify > 4 || p->it_sigev_notify == 3)
			return bad_image(err, at, "POSIX timer %u: unknown notification %u", p->it_id,
					 p->it_sigev_notify);
		if (p->it_sigev_notify != SIGEV_NONE && (p->si_signo == 0 || p->si_signo > SIGNALS))
			return bad_image(err, at, "POSIX timer %u: signal %u", p->it_id, p->si_signo);
		if (p->insec > 999999999 || p->vnsec > 999999999 || p->isec > INT64_MAX || p->vsec > INT64_MAX)
			return bad_image(err, at, "POSIX timer %u: a time is out of range", p->it_id);
		for (size_t k = 0; !found && k < t->nthreads; k++)
			found = t->threads[k].tid == p->notify_thread_id;
		if (!found)
			return bad_image(err, at, "POSIX timer %u signals thread %d, which is not in the task",
					 p->it_id, p->notify_thread_id);
	}
	if (!timers->n_posix)
		return 0;
	sorted = xreallocarray(NULL, timers->n_posix, sizeof(*sorted));
	memcpy(sorted, timers->posix, timers->n_posix * sizeof(*sorted));
	qsort(sorted, timers->n_posix, sizeof(*sorted), by_timer_id);
	for (size_t i = 1; i < timers->n_posix; i++)
		if (sorted[i]->it_id == sorted[i - 1]->it_id)
			return bad_image(err, at, "POSIX timer %u is there twice", sorted[i]->it_id);
	return 0;
}

static int check_timers(const struct model_task *t, const TaskTimersEntry *timers, const struct where *at,
			struct err *err)
{
	int ret = check_itimer(timers->real, "real", at, err);

	if (!ret)
		ret = check_itimer(timers->virt, "virtual", at, err);
	if (!ret)
		ret = check_itimer(timers->prof, "profiling", at, err);
	return ret ? ret : check_posix_timers(t, timers, at, err);
}

static int check_queue(const SignalQueueEntry *q, const struct where *at, struct err *err)
{
	if (!q)
		return 0;
	if (q->n_signals > QUEUE_MAX)
		return bad_image(err, at, "%zu pending signals", q->n_signals);
	for (size_t i = 0; i < q->n_signals; i++) {
		int signo;

		if (q->signals[i]->siginfo.len != sizeof(siginfo_t))
			return bad_image(err, at, "pending signal %zu has %zu bytes, not %zu", i,
					 q->signals[i]->siginfo.len, sizeof(siginfo_t));
		memcpy(&signo, q->signals[i]->siginfo.data, sizeof(signo));
		if (signo < 1 || signo > (int)SIGNALS)
			return bad_image(err, at, "pending signal %zu has number %d", i, signo);
	}
	return 0;
}

static int check_creds(const CredsEntry *c, const struct where *at, struct err *err)
{
	if (c->n_cap_inh != 2 || c->n_cap_prm != 2 || c->n_cap_eff != 2 || c->n_cap_bnd != 2 ||
	    (c->n_cap_amb != 2 && c->n_cap_amb != 0))
		return bad_image(err, at, "a capability set has not two words");
	if (c->n_groups > GROUPS_MAX)
		return bad_image(err, at, "%zu supplementary groups", c->n_groups);
	if (c->lsm_profile && c->lsm_profile[0])
		return cannot_restore(err, at, "the security label \"%.100s\" cannot be restored", c->lsm_profile);
	if (c->lsm_sockcreate && c->lsm_sockcreate[0])
		return cannot_restore(err, at, "the security label \"%.100s\" for sockets cannot be restored",
				      c->lsm_sockcreate);
	return 0;
}

static int check_sched(const ThreadCoreEntry *c, const struct where *at, struct err *err)
{
	uint32_t policy = c->has_sched_policy ? c->sched_policy & ~0x40000000u /* SCHED_RESET_ON_FORK */ : 0;
	uint32_t prio = c->has_sched_prio ? c->sched_prio : 0;
	bool realtime = policy == 1 || policy == 2; /* SCHED_FIFO, SCHED_RR */

	if (policy > 7 || policy == 4)
		return bad_image(err, at, "scheduling policy %u is not known", policy);
	if (realtime ? prio < 1 || prio > 99 : prio != 0)
		return bad_image(err, at, "priority %u does not fit scheduling policy %u", prio, policy);
	if (c->has_sched_nice && (c->sched_nice < -20 || c->sched_nice > 19))
		return bad_image(err, at, "nice value %d", c->sched_nice);
	return 0;
}

static int check_thread(const struct model *m, const struct model_thread *th, const struct where *at, struct err *err)
{
	const ThreadCoreEntry *c = th->core->thread_core;
	const char *why;
	int ret;

	if (!c)
		return bad_image(err, at, "thread_core is missing");
	if (!c->creds)
		return bad_image(err, at, "credentials are missing");
	if (c->comm && strlen(c->comm) > COMM_MAX)
		return bad_image(err, at, "the thread's name is longer than %u bytes", COMM_MAX);
	if (c->has_pdeath_sig && c->pdeath_sig > SIGNALS)
		return bad_image(err, at, "parent death signal %u", c->pdeath_sig);
	if (seccomp_verify(m, c, &why))
		return bad_image(err, at, "%s", why);
	if (c->has_affinity && (c->affinity.len == 0 || c->affinity.len > 1024))
		return bad_image(err, at, "an affinity mask of %zu bytes", c->affinity.len);
	if (c->restart && (c->restart->n_args > 6 || c->restart->nr > 4096))
		return bad_image(err, at, "the call to be restarted has number %u and %zu arguments", c->restart->nr,
				 c->restart->n_args);
	if (cgroup_verify(m, th, &why))
		return bad_image(err, at, "%s", why);
	ret = check_creds(c->creds, at, err);
	if (!ret)
		ret = check_sched(c, at, err);
	if (!ret)
		ret = check_queue(c->signals_p, at, err);
	return ret;
}

static int check_tc(const struct model_task *t, const TaskCoreEntry *tc, const struct where *at, struct err *err)
{
	if (tc->task_state == TASK_DEAD)
		return bad_image(err, at, "the process tree and the task's state disagree on whether it lives");
	if (tc->task_state != TASK_ALIVE && tc->task_state != TASK_STOPPED)
		return bad_image(err, at, "task state %u is not known", tc->task_state);
	if (tc->has_stop_signo && tc->task_state == TASK_STOPPED && tc->stop_signo != SIGSTOP &&
	    tc->stop_signo != SIGTSTP && tc->stop_signo != SIGTTIN && tc->stop_signo != SIGTTOU)
		return bad_image(err, at, "signal %u does not stop a task", tc->stop_signo);
	if (strlen(tc->comm) > COMM_MAX)
		return bad_image(err, at, "the task's name is longer than %u bytes", COMM_MAX);
	if (tc->has_exit_signal && tc->exit_signal > SIGNALS)
		return bad_image(err, at, "%u is no signal", tc->exit_signal);
	if (!tc->timers || !tc->rlimits)
		return bad_image(err, at, "%s are missing: this layout is too old",
				 tc->timers ? "resource limits" : "timers");
	if (tc->rlimits->n_rlimits != RLIM_NLIMITS)
		return bad_image(err, at, "%zu resource limits, not %d", tc->rlimits->n_rlimits, RLIM_NLIMITS);
	if (tc->n_sigactions != SIGNALS - 2)
		return bad_image(err, at, "%zu signal dispositions, not %u", tc->n_sigactions, SIGNALS - 2);
	for (size_t i = 0; i < tc->n_sigactions; i++)
		if (tc->sigactions[i]->has_compat_sigaction && tc->sigactions[i]->compat_sigaction)
			return cannot_restore(err, at, "signal handlers of a 32-bit program cannot be restored");
	if (tc->has_oom_score_adj && (tc->oom_score_adj < -1000 || tc->oom_score_adj > 1000))
		return bad_image(err, at, "oom_score_adj is %d", tc->oom_score_adj);
	if (tc->has_old_seccomp_mode && tc->old_seccomp_mode)
		return cannot_restore(err, at, "seccomp is on, which cannot be restored");
	return check_timers(t, tc->timers, at, err) ?: check_queue(tc->signals_s, at, err);
}

/* A wait status: an exit code, or a signal that kills. */
static int check_zombie(const struct model_thread *th, struct err *err)
{
	const struct where *at = AT(CORE, (unsigned long)th->tid, 0);
	const TaskCoreEntry *tc = th->core->tc;

	if (!tc || tc->task_state != TASK_DEAD)
		return bad_image(err, at, "the process tree and the task's state disagree on whether it lives");
	if (tc->exit_code & ~0xffffu || (tc->exit_code & 0x7f && tc->exit_code >> 8) || (tc->exit_code & 0x7f) > SIGNALS)
		return bad_image(err, at, "0x%x is no exit status", tc->exit_code);
	if (tc->has_exit_signal && tc->exit_signal > SIGNALS)
		return bad_image(err, at, "%u is no signal", tc->exit_signal);
	if (strlen(tc->comm) > COMM_MAX)
		return bad_image(err, at, "the task's name is longer than %u bytes", COMM_MAX);
	return dead_verify(tc) ? bad_image(err, at, "a zombie with %s", dead_verify(tc)) : 0;
}

static int decode_error(const struct model_thread *th, struct err *err)
{
	cleanup_arena struct arena *scratch = arena_new();
	struct arch_regs regs;
	struct arch_fpu fpu;

	return arch_core_decode(th->core, scratch, &regs, &fpu, err);
}

int verify_core(const struct model *m, const struct model_task *t, struct err *err)
{
	if (t->zombie)
		return check_zombie(&t->threads[0], err);

	for (size_t i = 0; i < t->nthreads; i++) {
		const struct model_thread *th = &t->threads[i];
		const struct where *at = AT(CORE, (unsigned long)th->tid, 0);
		int ret = 0;

		if (i == 0 && !th->core->tc)
			return bad_image(err, at, "the task's state (tc) is missing");
		if (i && (th->core->tc || th->core->ids))
			return bad_image(err, at, "thread %d has fields of a whole task", th->tid);
		if (i == 0)
			ret = check_tc(t, th->core->tc, at, err);
		if (!ret)
			ret = check_thread(m, th, at, err);
		if (ret)
			return ret;
		ret = th->decoded ? 0 : decode_error(th, err);
		if (ret)
			return err_object(err, ret, "core-%d.img: entry 0", th->tid);
	}
	return 0;
}
