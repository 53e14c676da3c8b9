// SPDX-License-Identifier: GPL-2.0-or-later
/* Mappings of a restored task: made, filled, and given their final protection and advice. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "common/file/table.h"
#include "common/mm/private.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
/* Limits of one preadv(2): what shows progress several times a second (the kernel's own is 2 GiB), and UIO_MAXIOV. */
#define READ_MAX (64ul << 20)
#define READ_IOVS 1024
/* Below so many bytes in so many ranges a second thread costs more than it brings. */
#define LARGE_SET (32ul << 20)
#define LARGE_SET_RANGES 1000

/* Advice that decides how memory is faulted in, so it comes before the content. */
#define EARLY_ADVICE (1ull << MADV_HUGEPAGE | 1ull << MADV_NOHUGEPAGE)

static bool is_mapped(const struct mm_plan *mp, const VmaEntry *v)
{
	if (!(v->status & VS_REGULAR) || v->status & (VS_GUARD | VS_VSYSCALL | VS_VVAR))
		return false;
	return !(v->status & VS_VDSO) || !mp->keep_vdso;
}

static const struct shared_base *find_base(const struct mm_plan *mp, uint64_t shmid)
{
	size_t lo = 0, hi = mp->nbases;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mp->bases[mid].shmid < shmid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < mp->nbases && mp->bases[lo].shmid == shmid ? &mp->bases[lo] : NULL;
}

/* Does the image hold pages of [v->start, v->end)? *cursor goes up with the mappings, so all questions together
 * cost one walk. */
static bool has_pages(const struct model_task *t, const VmaEntry *v, size_t *cursor)
{
	const struct model_pages *p = &t->pages;

	while (*cursor < p->nentries &&
	       p->entries[*cursor]->vaddr + p->entries[*cursor]->nr_pages * PAGE_BYTES <= v->start)
		(*cursor)++;
	return *cursor < p->nentries && p->entries[*cursor]->vaddr < v->end;
}

/* Protection while content is loaded. */
static int load_prot(const struct mm_plan *mp, const VmaEntry *v, size_t *cursor)
{
	if (v->status & VS_ANON_SHARED)
		return (int)v->prot | PROT_READ | PROT_WRITE; /* as its base has, too */
	if (v->status & VS_FILE_SHARED || !has_pages(mp->task, v, cursor))
		return (int)v->prot;
	return (int)v->prot | PROT_WRITE;
}

/* ---- shared anonymous memory ---- */

static int by_shmid(const void *va, const void *vb)
{
	const VmaEntry *const *a = va, *const *b = vb;

	return ((*a)->shmid > (*b)->shmid) - ((*a)->shmid < (*b)->shmid);
}

/*
 * One mapping from the start of an object is made by mmap as it was. For anything else the object is mapped whole at
 * a free place first, filled there, and mremap with an old size of 0 gives further mappings of it (mm/mremap.c): so
 * it stays what it was, shared memory without a file.
 */
