/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resource limits: 16 of them, asked one by one, which takes a quarter of the time of their text; and read as text where that is
 * refused (prlimit on another user's task wants CAP_SYS_RESOURCE).
 *
 * Two of them nobody set, as a rule: the kernel gives RLIMIT_NPROC and RLIMIT_SIGPENDING one value computed from
 * the memory of the host
 * (kernel/fork.c, fork_init). On a smaller host that value cannot be had without CAP_SYS_RESOURCE and would mean
 * nothing:
 * then the task keeps this host's own, with a warning. Every other limit is exact or refused.
 */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define NLIMITS 16

static const char *const names[NLIMITS] = {
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
};

/* Whether limit i is what the kernel of the dumping host gave to all. */
static bool host_default(const TaskRlimitsEntry *r, size_t i)
{
	const RlimitEntry *a, *b;

	if (r->n_rlimits <= RLIMIT_SIGPENDING || (i != RLIMIT_NPROC && i != RLIMIT_SIGPENDING))
		return false;
	a = r->rlimits[RLIMIT_NPROC];
	b = r->rlimits[RLIMIT_SIGPENDING];
	return a->max == b->max && r->rlimits[i]->cur == r->rlimits[i]->max;
}

static int read_limits(const struct dump *d, struct proc_limits *limits, struct err *err)
{
	for (size_t i = 0; i < NLIMITS; i++)
		if (syscall(SYS_prlimit64, d->task->tid, i, NULL, &limits->v[i]) < 0)
			return proc_limits(d->task->proc_fd, limits, err);
	return 0;
}

static int dump_rlimit(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		       struct err *err)
{
	TaskRlimitsEntry *out = arena_msg(d->arena, TaskRlimitsEntry, task_rlimits_entry__init);
	struct proc_limits limits;
	int ret = read_limits(d, &limits, err);

	if (ret)
		return ret;
	out->n_rlimits = NLIMITS;
	out->rlimits = arena_alloc(d->arena, NLIMITS * sizeof(*out->rlimits));
	for (size_t i = 0; i < NLIMITS; i++) {
		RlimitEntry *e = arena_msg(d->arena, RlimitEntry, rlimit_entry__init);

		e->cur = limits.v[i].rlim_cur;
		e->max = limits.v[i].rlim_max;
		out->rlimits[i] = e;
	}
	task_core(d)->rlimits = out;
	return 0;
}

/* Timers and signals that wait were made before the limit was; they are made again under that of this host. */
static bool comes_last(const TaskCoreEntry *tc, const ThreadCoreEntry *leader, size_t i)
{
	return i == RLIMIT_SIGPENDING && !host_default(tc->rlimits, i) &&
	       ((tc->timers && tc->timers->n_posix) || (tc->signals_s && tc->signals_s->n_signals) ||
		(leader->signals_p && leader->signals_p->n_signals));
}

static int plan_rlimit(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		       struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskRlimitsEntry *in = thread->core->tc->rlimits;

	if (!in)
		return err_image(err, "core-%d.img has no resource limits", thread->tid);
	if (in->n_rlimits > NLIMITS)
		return err_image(err, "%zu resource limits, but there are %d", in->n_rlimits, NLIMITS);
	for (size_t i = 0; i < in->n_rlimits; i++) {
		const RlimitEntry *e = in->rlimits[i];
		struct rlimit64 l = { .rlim_cur = MIN(e->cur, e->max), .rlim_max = e->max };
		struct program *prog = pth->prog;

		if (comes_last(thread->core->tc, thread->core->thread_core, i))
			prog = pth->late = pth->late ? pth->late : program_new();
		program_add(prog, TASK_LIMITS, names[i], host_default(in, i) ? EXPECT_ANY : EXPECT_OK, 0,
			    SYS_prlimit64,
			    PROGRAM_ARGS(A(0), A(i), A_DATA(program_data(prog, &l, sizeof(l))), A(0)));
	}
	return 0;
}

void task_rlimit_preflight(const TaskCoreEntry *tc, pid_t pid, bool may_raise, const struct proc_limits *own,
			   const struct task_report *report)
{
	char line[160], object[32];

	for (size_t i = 0; tc->rlimits && i < MIN(tc->rlimits->n_rlimits, (size_t)NLIMITS); i++) {
		uint64_t max = tc->rlimits->rlimits[i]->max;

		if (may_raise || max <= own->v[i].rlim_max)
			continue;
		if (host_default(tc->rlimits, i)) {
			log_warn(report->log, "pid %d: %s stays at this host's %lu, the dumping host's default was %lu",
				 pid, names[i], (unsigned long)own->v[i].rlim_max, (unsigned long)max);
			continue;
		}
		snprintf(line, sizeof(line),
			 "its hard limit %s is above ours, and raising it needs CAP_SYS_RESOURCE", names[i]);
		snprintf(object, sizeof(object), "pid %d", pid);
		report->line(report->ctx, object, line);
	}
}

const struct state_kind rlimit_kind = {
	.name = "resource limits",
	.scope = SCOPE_TASK,
	.dump = dump_rlimit,
	.plan = plan_rlimit,
};
