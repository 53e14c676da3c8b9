/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether orphans below this task become its children. */
#include <linux/prctl.h>
#include <sys/syscall.h>

#include "common/task/task.h"

struct subreaper_slot { struct data_ref on; };

static int ask_subreaper(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct subreaper_slot *s = slot;

	s->on = program_data(prog, NULL, sizeof(int));
	program_call(prog, 0, "child subreaper", SYS_prctl, A(PR_GET_CHILD_SUBREAPER), A_DATA(s->on));
	return 0;
}

static int dump_subreaper(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			  struct err *err)
{
	TaskCoreEntry *tc = task_core(d);

	tc->has_child_subreaper = true;
	tc->child_subreaper = *(const int *)program_answer(prog, ((const struct subreaper_slot *)slot)->on) != 0;
	return 0;
}

static int plan_subreaper(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			  struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc;

	if (tc->has_child_subreaper && tc->child_subreaper)
		program_call(pth->prog, TASK_LIMITS, "child subreaper", SYS_prctl, A(PR_SET_CHILD_SUBREAPER), A(1));
	return 0;
}

const struct state_kind child_subreaper_kind = {
	.name = "child subreaper",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct subreaper_slot),
	.ask = ask_subreaper,
	.dump = dump_subreaper,
	.plan = plan_subreaper,
};
