/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * personality(2). READ_IMPLIES_EXEC would turn every later mmap() and mprotect() of readable memory executable, so the
 * word is cleared before the mappings are made and set after them; the other bits matter to exec or to results of calls
 * that a program makes itself, at any time.
 */
#include <sys/syscall.h>

#include "common/task/task.h"

struct personality_slot { bool asked; struct step_ref word; };

static int ask_personality(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct personality_slot *s = slot;

	s->asked = dump_calls_freely(d);
	if (s->asked)
		s->word = program_call(prog, 0, "personality", SYS_personality, A(UINT32_MAX));
	return 0;
}

static int dump_personality(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			    struct err *err)
{
	const struct personality_slot *s = slot;
	int64_t v;
	int ret = 0;

	if (s->asked)
		v = program_result(prog, s->word);
	else
		ret = proc_number(d->task->proc_fd, "personality", 16, &v, err);
	if (ret)
		return ret;
	task_core(d)->personality = (uint32_t)v;
	return 0;
}

static int plan_personality(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	uint32_t v = thread->core->tc->personality;

	/* 0xffffffff only asks, in personality(2). */
	if (v == UINT32_MAX)
		return err_image(err, "personality 0xffffffff is none");
	program_call(pth->prog, TASK_SESSION, "personality", SYS_personality, A(0));
	if (v)
		program_call(pth->prog, TASK_MM, "personality", SYS_personality, A(v));
	return 0;
}

const struct state_kind personality_kind = {
	.name = "personality",
	.scope = SCOPE_TASK,
	.ask = ask_personality,
	.slot_size = sizeof(struct personality_slot),
	.dump = dump_personality,
	.plan = plan_personality,
};
