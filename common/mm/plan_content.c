// SPDX-License-Identifier: GPL-2.0-or-later
/* How the content of mappings gets into a restored task: read by itself, or written by the controller. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/mm/private.h"

/* What one preadv(2) reads at most: it shows progress several times a second (the kernel's own limit is 2 GiB). */
#define READ_MAX (64ul << 20)
/* Below so many bytes in so many ranges a second thread costs more than it brings, unless memory is filled (fill.c). */
#define LARGE_SET (32ul << 20)
#define LARGE_SET_RANGES 1000
#define LARGE_TREE 32

void reader_flush(struct reader *r)
{
	struct data_ref iov;

	if (!r->n)
		return;
	iov = program_data(r->prog, r->v, r->n * sizeof(r->v[0]));
	program_call_eq(r->prog, r->phase, "pages", (int64_t)r->total, SYS_preadv, A_SLOT(r->slot), A_DATA(iov),
			A(r->n), A(r->off), A(0));
	r->n = 0;
	r->total = 0;
}

/* len bytes at off of the image go to addr. */
void reader_add(struct reader *r, uint64_t addr, uint64_t len, uint64_t off)
{
	while (len) {
		uint64_t n = MIN(len, READ_MAX - r->total);

		if (!n || r->n == READ_IOVS || (r->n && r->off + r->total != off)) {
			reader_flush(r);
			continue;
		}
		if (!r->n)
			r->off = off;
		r->v[r->n++] = (struct iovec){ (void *)(uintptr_t)addr, n };
		r->total += n;
		addr += n;
		off += n;
		len -= n;
	}
}

void reader_pages(struct reader *r, struct plan *plan, const struct model_pages *pages, uint64_t at, uint64_t len)
{
	size_t file = 0;

	do { /* one file after the other: what lies together in it is read together */
		uint64_t off = 0;
		bool any = false;

		for (size_t i = 0; i < pages->nentries; i++) {
			const PagemapEntry *e = pages->entries[i];
			uint64_t n = e->nr_pages * PAGE_BYTES, from = off;
			int fd = model_source(pages, i, &from);

			off += n;
			if (e->vaddr >= len || (pages->src && pages->src[i].file != file))
				continue;
			if (!any)
				r->slot = plan_slot_fd(plan, "pages of shared memory", fd);
			any = true;
			reader_add(r, at + e->vaddr, MIN(n, len - e->vaddr), from);
		}
		reader_flush(r);
	} while (++file < pages->nfiles);
}

/* Cut where mappings begin and end that are filled in another way. *fill goes up with the addresses. */
static void add_plan_pages(struct plan_task *pt, uint64_t addr, uint64_t len, uint64_t off, int fd, size_t *fill)
{
	while (len) {
		const struct plan_fill *f;
		uint64_t n = len;

		while (*fill < pt->nfills && pt->fills[*fill].end <= addr)
			++*fill;
		f = *fill < pt->nfills ? &pt->fills[*fill] : NULL;
		if (f)
			n = MIN(n, (f->start <= addr ? f->end : f->start) - addr);
		pt->pages[pt->npages++] = (struct plan_pages){ addr, n, off, fd, f && f->start <= addr ? (uint32_t)*fill + 1 : 0 };
		addr += n;
		off += n;
		len -= n;
	}
}

/* What of the page set is not to be written: a vdso that stays the running one, heads of rings. Ascending. */
static size_t list_skipped(const struct mm_plan *mp, struct vdso_area *skip)
{
	const MmEntry *mm = mp->task->mm;
	size_t n = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (mp->keep_vdso && v == mp->vdso)
			skip[n++] = (struct vdso_area){ v->start, v->end - v->start };
		else if (v->status == VS_AIO)
			skip[n++] = (struct vdso_area){ v->start, AIO_RING_HEAD };
	}
	return n;
}

/* What the page set has in one of its files, as ranges. */
static void list_file(const struct model_pages *p, size_t file, const struct vdso_area *skip, size_t nskip,
		      struct plan_task *pt)
{
	uint64_t off = 0;
	size_t k = 0, fill = 0;

