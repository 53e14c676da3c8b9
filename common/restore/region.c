/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that all tasks share with the controller while they are made: the agent's code, words to wait for, and the
 * programs of all threads.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/fault.h"
#include "common/restore/inner.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* include/uapi/linux/memfd.h, since 6.3 */
#endif

struct shared_control *births_shared(const struct births *b)
{
	return (struct shared_control *)(b->at + region_code_len());
}

struct control *birth_control(const struct birth *b)
{
	return (struct control *)(births_shared(b->all) + 1) + b->pt->index;
}

/* The floating point state that a thread loads by itself follows its program. */
static size_t fpu_place(size_t end)
{
	return (end + ARCH_FPU_ALIGN - 1) & ~(size_t)(ARCH_FPU_ALIGN - 1);
}

bool birth_loads_fpu(const struct birth *b, size_t k)
{
	return ((const struct agent_header *)(b->all->at + b->prog_off[k]))->fpu;
}

static size_t layout(struct births *b)
{
	const struct plan *plan = b->plan;
	size_t at = region_code_len() + sizeof(struct shared_control) + plan->ntasks * sizeof(struct control);

	for (size_t i = 0; i < plan->ntasks; i++) {
		b->v[i].scratch_off = at;
		at += plan->tasks[i].nthreads * 16;
	}
	for (size_t i = 0; i < plan->ntasks; i++)
		for (size_t k = 0; k < plan->tasks[i].nthreads; k++) {
			struct program *p = plan->tasks[i].threads[k].prog;

			at = (at + 63) & ~(size_t)63;
			b->v[i].prog_off[k] = at;
			program_place(p, plan->hole + at);
			at += program_size(p);
			if (plan->tasks[i].threads[k].fpu_self)
				at = fpu_place(at) + plan->tasks[i].threads[k].fpu.size;
		}
	for (size_t i = 0; i < plan->ntasks; i++) {
		at = (at + 63) & ~(size_t)63;
		b->v[i].late_off = at;
		at += late_size(&plan->tasks[i]);
	}
	return (at + PAGE - 1) & ~(PAGE - 1);
}

static void link_programs(struct birth *b, const struct slots *slots)
{
	const struct plan_task *pt = b->pt;
	uint64_t left_threads = region_control(pt) + offsetof(struct control, left_threads);
	uint64_t left_leaders = pt->hole + region_code_len() + offsetof(struct shared_control, left_leaders);

	for (size_t k = 0; k < pt->nthreads; k++) {
		struct program_link l = {
			.base = pt->hole + b->prog_off[k],
			.exit = pt->hole + arch_agent_park,
			.left = k ? left_threads : left_leaders,
			.epilogue_phase = INT32_MAX,
			.slots = slots->fd,
			.nslots = slots->n,
		};

		if (pt->threads[k].fpu_self && !fault("restore:fpu")) {
			size_t at = fpu_place(b->prog_off[k] + program_size(pt->threads[k].prog));

			memcpy(b->all->at + at, pt->threads[k].fpu.area, pt->threads[k].fpu.size);
			l.fpu = pt->hole + at;
		}
		program_link(pt->threads[k].prog, &l, b->all->at + b->prog_off[k]);
	}
}

static int make_region(struct births *b, struct err *err)
{
	b->memfd = memfd_create("cr-restore", MFD_CLOEXEC | MFD_EXEC);
	if (b->memfd < 0 && errno == EINVAL) /* before 6.3 there is no MFD_EXEC, and all are executable */
		b->memfd = memfd_create("cr-restore", MFD_CLOEXEC);
	if (b->memfd < 0)
		return err_sys(err, "memfd_create");
	if (ftruncate(b->memfd, (off_t)b->len))
		return err_sys(err, "memory for the plan (%zu bytes)", b->len);
	b->at = mmap(NULL, b->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, b->memfd, 0);
	if (b->at == MAP_FAILED) {
		b->at = NULL;
		return err_sys(err, "mapping %zu bytes for the plan", b->len);
	}
	memcpy(b->at, arch_agent_start, (size_t)(arch_agent_end - arch_agent_start));
	return 0;
}

static int by_number(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void list_kept(struct births *b, const struct slots *slots)
{
	b->kept = xreallocarray(NULL, slots->n + 1, sizeof(*b->kept));
	for (size_t i = 0; i < slots->n; i++)
		if (slots->fd[i] >= 0)
			b->kept[b->nkept++] = slots->fd[i];
	qsort(b->kept, b->nkept, sizeof(*b->kept), by_number);
}

int births_prepare(struct births *b, const struct plan *plan, const struct slots *slots, struct err *err)
{
	int ret;

	*b = (struct births){ .plan = plan, .slots = slots, .memfd = -1 };
	b->v = xzalloc(plan->ntasks * sizeof(*b->v));
	for (size_t i = 0; i < plan->ntasks; i++) {
		b->v[i].all = b;
		b->v[i].pt = &plan->tasks[i];
		b->v[i].prog_off = xreallocarray(NULL, plan->tasks[i].nthreads, sizeof(*b->v[i].prog_off));
	}
	b->len = layout(b);
	if (b->len > plan->hole_len)
		return err_set(err, ERR_FAILED, ENOMEM, "the free range at %#lx has %lu bytes, the plan needs %zu",
			       (unsigned long)plan->hole, (unsigned long)plan->hole_len, b->len);
	ret = make_region(b, err);
	if (ret)
		return ret;
	list_kept(b, slots);
	births_shared(b)->born_left = births_shared(b)->grouped_left = (uint32_t)plan->ntasks;
	for (size_t i = 0; i < plan->ntasks; i++) {
		const struct plan_task *pt = &plan->tasks[i];
		struct control *c = birth_control(&b->v[i]);

		births_shared(b)->left_leaders += pt->kind == TASK_IS_LIVE;
		c->left_threads = (uint32_t)pt->nthreads - 1;
		c->gate = pt->nthreads == 1;
		c->unmade = 1;
		link_programs(&b->v[i], slots);
		late_link(&b->v[i], slots);
	}
	return 0;
}

void births_release(struct births *b)
{
	if (b->at)
		munmap(b->at, b->len);
	if (b->memfd >= 0)
		close(b->memfd);
	for (size_t i = 0; b->v && i < b->plan->ntasks; i++)
		free(b->v[i].prog_off);
	free(b->v);
	free(b->kept);
	*b = (struct births){ .memfd = -1 };
}