static int plan_bases(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	const VmaEntry **v = arena_alloc(mp->plan->arena, (mm->n_vmas + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < mm->n_vmas; i++)
		if (is_mapped(mp, mm->vmas[i]) && mm->vmas[i]->status & VS_ANON_SHARED)
			v[n++] = mm->vmas[i];
	qsort(v, n, sizeof(*v), by_shmid);
	mp->bases = arena_alloc(mp->plan->arena, (n + 1) * sizeof(*mp->bases));
	for (size_t i = 0, end; i < n; i = end) {
		uint64_t len = 0, at, room;

		for (end = i; end < n && v[end]->shmid == v[i]->shmid; end++) {
			if (v[end]->pgoff > TASK_END || v[end]->pgoff % PAGE_BYTES)
				return err_image(err, "mapping %lx-%lx: offset 0x%lx", v[end]->start, v[end]->end,
						 v[end]->pgoff);
			len = MAX(len, v[end]->pgoff + (v[end]->end - v[end]->start));
		}
		if (end - i == 1 && !v[i]->pgoff)
			continue;
		at = ranges_gap(&mp->used, len, &room);
		if (!at)
			return err_set(err, ERR_FEATURE, 0,
				       "no room for %lu bytes of shared memory while it is restored", len);
		ranges_add(&mp->used, at, len);
		ranges_sort(&mp->used);
		mp->bases[mp->nbases++] = (struct shared_base){ v[i]->shmid, at, len };
		program_call_eq(mp->prog, TASK_MAP, "shared memory", (int64_t)at, SYS_mmap, A(at), A(len),
				A(PROT_READ | PROT_WRITE),
				A(MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | (v[i]->flags & VM_FLAG_NORESERVE)),
				A((uint64_t)-1), A(0));
	}
	return 0;
}

/* ---- mmap ---- */

static int plan_map_file(struct mm_plan *mp, const VmaEntry *v, int prot, uint64_t flags, struct err *err)
{
	int access = v->has_fdflags					  ? (int)v->fdflags
		     : v->status & VS_FILE_SHARED && v->prot & PROT_WRITE ? O_RDWR
									  : O_RDONLY;
	uint32_t slot;
	int ret = v->status & VS_MEMFD ?
		memfd_map_slot(mp->m, mp->plan, (uint32_t)v->shmid, access, &slot, err) :
		plan_file_slot(mp->m, mp->plan, FD_TYPES__REG, (uint32_t)v->shmid, access, &slot, err);

	if (ret)
		return err_object(err, ret, "mapping %lx-%lx", v->start, v->end);
	program_call_eq(mp->prog, TASK_MAP, v->status & VS_MEMFD ? "memfd" : "file", (int64_t)v->start, SYS_mmap,
			A(v->start), A(v->end - v->start), A((uint64_t)prot), A(flags), A_SLOT(slot), A(v->pgoff));
	return 0;
}

static int plan_map(struct mm_plan *mp, const VmaEntry *v, int prot, struct err *err)
{
	const struct shared_base *base = v->status & VS_ANON_SHARED ? find_base(mp, v->shmid) : NULL;
	uint64_t flags = MAP_FIXED | (v->flags & (VM_FLAG_SHARED | VM_FLAG_PRIVATE | VM_FLAG_DROPPABLE | VM_FLAG_ANON |
						  VM_FLAG_GROWSDOWN | VM_FLAG_NORESERVE));
	uint64_t len = v->end - v->start;

	if (v->status & (VS_FILE_PRIVATE | VS_FILE_SHARED | VS_MEMFD))
		return plan_map_file(mp, v, prot, flags, err);
	if (base)
		program_call_eq(mp->prog, TASK_MAP, "shared memory again", (int64_t)v->start, SYS_mremap,
				A(base->addr + v->pgoff), A(0), A(len), A(MREMAP_MAYMOVE | MREMAP_FIXED), A(v->start));
	else
		program_call_eq(mp->prog, TASK_MAP, v->status & VS_HEAP ? "heap" : "", (int64_t)v->start, SYS_mmap,
				A(v->start), A(len), A((uint64_t)prot), A(flags | MAP_ANONYMOUS), A((uint64_t)-1),
				A(0));
	return 0;
}

static void plan_advice(struct mm_plan *mp, int phase, const VmaEntry *v, uint64_t bits)
{
	if (!v->has_madv || v->flags & VM_FLAG_DROPPABLE) /* MAP_DROPPABLE brings its advice with it */
		return;
	for (int advice = 0; advice < 64; advice++)
		if (v->madv & bits & 1ull << advice)
			program_call(mp->prog, phase, "advice", SYS_madvise, A(v->start), A(v->end - v->start),
				     A((uint64_t)advice));
}

int plan_mappings(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	size_t cursor = 0;
	int ret = plan_bases(mp, err);

	for (size_t i = 0; !ret && i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!is_mapped(mp, v))
			continue;
		ret = plan_map(mp, v, load_prot(mp, v, &cursor), err);
		plan_advice(mp, TASK_MAP, v, EARLY_ADVICE);
	}
	return ret;
}

