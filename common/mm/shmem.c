// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shared anonymous memory: an unnamed file on the kernel's own shmem mount (mm/shmem.c, shmem_zero_setup()), or on that
 * of huge pages (fs/hugetlbfs), which mappings of any number of tasks show. Only mmap(2) makes such a file, and only
 * /proc/self/map_files opens it. So the controller maps each object once, at an address that the plan chooses, opens it
 * there, fills it and unmaps it; the tasks map the descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/mm/private.h"

/* sendfile moves at most this much at once (MAX_RW_COUNT of the kernel, rounded down to whole pages). */
#define SEND_MAX 0x40000000ul
/* What came by a stream waits in memory: that much of it is there twice at most. */
#define SEND_FREE_MAX (16ul << 20)
/* From so much content on an object is filled by the controller: sendfile is faster than the faults of a task. */
#define DIRECT_PAGES ((4ul << 20) / PAGE_BYTES)

/* More than the vdso and its data, which wait behind the hole. */
#define HOLE_PARKING (1ul << 20)

struct shmem_plan {
	uint32_t *slots; /* by index in model.shmem, plus 1; 0 = not planned yet */
	struct vdso_area *kept; /* arena; what the controller's program leaves mapped */
	size_t nkept;
};

static struct shmem_plan *shmem_plan_of(struct plan *plan)
{
	if (!plan->shmem)
		plan->shmem = arena_alloc(plan->arena, sizeof(*plan->shmem));
	return plan->shmem;
}

bool shmem_is_direct(const struct model *m, const VmaEntry *v)
{
	const struct model_shmem *s = model_shmem(m, v->shmid);

	return s && s->views == 1 && !s->memfd && !v->pgoff && !s->segment && s->size == v->end - v->start &&
	       s->pages.size < DIRECT_PAGES * PAGE_BYTES;
}

int controller_room(struct plan *plan, uint64_t len, uint64_t align, uint64_t *at, struct err *err)
{
	struct shmem_plan *sp = shmem_plan_of(plan);
	struct ranges used = { 0 };
	uint64_t room = 0;

	for (size_t i = 0; plan->here && i < plan->here->nmaps; i++)
		ranges_add(&used, plan->here->maps[i].start, plan->here->maps[i].len);
	for (size_t i = 0; i < sp->nkept; i++)
		ranges_add(&used, sp->kept[i].start, sp->kept[i].len);
	/* A child has what we have, and unmaps all of it but what lies there. */
	if (plan->hole)
		ranges_add(&used, plan->hole, plan->hole_len + HOLE_PARKING);
	ranges_sort(&used);
	*at = len < TASK_END ? ranges_gap(&used, len + align, &room) : 0;
	ranges_release(&used);
	if (!*at)
		return err_set(err, ERR_FEATURE, 0, "no room for %lu bytes of shared memory while it is restored", len);
	*at = (*at + align - 1) & ~(align - 1);
	return 0;
}

void shmem_keep(struct plan *plan, uint64_t at, uint64_t size)
{
	struct shmem_plan *sp = shmem_plan_of(plan);

	if (!(sp->nkept & (sp->nkept + 1))) { /* room for 1, 3, 7, ... of them */
		struct vdso_area *grown = arena_alloc(plan->arena, (2 * sp->nkept + 1) * sizeof(*grown));

		if (sp->nkept)
			memcpy(grown, sp->kept, sp->nkept * sizeof(*grown));
		sp->kept = grown;
	}
	sp->kept[sp->nkept++] = (struct vdso_area){ at, size };
}

void shmem_finish(const struct plan *plan, bool failed)
{
	if (failed)
		sysv_undo(plan);
	for (size_t i = 0; plan->shmem && i < plan->shmem->nkept; i++)
		munmap((void *)(uintptr_t)plan->shmem->kept[i].start, plan->shmem->kept[i].len);
}

int shmem_make(struct plan *plan, uint32_t slot, uint64_t size, uint64_t flags, uint64_t *at, struct err *err)
{
	struct program *p = plan->controller;
	char path[64];
	int ret = controller_room(plan, size, huge_page_bytes(flags), at, err);

	if (ret)
		return ret;
	program_call_eq(p, MAKE_OBJECTS, "shared memory", (int64_t)*at, SYS_mmap, A(*at), A(size),
			A(PROT_READ | PROT_WRITE), A(MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | flags),
			A((uint64_t)-1), A(0));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", *at, *at + size);
	plan_slot_is(plan, slot, program_call(p, MAKE_OBJECTS, "its file", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(program_string(p, path)), A(O_RDWR | O_CLOEXEC)));
	return 0;
}

