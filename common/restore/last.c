/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the controller does when all tasks stand ready and nothing more is opened, written or closed: watches of files begin
 * here, so that nobody is told of what a restore does. Descriptors that only the restore needed are closed before. And what it does
 * when nothing can fail any more: what takes something from the checkpoint.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/sock/accept_queue.h"
#include "common/restore/inner.h"

static void close_others(const struct plan *plan, struct slots *slots)
{
	const struct program *p = plan->last;
	cleanup_free bool *used = xzalloc((slots->n + 1) * sizeof(*used));

	for (size_t i = 0; i < program_steps(p); i++)
		for (int k = 0; k < 6; k++)
			if (program_args(p, i)[k].kind == ARG_SLOT)
				used[program_args(p, i)[k].v] = true;
	for (size_t i = 0; i < program_slots(p); i++) {
		uint32_t slot;

		program_slot_at(p, i, &slot);
		used[slot] = true;
	}
	for (size_t i = 0; plan->tcp && i < plan->tcp->n; i++)
		used[plan->tcp->v[i].slot] = true; /* it has yet to leave repair mode: tcp_run_release() */
	for (const struct accept_queue *q = plan->accept_queues; q; q = q->next)
		used[q->slot] = true; /* connections have yet to come */
	for (size_t i = 0; i < slots->n; i++) {
		if (used[i] || slots->fd[i] < 0)
			continue;
		close(slots->fd[i]);
		slots->fd[i] = -1;
	}
}

static int run(struct plan *plan, struct program *p, const struct slots *slots, struct err *err)
{
	cleanup_free unsigned char *bytes = xzalloc(program_size(p) + 16);
	struct agent_step *steps = (struct agent_step *)(bytes + sizeof(struct agent_header));

	program_link(p, &(struct program_link){ .base = (uint64_t)(uintptr_t)bytes, .epilogue_phase = INT32_MAX,
						.slots = slots->fd, .nslots = slots->n }, bytes);
	for (size_t place = 0; place < program_steps(p); place++) {
		const size_t i = program_at(p, place);
		uint64_t a[6];
		for (int k = 0; k < 6; k++) {
			a[k] = steps[place].arg[k];
			if (program_args(p, i)[k].kind == ARG_RESULT)
				memcpy(&a[k], (const void *)(uintptr_t)a[k], sizeof(a[k]));
		}
		const long ret = syscall((long)steps[place].nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		enum step_expect expect;
		int64_t want;

		steps[place].result = ret == -1 ? -errno : ret;
		program_set_result(p, i, steps[place].result);
		expect = program_expect(p, i, &want);
		if (!program_met(expect, want, program_result(p, (struct step_ref){ (uint32_t)i })))
			return step_error(plan, p, i, err);
	}
	return 0;
}

int last_run(struct plan *plan, struct slots *slots, struct err *err)
{
	if (!program_steps(plan->last))
		return 0;
	close_others(plan, slots);
	return run(plan, plan->last, slots, err);
}

void done_run(struct plan *plan)
{
	struct slots none = { 0 };
	struct err ignore = ERR_INIT;

	if (program_steps(plan->done))
		run(plan, plan->done, &none, &ignore);
}
