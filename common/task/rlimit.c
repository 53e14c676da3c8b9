/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Resource limits: 16 of them, read as text (prlimit on another user's task wants CAP_SYS_RESOURCE). */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define NLIMITS 16

static const char *const names[NLIMITS] = {
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
};

static int dump_rlimit(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		       struct err *err)
{
	TaskRlimitsEntry *out = arena_msg(d->arena, TaskRlimitsEntry, task_rlimits_entry__init);
	struct proc_limits limits;
	int ret = proc_limits(d->task.proc_fd, &limits, err);

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

		program_call(pth->prog, TASK_LIMITS, names[i], SYS_prlimit64, A(0), A(i),
			     A_DATA(program_data(pth->prog, &l, sizeof(l))), A(0));
	}
	return 0;
}

void task_rlimit_preflight(const TaskCoreEntry *tc, pid_t pid, bool may_raise, const struct proc_limits *own,
			   const struct task_report *report)
{
	char line[160];

	for (size_t i = 0; tc->rlimits && i < MIN(tc->rlimits->n_rlimits, (size_t)NLIMITS); i++) {
		uint64_t max = tc->rlimits->rlimits[i]->max;

		if (may_raise || max <= own->v[i].rlim_max)
			continue;
		snprintf(line, sizeof(line), "pid %d: its hard limit %s is above ours, and raising it needs CAP_SYS_RESOURCE",
			 pid, names[i]);
		report->line(report->ctx, line);
	}
}

const struct state_kind rlimit_kind = {
	.name = "resource limits",
	.scope = SCOPE_TASK,
	.dump = dump_rlimit,
	.plan = plan_rlimit,
};
