/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which kinds of membarrier(2) the process registered for. */
#include <linux/membarrier.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define GET_REGISTRATIONS (1 << 9) /* MEMBARRIER_CMD_GET_REGISTRATIONS, 6.3 */

struct membarrier_slot { struct step_ref mask; };

static int ask_membarrier(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct membarrier_slot *s = slot;

	s->mask = program_try(prog, 0, "membarrier registrations", SYS_membarrier, A(GET_REGISTRATIONS), A(0), A(0));
	return 0;
}

static int dump_membarrier(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			   struct err *err)
{
	int64_t mask = program_result(prog, ((const struct membarrier_slot *)slot)->mask);
	TaskCoreEntry *tc = task_core(d);

	if (mask < 0) {
		log_warn(d->log, "membarrier registrations are not known: this kernel does not tell them");
	} else if (mask > 0) {
		tc->has_membarrier_registration_mask = true;
		tc->membarrier_registration_mask = (uint32_t)mask;
	}
	return 0;
}

static int plan_membarrier(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			   struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc;
	const uint32_t known = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
			       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |
			       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
	uint32_t mask = tc->has_membarrier_registration_mask ? tc->membarrier_registration_mask : 0;

	if (mask & ~known)
		return err_image(err, "membarrier registrations 0x%x", mask);
	/* While there is one thread only: then the kernel need not wait for all CPUs. */
	for (unsigned i = 0; i < 32; i++)
		if (mask >> i & 1)
			program_call(pth->prog, TASK_LIMITS, "membarrier registration", SYS_membarrier, A(1u << i),
				     A(0), A(0));
	return 0;
}

const struct state_kind membarrier_kind = {
	.name = "membarrier registrations",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct membarrier_slot),
	.ask = ask_membarrier,
	.dump = dump_membarrier,
	.plan = plan_membarrier,
};
