// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that a task shares with its parent since fork. Such a task is born when its parent's memory is filled, and keeps
 * the mappings whose pages are the parent's: so they are shared again. What differs is put right: pages of its own are
 * read over them, pages that only the parent has are dropped.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/mm/private.h"

/* What two mappings must have in common for one to become the other by its protection alone. */
#define SAME_STATUS (VS_REGULAR | VS_FILE_PRIVATE | VS_ANON_PRIVATE | VS_MEMFD)
#define SAME_FLAGS \
	(VM_FLAG_SHARED | VM_FLAG_PRIVATE | VM_FLAG_DROPPABLE | VM_FLAG_ANON | VM_FLAG_GROWSDOWN | VM_FLAG_NORESERVE)
#define EARLY_ADVICE (1ull << MADV_HUGEPAGE | 1ull << MADV_NOHUGEPAGE)

static bool alike(const VmaEntry *v, const VmaEntry *p)
{
	if ((v->status & SAME_STATUS) != (p->status & SAME_STATUS) || ((v->flags ^ p->flags) & SAME_FLAGS) ||
	    ((v->has_madv ? v->madv : 0) ^ (p->has_madv ? p->madv : 0)) & EARLY_ADVICE)
		return false;
	if (!(v->status & VS_FILE_PRIVATE))
		return true;
	return v->shmid == p->shmid && v->pgoff - v->start == p->pgoff - p->start;
}

/* Is all of v mapped in the parent, and alike? */
static bool covered(const MmEntry *parent, const VmaEntry *v, size_t *cursor)
{
	uint64_t at = v->start;

	while (*cursor < parent->n_vmas && parent->vmas[*cursor]->end <= v->start &&
	       !(parent->vmas[*cursor]->status & VS_GUARD))
		(*cursor)++;
	for (size_t i = *cursor; i < parent->n_vmas && at < v->end; i++) {
		const VmaEntry *p = parent->vmas[i];

		if (p->status & VS_GUARD || p->start > at || !alike(v, p))
			return false;
		at = p->end;
	}
	return at >= v->end;
}

/* Are pages of [v->start, v->end) the parent's? Cursors go up with the mappings. */
static bool has_cow(const struct model_pages *p, const VmaEntry *v, size_t *cursor)
{
	while (*cursor < p->ncow && p->cow[*cursor].addr + p->cow[*cursor].len <= v->start)
		(*cursor)++;
	return *cursor < p->ncow && p->cow[*cursor].addr < v->end;
}

void plan_cow_choose(struct mm_plan *mp)
{
	const MmEntry *mm = mp->task->mm, *parent = mp->m->tasks[mp->task->parent].mm;
	size_t in_parent = 0, in_pages = 0;

	mp->kept = arena_alloc(mp->plan->arena, mm->n_vmas + 1);
	for (size_t i = 0; mp->pt->cow && i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!plan_is_mapped(mp, v) || v->status & VS_VDSO ||
		    !(v->status & (VS_FILE_PRIVATE | VS_ANON_PRIVATE)) || !has_cow(&mp->task->pages, v, &in_pages))
			continue;
		mp->kept[i] = covered(parent, v, &in_parent);
	}
}

void plan_cow_unmap(struct mm_plan *mp, uint64_t hole_end)
{
	const MmEntry *mm = mp->task->mm;
	struct ranges kept = { 0 };
	uint64_t from = 0;

	ranges_add(&kept, mp->pt->hole, hole_end - mp->pt->hole);
	for (size_t i = 0; mp->direct && i < mp->here->nvvar; i++)
		ranges_add(&kept, mp->here->vvar[i].start, mp->here->vvar[i].len);
	if (mp->direct)
		ranges_add(&kept, mp->here->vdso.start, mp->here->vdso.len);
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mp->kept[i])
			ranges_add(&kept, mm->vmas[i]->start, mm->vmas[i]->end - mm->vmas[i]->start);
	ranges_sort(&kept);
	for (size_t i = 0; i <= kept.n; i++) {
		uint64_t to = i < kept.n ? kept.v[i].start : TASK_END;

		if (to > from)
			program_call(mp->prog, TASK_UNMAP, "what is neither the agent's nor shared with the parent", SYS_munmap,
				     A(from), A(to - from));
		if (i < kept.n)
			from = kept.v[i].start + kept.v[i].len;
	}
	ranges_release(&kept);
}

/* Ranges of pages in ascending order, from the entries of a page set. */
struct walk { const struct model_pages *p; size_t i; };

/* The first range of the set that ends behind `at`; false when there is none. */
static bool range_from(struct walk *w, uint64_t at, uint64_t *start, uint64_t *end)
{
	for (; w->i < w->p->nentries; w->i++) {
		const PagemapEntry *e = w->p->entries[w->i];

		*start = e->vaddr;
		*end = e->vaddr + e->nr_pages * PAGE_BYTES;
		if (*end > at)
			return true;
	}
	return false;
}

/* Pages of the parent that the task has not: dropped from what it inherited. */
static void drop(struct mm_plan *mp, const VmaEntry *v, struct walk *parent, struct walk *own)
{
	uint64_t at = v->start, ps, pe, os, oe;

	while (at < v->end && range_from(parent, at, &ps, &pe) && ps < v->end) {
		uint64_t from = MAX(at, ps), to = MIN(pe, v->end);

		while (from < to) {
			bool has = range_from(own, from, &os, &oe);
			uint64_t end = has ? MIN(MAX(os, from), to) : to;

			if (end > from)
				program_call(mp->prog, TASK_MAP, "pages that only the parent has", SYS_madvise, A(from),
					     A(end - from), A(MADV_DONTNEED));
			from = has ? MAX(oe, end) : to;
		}
		at = to;
	}
}

/* Has the image pages of its own for v? */
static bool has_own(struct walk *w, const VmaEntry *v)
{
	uint64_t start, end;

	for (size_t i = (range_from(w, v->start, &start, &end), w->i); i < w->p->nentries; i++) {
		if (w->p->entries[i]->vaddr >= v->end)
			return false;
		if (!(w->p->entries[i]->flags & PAGES_COW))
			return true;
	}
	return false;
}

void plan_cow_prepare(struct mm_plan *mp)
{
	struct walk parent = { &mp->m->tasks[mp->task->parent].pages, 0 }, own = { &mp->task->pages, 0 },
		    again = { &mp->task->pages, 0 };
	const MmEntry *mm = mp->task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!mp->kept[i])
			continue;
		drop(mp, v, &parent, &own);
		if (has_own(&again, v))
			program_call(mp->prog, TASK_MAP, "room for pages of its own", SYS_mprotect, A(v->start),
				     A(v->end - v->start), A(v->prot | PROT_WRITE));
	}
}

bool plan_cow_keeps(const struct mm_plan *mp, uint64_t addr, uint64_t *end)
{
	const MmEntry *mm = mp->task->mm;
	size_t lo = 0, hi = mm->n_vmas;

	/* Guards stand behind all mappings, and keep none. */
	while (hi && mm->vmas[hi - 1]->status & VS_GUARD)
		hi--;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mm->vmas[mid]->end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	*end = lo < mm->n_vmas ? mm->vmas[lo]->end : UINT64_MAX;
	return lo < mm->n_vmas && mm->vmas[lo]->start <= addr && mp->kept[lo];
}
