/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set_tid_address(2): the word that the kernel clears and wakes when the thread ends (pthread_join waits there). */
#include <linux/prctl.h>
#include <sys/syscall.h>

#include "common/task/task.h"

struct tid_address_slot { struct data_ref addr; };

static int ask_tid_address(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct tid_address_slot *s = slot;

	s->addr = program_data(prog, NULL, sizeof(uint64_t));
	program_call(prog, 0, "clear_child_tid", SYS_prctl, A(PR_GET_TID_ADDRESS), A_DATA(s->addr));
	return 0;
}

/* kernel/sys.c, prctl_get_tid_address() */
static struct told_rule tid_address_told(const void *slot)
{
	return (struct told_rule){ .own = TOLD(CLEAR_TID) };
}

static void tell_tid_address(const uint64_t numbers[TOLDS], struct program *prog, const void *slot)
{
	const struct tid_address_slot *s = slot;

	program_set_answer(prog, s->addr, &numbers[TOLD_CLEAR_TID], sizeof(uint64_t));
}

static int dump_tid_address(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			    struct err *err)
{
	const struct tid_address_slot *s = slot;

	arch_core_set_clear_tid(thread->core, *(const uint64_t *)program_answer(prog, s->addr));
	return 0;
}

static int plan_tid_address(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	program_call_eq(pth->prog, THREAD_SELF, "clear_child_tid", pth->tid, SYS_set_tid_address,
			A(arch_core_clear_tid(thread->core)));
	return 0;
}

const struct state_kind tid_address_kind = {
	.name = "clear_child_tid",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct tid_address_slot),
	.ask = ask_tid_address,
	.told = tid_address_told,
	.tell = tell_tid_address,
	.dump = dump_tid_address,
	.plan = plan_tid_address,
};
