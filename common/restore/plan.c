/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The container of a plan: slots and what fills them. */
#include "common/restore/plan.h"

struct plan *plan_new(void)
{
	struct plan *plan = xzalloc(sizeof(*plan));

	plan->arena = arena_new();
	plan->controller = program_new();
	plan->last = program_new();
	plan->done = program_new();
	return plan;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (size_t t = 0; t < plan->ntasks; t++)
		for (size_t i = 0; i < plan->tasks[t].nthreads; i++) {
			program_free(plan->tasks[t].threads[i].prog);
			program_free(plan->tasks[t].threads[i].late);
		}
	program_free(plan->controller);
	program_free(plan->last);
	program_free(plan->done);
	free(plan->slot_names);
	free(plan->binds);
	free(plan->as);
	free(plan->strands);
	arena_free(plan->arena);
	arena_free(plan->beside);
	free(plan);
}

void plan_freep(struct plan **plan)
{
	plan_free(*plan);
}

uint32_t plan_slot(struct plan *plan, const char *name)
{
	size_t n = plan->nslots++;

	if (n >= plan->slots_cap) {
		plan->slots_cap = plan->slots_cap ? 2 * plan->slots_cap : 16;
		plan->slot_names = xreallocarray(plan->slot_names, plan->slots_cap, sizeof(*plan->slot_names));
		plan->binds = xreallocarray(plan->binds, plan->slots_cap, sizeof(*plan->binds));
	}
	plan->slot_names[n] = arena_strdup(plan->arena, name);
	plan->binds[n] = (struct plan_bind){ .source = SLOT_UNBOUND, .fd = -1 };
	return (uint32_t)n;
}

void plan_slot_is(struct plan *plan, uint32_t slot, struct step_ref step)
{
	plan->binds[slot].source = SLOT_STEP;
	plan->binds[slot].step = step;
}

void plan_slot_from_data(struct plan *plan, uint32_t slot, struct step_ref step, struct data_ref data, uint32_t off)
{
	plan->binds[slot] = (struct plan_bind){
		.source = SLOT_DATA, .step = step, .data = data, .off = off, .fd = -1,
	};
}

uint32_t plan_slot_fd(struct plan *plan, const char *name, int fd)
{
	uint32_t slot = plan_slot(plan, name);

	plan->binds[slot].source = SLOT_FD;
	plan->binds[slot].fd = fd;
	return slot;
}

void plan_slot_pty(struct plan *plan, uint32_t slot, const char *path, uint32_t index, int flags)
{
	plan->binds[slot] = (struct plan_bind){
		.source = SLOT_PTY, .path = arena_strdup(plan->arena, path), .fd = (int)index, .off = (uint32_t)flags,
	};
}

void plan_slot_dead(struct plan *plan, uint32_t slot, uint32_t number, uint32_t flags)
{
	plan->binds[slot] = (struct plan_bind){ .source = SLOT_DEAD, .fd = (int)flags, .dead = number };
}

void plan_step_as(struct plan *plan, struct step_ref step, const struct plan_identity *who)
{
	array_reserve(&plan->as, &plan->as_cap, plan->nas, sizeof(*plan->as));
	plan->as[plan->nas++] = (struct plan_as){ step, who };
}

void plan_strand(struct plan *plan, size_t from)
{
	array_reserve(&plan->strands, &plan->strands_cap, plan->nstrands, sizeof(*plan->strands));
	plan->strands[plan->nstrands++] = (struct plan_strand){ (uint32_t)from, (uint32_t)program_steps(plan->controller) };
}