	for (size_t i = 0; i < p->nentries; i++) {
		uint64_t start = p->entries[i]->vaddr, end = start + p->entries[i]->nr_pages * PAGE_BYTES, at = start;
		uint64_t from = off;
		int fd = model_source(p, i, &from);

		if (p->entries[i]->flags & PAGES_COW)
			continue;
		off += end - start;
		if (p->src && p->src[i].file != file)
			continue;
		while (k < nskip && skip[k].start + skip[k].len <= start)
			k++;
		for (size_t s = k; s < nskip && skip[s].start < end; s++) {
			if (skip[s].start > at)
				add_plan_pages(pt, at, skip[s].start - at, from + (at - start), fd, &fill);
			at = MAX(at, MIN(end, skip[s].start + skip[s].len));
		}
		add_plan_pages(pt, at, end - at, from + (at - start), fd, &fill);
	}
}

/* Everything of the page set that is to be written, as ranges: file by file, so that what lies together in it is read together. */
static void list_pages(struct mm_plan *mp)
{
	const struct model_pages *p = &mp->task->pages;
	struct plan_task *pt = mp->pt;
	cleanup_free struct vdso_area *skip = xreallocarray(NULL, mp->task->mm->n_vmas + 1, sizeof(*skip));
	size_t nskip = list_skipped(mp, skip), file = 0;

	pt->pages = arena_alloc(mp->plan->arena, (p->nentries + nskip + 2 * pt->nfills + 1) * sizeof(*pt->pages));
	do
		list_file(p, file, skip, nskip, pt);
	while (++file < p->nfiles);
}

/*
 * Small sets are read by the task itself. Large ones, and those that are compressed or still to come, are written into it
 * by the controller, which may have threads for that: a second thread inside the task would need a number of its own, and
 * any might be wanted by something that is restored. So are those of a tree of many tasks: each would inherit the images of all.
 */
static void share_pages(const struct model *m, struct plan_task *pt)
{
	uint64_t total = 0;

	for (size_t i = 0; i < pt->npages; i++)
		total += pt->pages[i].len;
	if (m->ntasks < LARGE_TREE && (pt->set->src || pt->set->fd >= 0) && total < LARGE_SET && pt->npages < LARGE_SET_RANGES &&
	    !pt->nfills)
		pt->nown = pt->npages;
}

/* Shared memory that only this task has, and whole. */
static void plan_direct_content(struct mm_plan *mp, struct reader *r)
{
	const MmEntry *mm = mp->task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		const struct model_shmem *shm;

		if (!plan_is_mapped(mp, v) || !(v->status & VS_ANON_SHARED) || !shmem_is_direct(mp->m, v))
			continue;
		shm = model_shmem(mp->m, v->shmid);
		if (shm->pages.nentries)
			reader_pages(r, mp->plan, &shm->pages, v->start, v->end - v->start);
	}
}

/* What stands in the page sets of ancestors. */
static void plan_ancestors(struct mm_plan *mp, struct reader *r)
{
	const struct model_pages *p = &mp->task->pages;

	for (size_t i = 0; i < p->ncow; i++) {
		const struct model_piece *c = &p->cow[i];

		if (!i || c->owner != c[-1].owner) {
			reader_flush(r);
			r->slot = plan_slot_fd(mp->plan, "pages of an ancestor", mp->m->tasks[c->owner].pages.fd);
		}
		for (uint64_t done = 0, end; done < c->len;) {
			bool kept = plan_cow_keeps(mp, c->addr + done, &end);
			uint64_t n = MIN(c->len - done, end - (c->addr + done));

			if (!kept)
				reader_add(r, c->addr + done, n, c->off + done);
			done += n;
		}
	}
	reader_flush(r);
}

int plan_content(struct mm_plan *mp, struct err *err)
{
	cleanup_free struct reader *r = xmalloc(sizeof(*r)); /* mostly room, which is not touched */
	struct plan_task *pt = mp->pt;
	int ret;

	memset(r, 0, offsetof(struct reader, v));
	r->prog = mp->prog;
	r->phase = TASK_CONTENT;
	plan_direct_content(mp, r);
	plan_ancestors(mp, r);
	plan_fills(mp);
	list_pages(mp);
	ret = plan_copies(mp, err);
	if (ret || !pt->npages)
		return ret;
	share_pages(mp->m, pt);
	if (!pt->nown) { /* the controller writes all of it */
		plan_fill_begin(mp);
		return 0;
	}
	pt->nfills = 0;
	for (size_t i = 0; i < pt->nown; i++) {
		if (!i || pt->pages[i].fd != pt->pages[i - 1].fd) {
			reader_flush(r);
			r->slot = plan_slot_fd(mp->plan, "pages", pt->pages[i].fd);
		}
		reader_add(r, pt->pages[i].addr, pt->pages[i].len, pt->pages[i].off);
	}
	reader_flush(r);
	return 0;
}