/* ---- content ---- */

/* preadv calls over ranges that follow each other in one image. */
struct reader {
	struct mm_plan *mp;
	uint32_t slot;
	struct iovec v[READ_IOVS];
	size_t n;
	uint64_t off, total; /* of the call being collected */
};

static void reader_flush(struct reader *r)
{
	struct data_ref iov;

	if (!r->n)
		return;
	iov = program_data(r->mp->prog, r->v, r->n * sizeof(r->v[0]));
	program_call_eq(r->mp->prog, TASK_CONTENT, "pages", (int64_t)r->total, SYS_preadv, A_SLOT(r->slot), A_DATA(iov),
			A(r->n), A(r->off), A(0));
	r->n = 0;
	r->total = 0;
}

/* len bytes at off of the image go to addr. */
static void reader_add(struct reader *r, uint64_t addr, uint64_t len, uint64_t off)
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

static void add_plan_pages(struct plan_task *pt, uint64_t addr, uint64_t len, uint64_t off)
{
	if (len)
		pt->pages[pt->npages++] = (struct plan_pages){ addr, len, off };
}

/* Everything of the page set but a vdso that is not to be overwritten, as ranges. */
static void list_pages(struct mm_plan *mp)
{
	const struct model_pages *p = &mp->task->pages;
	struct plan_task *pt = mp->pt;
	uint64_t from = mp->keep_vdso ? mp->vdso->start : 0, to = mp->keep_vdso ? mp->vdso->end : 0, off = 0;

	pt->pages = arena_alloc(mp->plan->arena, (p->nentries + 1) * sizeof(*pt->pages));
	for (size_t i = 0; i < p->nentries; i++) {
		uint64_t a = p->entries[i]->vaddr, len = p->entries[i]->nr_pages * PAGE_BYTES, end = a + len;

		if (a < to && from < end) {
			/* The vdso is dumped whole, so at most its neighbours stick out, one on each side. */
			add_plan_pages(pt, a, a < from ? from - a : 0, off);
			if (end > to)
				add_plan_pages(pt, to, end - to, off + (to - a));
		} else {
			add_plan_pages(pt, a, len, off);
		}
		off += len;
	}
}

/*
 * Small sets are read by the task itself. Large ones are written into it by the controller, which may have threads
 * for that: a second thread inside the task would need a number of its own, and any might be wanted by something that
 * is restored.
 */
static void share_pages(struct plan_task *pt)
{
	uint64_t total = 0;

	for (size_t i = 0; i < pt->npages; i++)
		total += pt->pages[i].len;
	pt->nown = total < LARGE_SET && pt->npages < LARGE_SET_RANGES ? pt->npages : 0;
}

static int plan_object(struct mm_plan *mp, const VmaEntry *v, uint64_t at, uint64_t len, struct reader *r,
		       struct err *err)
{
	const struct model_shmem *shm = model_shmem(mp->m, v->shmid);
	uint64_t off = 0;

	if (!shm || !shm->pages.nentries)
		return 0;
	r->slot = plan_slot_fd(mp->plan, "pages of shared memory", shm->pages.fd);
	for (size_t i = 0; i < shm->pages.nentries; i++) {
		const PagemapEntry *e = shm->pages.entries[i];
		uint64_t n = e->nr_pages * PAGE_BYTES;

		if (e->vaddr < len)
			reader_add(r, at + e->vaddr, MIN(n, len - e->vaddr), off);
		off += n;
	}
	reader_flush(r);
	return 0;
}

