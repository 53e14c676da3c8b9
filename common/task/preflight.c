/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host must allow so that tasks come back as they were. Asked before any process exists; all findings
 * are reported. */
#include <errno.h>
#include <linux/capability.h>

#include "common/task/task.h"

static void check_loginuid(const TaskCoreEntry *tc, pid_t pid, int self, const struct proc_status *own,
			   const struct task_report *report)
{
	struct err ignore = ERR_INIT;
	int64_t ours = UINT32_MAX;
	char line[160];

	if (!tc->has_loginuid)
		return;
	/* A kernel without audit knows no login uid: nothing is lost when there is none. */
	if (proc_number(self, "loginuid", 10, &ours, &ignore) && tc->loginuid == UINT32_MAX)
		return;
	if ((uint32_t)ours == tc->loginuid || own->cap_eff >> CAP_AUDIT_CONTROL & 1)
		return;
	snprintf(line, sizeof(line), "pid %d: its audit login uid %u is not ours, and setting it needs CAP_AUDIT_CONTROL", pid,
		 tc->loginuid);
	report->line(report->ctx, line);
}

int task_preflight(const struct model *m, void (*line)(void *ctx, const char *line), void *ctx, const struct log *log,
		   struct err *err)
{
	const struct task_report report = { line, ctx, log };
	cleanup_arena struct arena *arena = arena_new();
	struct proc_limits limits;
	struct proc_status own;
	cleanup_fd int self = -1;
	int64_t last_cap = CAP_LAST_CAP;
	struct err ignore = ERR_INIT;
	int ret;

	ret = proc_open(getpid(), &self, err);
	if (!ret)
		ret = proc_status(self, "status", arena, &own, err);
	if (!ret)
		ret = proc_limits(self, &limits, err);
	if (ret)
		return ret;
	proc_number(self, "../sys/kernel/cap_last_cap", 10, &last_cap, &ignore);
	for (size_t t = 0; t < m->ntasks; t++) {
		const struct model_task *task = &m->tasks[t];
		const TaskCoreEntry *tc = task->threads[0].core->tc;

		if (tc) {
			task_rlimit_preflight(tc, task->threads[0].tid, own.cap_eff >> CAP_SYS_RESOURCE & 1, &limits, &report);
			check_loginuid(tc, task->threads[0].tid, self, &own, &report);
		}
		for (size_t i = 0; i < task->nthreads; i++)
			if (task->threads[i].core->thread_core)
				task_creds_preflight(task->threads[i].core->thread_core, task->threads[i].tid, &own,
						     (int)last_cap, &report);
	}
	return 0;
}
