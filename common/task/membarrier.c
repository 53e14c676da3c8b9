/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which kinds of membarrier(2) the process registered for. */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/task/task.h"

#define GET_REGISTRATIONS (1 << 9) /* MEMBARRIER_CMD_GET_REGISTRATIONS, 6.3 */

/*
 * A kernel that does not tell registrations refuses what a process did not register for: EPERM (kernel/sched/membarrier.c,
 * membarrier_private_expedited()). A barrier too many harms nobody.
 */
static const struct { int barrier, registration; } ways[] = {
	{ MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED },
	{ MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE },
	{ MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ },
};

struct membarrier_slot { bool told; struct step_ref mask, tried[ARRAY_SIZE(ways)]; };

static int ask_membarrier(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct membarrier_slot *s = slot;

	s->told = syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0) >= 0;
	if (s->told)
		s->mask = program_try(prog, 0, "membarrier registrations", SYS_membarrier, A(GET_REGISTRATIONS), A(0), A(0));
	for (size_t i = 0; i < ARRAY_SIZE(ways) && !s->told; i++)
		s->tried[i] = program_try(prog, 0, "membarrier", SYS_membarrier, A((uint64_t)ways[i].barrier), A(0), A(0));
	return 0;
}

/* Whom the barriers of others are to reach cannot be found out by trying: everybody, which costs little and breaks nothing. */
static int64_t find_out(const struct membarrier_slot *s, const struct program *prog)
{
	int64_t mask = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;

	if (program_result(prog, s->tried[0]) == -ENOSYS)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (!program_result(prog, s->tried[i]))
			mask |= ways[i].registration;
	return mask;
}

static int dump_membarrier(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			   struct err *err)
{
	const struct membarrier_slot *s = slot;
	int64_t mask = s->told ? program_result(prog, s->mask) : find_out(s, prog);
	TaskCoreEntry *tc = task_core(d);

	if (mask < 0) {
		log_warn(d->log, "membarrier registrations are not known: %s", strerror((int)-mask));
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
