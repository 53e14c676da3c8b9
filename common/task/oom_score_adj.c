/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/oom_score_adj. Writing the value that one has is always allowed (it is never below the allowed
 * minimum, fs/proc/base.c,
 * __set_oom_adj); going below needs CAP_SYS_RESOURCE, and fails clearly without.
 */
#include "common/task/kin.h"
#include "common/task/task.h"

static int look_oom(struct dump *d, struct err *err)
{
	TaskCoreEntry *tc = task_core(d);
	const TaskCoreEntry *maker = kin_core(d, KIN_OOM);
	int64_t v;
	int ret;

	if (maker) {
		tc->has_oom_score_adj = maker->has_oom_score_adj;
		tc->oom_score_adj = maker->oom_score_adj;
		return 0;
	}
	ret = proc_number(d->task->proc_fd, "oom_score_adj", 10, &v, err);
	if (ret)
		return ret;
	tc->has_oom_score_adj = true;
	tc->oom_score_adj = (int32_t)v;
	return 0;
}

static int plan_oom(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc, *maker = task_inherits(m, pt);
	char text[16];

	if (!tc->has_oom_score_adj)
		return 0;
	if (tc->oom_score_adj < -1000 || tc->oom_score_adj > 1000)
		return err_image(err, "oom_score_adj is %d", tc->oom_score_adj);
	if (maker && maker->has_oom_score_adj && maker->oom_score_adj == tc->oom_score_adj)
		return 0;
	snprintf(text, sizeof(text), "%d", tc->oom_score_adj);
	task_plan_proc_write(pth->prog, "oom_score_adj (lowering it needs CAP_SYS_RESOURCE)",
			     "/proc/self/oom_score_adj", text, true);
	return 0;
}

const struct state_kind oom_score_adj_kind = {
	.name = "oom_score_adj",
	.scope = SCOPE_TASK,
	.look = look_oom,
	.plan = plan_oom,
};