void shmem_unmap(struct plan *plan, uint64_t at, uint64_t size)
{
	program_call(plan->controller, MAKE_OBJECTS, "shared memory is made", SYS_munmap, A(at), A(size));
}

/* Every page set entry with one sendfile, which copies from page cache to page cache. */
void shmem_content(struct plan *plan, const struct model_pages *pages, uint64_t size, uint32_t slot)
{
	struct program *p = plan->controller;
	const bool frees = pages->spooled && !pages->kept;
	uint64_t off = 0;
	uint32_t from;

	if (!pages->nentries)
		return;
	cleanup_free uint32_t *slots = xzalloc((pages->nfiles + 1) * sizeof(*slots)); /* plus 1: of each file */

	for (size_t i = 0; i < pages->nentries; i++) {
		const PagemapEntry *pe = pages->entries[i];
		size_t file = pages->src ? pages->src[i].file : 0;
		/* Past the end of the file would make it longer: the last page may be a part. */
		uint64_t end = MIN(pe->vaddr + pe->nr_pages * PAGE_BYTES, size), at = pe->vaddr, src = off;
		int fd = model_source(pages, i, &src);

		if (!slots[file])
			slots[file] = plan_slot_fd(plan, "pages of shared memory", fd) + 1;
		from = slots[file] - 1;

		program_call_eq(p, MAKE_OBJECTS, "place of content", (int64_t)at, SYS_lseek, A_SLOT(slot), A(at),
				A(SEEK_SET));
		while (at < end) {
			uint64_t n = MIN(end - at, frees ? SEND_FREE_MAX : SEND_MAX);
			struct data_ref pos = program_data(p, &src, sizeof(src));

			program_call_eq(p, MAKE_OBJECTS, "content", (int64_t)n, SYS_sendfile, A_SLOT(slot),
					A_SLOT(from), A_DATA(pos), A(n));
			if (frees)
				program_try(p, MAKE_OBJECTS, "is there now", SYS_fallocate, A_SLOT(from),
					    A(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), A(src), A(n));
			at += n;
			src += n;
		}
		off += pe->nr_pages * PAGE_BYTES;
	}
}

void shmem_mapped_content(struct plan *plan, const struct model_pages *pages, uint64_t at, uint64_t size)
{
	cleanup_free struct reader *r = xzalloc(sizeof(*r));

	r->prog = plan->controller;
	r->phase = MAKE_OBJECTS;
	if (pages->nentries)
		reader_pages(r, plan, pages, at, size);
}

int shmem_slot(const struct model *m, struct plan *plan, uint64_t shmid, uint32_t *slot, struct err *err)
{
	struct shmem_plan *sp = shmem_plan_of(plan);
	const struct model_shmem *s = model_shmem(m, shmid);
	char name[64];
	uint64_t at, flags;
	int ret;

	if (!s || (!s->first && !s->memfd))
		return err_image(err, "shared memory %lu is not in the checkpoint", shmid);
	if (!sp->slots)
		sp->slots = arena_alloc(plan->arena, m->nshmem * sizeof(*sp->slots));
	*slot = sp->slots[s - m->shmem] - 1;
	if (sp->slots[s - m->shmem])
		return 0;
	if (s->segment) {
		sp->slots[s - m->shmem] = UINT32_MAX; /* it needs none */
		return sysv_plan(plan, s, err);
	}
	snprintf(name, sizeof(name), "shared memory %lu", shmid);
	*slot = plan_slot(plan, name);
	sp->slots[s - m->shmem] = *slot + 1;
	/* Of what peers write as a file nobody knows whether room was reserved: it may be larger than all there is. */
	flags = s->first ? s->first->flags & (VM_FLAG_NORESERVE | VM_FLAGS_HUGE) : VM_FLAG_NORESERVE;
	ret = shmem_make(plan, *slot, s->size, flags, &at, err);
	if (ret)
		return ret;
	if (flags & VM_FLAG_HUGETLB)
		shmem_mapped_content(plan, &s->pages, at, s->size);
	else
		shmem_content(plan, &s->pages, s->size, *slot);
	shmem_unmap(plan, at, s->size);
	return 0;
}
