/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who a zombie was: what /proc and waitid(2) still tell of it. What is not that of an ordinary process of root goes into fields of ours.
 */
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/task/dead.h"
#include "common/task/task.h"

#define POLICY_DEADLINE 6 /* its parameters cannot be seen any more */

static bool is_rt(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

void dead_put(struct dump *d, const struct dump_task *t, TaskCoreEntry *tc)
{
	struct err ignore = ERR_INIT;
	struct proc_status st;
	cleanup_fd int fd = -1;

	tc->has_dead_nice = t->stat.nice != 0;
	tc->dead_nice = t->stat.nice;
	tc->has_dead_policy = t->stat.policy != SCHED_OTHER && t->stat.policy != POLICY_DEADLINE;
	tc->dead_policy = (uint32_t)t->stat.policy;
	tc->has_dead_priority = tc->has_dead_policy && is_rt(tc->dead_policy);
	tc->dead_priority = (uint32_t)t->stat.rt_priority;
	if (proc_open(t->pid, &fd, &ignore) || proc_status(fd, "status", d->arena, &st, &ignore))
		return; /* it was killed with all the others */
	tc->n_dead_groups = st.ngroups;
	tc->dead_groups = st.groups;
	tc->dead_ids = arena_alloc(d->arena, 6 * sizeof(*tc->dead_ids));
	for (int i = 0; i < 3; i++) {
		tc->dead_ids[i] = st.uid[i];
		tc->dead_ids[3 + i] = st.gid[i];
	}
	for (int i = 0; i < 6; i++)
		tc->n_dead_ids = tc->dead_ids[i] ? 6 : tc->n_dead_ids;
}

const char *dead_verify(const TaskCoreEntry *tc)
{
	const bool rt = tc->has_dead_policy && is_rt(tc->dead_policy);

	if (tc->n_dead_ids && tc->n_dead_ids != 6)
		return "a number of user and group ids that is not 6";
	for (size_t i = 0; i < tc->n_dead_ids; i++)
		if (tc->dead_ids[i] == UINT32_MAX)
			return "a user or group id that is none";
	if (tc->n_dead_groups > PROC_GROUPS_MAX)
		return "too many groups";
	if (tc->dead_nice < -20 || tc->dead_nice > 19)
		return "a nice value that is none";
	if (tc->has_dead_policy && tc->dead_policy >= POLICY_DEADLINE)
		return "an unknown scheduling policy";
	if (rt ? tc->dead_priority < 1 || tc->dead_priority > 99 : tc->dead_priority)
		return "a priority that does not go with its policy";
	return NULL;
}

/* Says so where the images do; without a word it is what is usual, as far as we may. */
static void step(struct program *p, int phase, bool told, const char *note, long nr, struct arg a, struct arg b, struct arg c)
{
	if (told)
		program_call(p, phase, note, nr, a, b, c);
	else
		program_try(p, phase, note, nr, a, b, c);
}

void dead_plan(const TaskCoreEntry *tc, uint64_t lacks, struct program *p, int phase)
{
	const uint32_t *id = tc->dead_ids;
	const struct sched_param param = { .sched_priority = (int)tc->dead_priority };
	struct data_ref groups;

	step(p, phase, tc->has_dead_nice, "nice value of the dead", SYS_setpriority, A(PRIO_PROCESS), A(0),
	     A((uint64_t)(int64_t)tc->dead_nice));
	step(p, phase, tc->has_dead_policy, "scheduling policy of the dead", SYS_sched_setscheduler, A(0),
	     A(tc->has_dead_policy ? tc->dead_policy : SCHED_OTHER), A_DATA(program_data(p, &param, sizeof(param))));
	if (!(lacks >> CAP_SETGID & 1)) { /* else they are ours already */
		groups = program_data(p, tc->dead_groups, tc->n_dead_groups * sizeof(*tc->dead_groups));
		step(p, phase, tc->n_dead_groups, "groups of the dead", SYS_setgroups, A(tc->n_dead_groups), A_DATA(groups), A(0));
	}
	if (!tc->n_dead_ids)
		return;
	program_call(p, phase, "group ids of the dead", SYS_setresgid, A(id[3]), A(id[4]), A(id[5]));
	program_call(p, phase, "user ids of the dead", SYS_setresuid, A(id[0]), A(id[1]), A(id[2]));
}

uint64_t dead_privileges(const TaskCoreEntry *tc, const struct task_own *own)
{
	uint64_t need = 0;

	if (!tc)
		return 0;
	for (size_t i = 0; tc->n_dead_ids == 6 && i < 3; i++) {
		need |= tc->dead_ids[i] != own->st.uid[i] ? 1ull << CAP_SETUID : 0;
		need |= tc->dead_ids[3 + i] != own->st.gid[i] ? 1ull << CAP_SETGID : 0;
	}
	if (tc->n_dead_groups && (tc->n_dead_groups != own->st.ngroups ||
				  memcmp(tc->dead_groups, own->st.groups, tc->n_dead_groups * sizeof(*tc->dead_groups))))
		need |= 1ull << CAP_SETGID;
	if (tc->has_dead_nice && tc->dead_nice < own->nice &&
	    (uint64_t)(20 - tc->dead_nice) > own->limits.v[RLIMIT_NICE].rlim_cur)
		need |= 1ull << CAP_SYS_NICE;
	if (tc->has_dead_policy && is_rt(tc->dead_policy) && tc->dead_priority > own->limits.v[RLIMIT_RTPRIO].rlim_cur)
		need |= 1ull << CAP_SYS_NICE;
	return need;
}