static int plan_shared_content(struct mm_plan *mp, struct reader *r, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	bool *done = arena_alloc(mp->plan->arena, mp->nbases + 1);

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		const struct shared_base *b;
		int ret;

		if (!is_mapped(mp, v) || !(v->status & VS_ANON_SHARED))
			continue;
		b = find_base(mp, v->shmid);
		if (b && done[b - mp->bases])
			continue;
		if (b)
			done[b - mp->bases] = true;
		ret = b ? plan_object(mp, v, b->addr, b->len, r, err) :
			  plan_object(mp, v, v->start, v->end - v->start, r, err);
		if (ret)
			return ret;
	}
	for (size_t i = 0; i < mp->nbases; i++)
		program_call(mp->prog, TASK_CONTENT, "shared memory is where it belongs", SYS_munmap,
			     A(mp->bases[i].addr), A(mp->bases[i].len));
	return 0;
}

int plan_content(struct mm_plan *mp, struct err *err)
{
	cleanup_free struct reader *r = xzalloc(sizeof(*r));
	struct plan_task *pt = mp->pt;
	int ret;

	r->mp = mp;
	ret = plan_shared_content(mp, r, err);
	if (ret)
		return ret;
	list_pages(mp);
	if (!pt->npages)
		return 0;
	r->slot = plan_slot_fd(mp->plan, "pages", mp->task->pages.fd);
	share_pages(pt);
	for (size_t i = 0; i < pt->nown; i++)
		reader_add(r, pt->pages[i].addr, pt->pages[i].len, pt->pages[i].off);
	reader_flush(r);
	return 0;
}

/* ---- after the content ---- */

/* Locking first on fault never fails for what cannot be faulted in (PROT_NONE, guards, beyond the end of a file);
 * then the pages that can be are brought in, as far as that goes: the same as the task had. */
static void plan_lock(struct mm_plan *mp, const VmaEntry *v)
{
	program_call(mp->prog, TASK_PROTECT, "locked", SYS_mlock2, A(v->start), A(v->end - v->start), A(MLOCK_ONFAULT));
	if (!(v->has_vm_flags_extra && v->vm_flags_extra & VMX_LOCKONFAULT))
		program_try(mp->prog, TASK_PROTECT, "locked and present", SYS_mlock2, A(v->start), A(v->end - v->start),
			    A(0));
}

/* Seals that had to wait for writable mappings. */
static void plan_late_seals(struct mm_plan *mp)
{
	for (size_t i = 0; i < mp->m->nmemfds; i++) {
		const MemfdInodeEntry *e = mp->m->memfds[i];
		uint32_t slot;

		if (memfd_seals_late(mp->m, e) && memfd_inode_slot(mp->plan, e, &slot))
			program_call(mp->prog, TASK_PROTECT, "its seals", SYS_fcntl, A_SLOT(slot), A(F_ADD_SEALS),
				     A(e->seals));
	}
}

void plan_protect(struct mm_plan *mp)
{
	const MmEntry *mm = mp->task->mm;
	size_t cursor = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!is_mapped(mp, v))
			continue;
		if (load_prot(mp, v, &cursor) != (int)v->prot)
			program_call(mp->prog, TASK_PROTECT, "protection", SYS_mprotect, A(v->start),
				     A(v->end - v->start), A(v->prot));
		if (!(v->status & VS_VDSO))
			plan_advice(mp, TASK_PROTECT, v, ~EARLY_ADVICE);
	}
	/* Before locking: the kernel installs no guards in locked memory (mm/madvise.c, is_valid_guard_vma). */
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->status & VS_GUARD)
			program_call(mp->prog, TASK_PROTECT, "guard", SYS_madvise, A(mm->vmas[i]->start),
				     A(mm->vmas[i]->end - mm->vmas[i]->start), A(MADV_GUARD_INSTALL));
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (is_mapped(mp, mm->vmas[i]) && mm->vmas[i]->flags & VM_FLAG_LOCKED)
			plan_lock(mp, mm->vmas[i]);
	plan_late_seals(mp);
}
