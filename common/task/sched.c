/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scheduling policy, priority, nice value. v1.1 holds policy, priority and nice; deadline parameters, a slice
 * of one's own and utilisation clamps go into our sched_attr field, when they are not the default.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define POLICY_DEADLINE 6
#define RESET_ON_FORK 0x40000000u     /* SCHED_RESET_ON_FORK in a policy word */
#define FLAG_RESET_ON_FORK 1u	      /* SCHED_FLAG_RESET_ON_FORK */
#define FLAG_UTIL_CLAMP 0x60u	      /* SCHED_FLAG_UTIL_CLAMP_MIN and _MAX */
#define UTIL_MAX 1024u

/* struct sched_attr of the kernel, version 1 */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct attr) == 56, "SCHED_ATTR_SIZE_VER1");

static bool is_rt(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool is_fair(uint32_t policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/* What v1.1 cannot say. An ordinary task differs from us (started with defaults) in none of it. */
static bool has_more(struct dump *d, const struct attr *a)
{
	static const char key;
	bool fresh;
	struct attr *mine = dump_recall(d, &key, sizeof(*mine), &fresh), own;

	if (fresh) {
		mine->size = sizeof(*mine);
		if (syscall(SYS_sched_getattr, 0, mine, sizeof(*mine), 0) < 0)
			mine->size = 0;
	}
	own = *mine;
	if (a->policy == POLICY_DEADLINE || a->flags & ~(uint64_t)FLAG_RESET_ON_FORK)
		return true;
	if (!own.size)
		return false;
	if (is_fair(a->policy) && is_fair(own.policy) && a->runtime != own.runtime)
		return true;
	if (is_rt(a->policy) && a->util_min == UTIL_MAX && a->util_max == UTIL_MAX)
		return false; /* real-time tasks are born with this */
	return a->util_min != own.util_min || a->util_max != own.util_max;
}

static int dump_sched(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		      struct err *err)
{
	ThreadCoreEntry *tcore = task_thread_core(d, thread);
	struct attr a = { .size = sizeof(a) };
	pid_t tid = thread->frozen->tid;
	int nice;

	if (syscall(SYS_sched_getattr, tid, &a, sizeof(a), 0) < 0)
		return err_sys(err, "cannot read the scheduling policy of thread %d", tid);
	errno = 0;
	nice = getpriority(PRIO_PROCESS, (id_t)tid);
	if (nice == -1 && errno)
		return err_sys(err, "cannot read the nice value of thread %d", tid);
	tcore->has_sched_nice = tcore->has_sched_policy = true;
	tcore->sched_nice = nice;
	tcore->sched_policy = a.policy | (a.flags & FLAG_RESET_ON_FORK ? RESET_ON_FORK : 0);
	if (is_rt(a.policy)) {
		tcore->has_sched_prio = true;
		tcore->sched_prio = a.priority;
	}
	if (has_more(d, &a)) {
		SchedAttrEntry *e = arena_msg(d->arena, SchedAttrEntry, sched_attr_entry__init);

		e->has_flags = e->has_runtime = e->has_deadline = e->has_period = true;
		e->has_util_min = e->has_util_max = true;
		e->flags = a.flags & ~(uint64_t)FLAG_RESET_ON_FORK;
		e->runtime = a.runtime;
		e->deadline = a.deadline;
		e->period = a.period;
		e->util_min = a.util_min;
		e->util_max = a.util_max;
		tcore->sched_attr = e;
	}
	return 0;
}

/* A thread is born with the policy and nice value of its maker, when those are given by one call and nothing resets them then. */
static bool inherits(const ThreadCoreEntry *leader)
{
	return leader->has_sched_policy && (leader->sched_policy == SCHED_OTHER || leader->sched_policy == SCHED_BATCH) &&
	       !leader->sched_attr;
}

static bool same_as(const ThreadCoreEntry *a, const ThreadCoreEntry *b)
{
	return a->has_sched_policy && a->sched_policy == b->sched_policy && !a->sched_attr &&
	       (a->has_sched_nice ? a->sched_nice : 0) == (b->has_sched_nice ? b->sched_nice : 0);
}

static int plan_sched(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core, *leader = task->threads[0].core->thread_core;
	int phase = tcore == leader && inherits(leader) ? TASK_ALIKE : THREAD_SELF;
	const SchedAttrEntry *e = tcore->sched_attr;
	struct attr a = { .size = sizeof(a) };
	bool rt;

	if (!tcore->has_sched_policy || (tcore != leader && inherits(leader) && same_as(tcore, leader)))
		return 0;
	a.policy = tcore->sched_policy & ~RESET_ON_FORK;
	a.flags = tcore->sched_policy & RESET_ON_FORK ? FLAG_RESET_ON_FORK : 0;
	a.nice = tcore->has_sched_nice ? tcore->sched_nice : 0;
	a.priority = tcore->has_sched_prio ? tcore->sched_prio : 0;
	rt = is_rt(a.policy);
	if (a.nice < -20 || a.nice > 19 || (rt ? a.priority < 1 || a.priority > 99 : a.priority != 0))
		return err_image(err, "thread %d: policy %u, priority %u and nice %d do not go together", pth->tid,
				 a.policy, a.priority, a.nice);
	if (e) {
		a.flags |= e->flags;
		a.runtime = e->runtime;
		a.deadline = e->deadline;
		a.period = e->period;
		if (e->has_util_max && e->util_max) {
			a.flags |= FLAG_UTIL_CLAMP;
			a.util_min = e->util_min;
			a.util_max = e->util_max;
		}
	} else if (a.policy == POLICY_DEADLINE) {
		return err_image(err, "thread %d: deadline policy without its parameters", pth->tid);
	}
	/* The others keep a nice value for later, which sched_setattr() does not take from them (kernel/sched/sched.h, fair_policy()). */
	if (a.policy != SCHED_OTHER && a.policy != SCHED_BATCH && tcore->has_sched_nice)
		program_call(pth->prog, THREAD_SELF, "nice value", SYS_setpriority, A(PRIO_PROCESS), A(0),
			     A((uint64_t)(int64_t)a.nice));
	program_call(pth->prog, phase, "scheduling policy", SYS_sched_setattr, A(0),
		     A_DATA(program_data(pth->prog, &a, sizeof(a))), A(0));
	return 0;
}

/* kernel/sched/syscalls.c, user_check_sched_setscheduler(): up to the limits of RLIMIT_NICE and RLIMIT_RTPRIO, anybody
 * may. */
uint64_t task_sched_privileges(const ThreadCoreEntry *tcore, const struct task_own *own)
{
	uint32_t policy = tcore->sched_policy & ~RESET_ON_FORK;
	uint64_t rtprio = own->limits.v[RLIMIT_RTPRIO].rlim_cur, nice = own->limits.v[RLIMIT_NICE].rlim_cur;
	bool need;

	if (!tcore->has_sched_policy)
		return 0;
	need = policy == POLICY_DEADLINE || (is_rt(policy) && tcore->sched_prio > rtprio);
	if (tcore->has_sched_nice && tcore->sched_nice < own->nice &&
	    (uint64_t)(20 - tcore->sched_nice) > nice)
		need = true;
	return need ? 1ull << CAP_SYS_NICE : 0;
}

const struct state_kind sched_kind = {
	.name = "scheduling policy",
	.scope = SCOPE_THREAD,
	.dump = dump_sched,
	.by_number = true,
	.plan = plan_sched,
};
