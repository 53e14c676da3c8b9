// SPDX-License-Identifier: GPL-2.0-or-later
/* Mappings of a restored task: made, and given their final protection and advice. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/file/table.h"
#include "common/mm/private.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* Advice that decides how memory is faulted in, so it comes before the content. */
#define EARLY_ADVICE (1ull << MADV_HUGEPAGE | 1ull << MADV_NOHUGEPAGE)

bool plan_is_mapped(const struct mm_plan *mp, const VmaEntry *v)
{
	if (!(v->status & VS_REGULAR) || v->status & (VS_GUARD | VS_VSYSCALL | VS_VVAR))
		return false;
	return !(v->status & VS_VDSO) || !mp->keep_vdso;
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

/*
 * Protection while content is loaded. What may only be executed may be read at first: else the kernel would take a protection key for
 * it, which copies of the task have for ever (execute_only_pkey() in arch/x86/mm/pkeys.c), before it is known which one is to be taken.
 */
static int load_prot(const struct mm_plan *mp, const VmaEntry *v, size_t *cursor)
{
	int prot = (int)v->prot | (v->prot == PROT_EXEC ? PROT_READ : 0);

	if (v->status & VS_SYSV)
		return sysv_attached_prot(v);
	if (v->status & VS_ANON_SHARED && shmem_is_direct(mp->m, v))
		return prot | PROT_READ | PROT_WRITE;
	if (v->status & (VS_FILE_SHARED | VS_ANON_SHARED) || (!v->copies && !has_pages(mp->task, v, cursor)))
		return prot;
	return prot | PROT_WRITE;
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

static uint64_t map_flags(const VmaEntry *v)
{
	return MAP_FIXED | (v->flags & (VM_FLAG_SHARED | VM_FLAG_PRIVATE | VM_FLAG_DROPPABLE | VM_FLAG_ANON | VM_FLAG_GROWSDOWN |
					VM_FLAG_NORESERVE));
}

static int plan_map(struct mm_plan *mp, const VmaEntry *v, int prot, struct err *err)
{
	uint64_t flags = map_flags(v);
	uint64_t len = v->end - v->start, huge = v->flags & VM_FLAG_HUGETLB ? v->flags & VM_FLAGS_HUGE : 0;
	uint32_t slot;
	int ret;

	if (v->status & (VS_FILE_PRIVATE | VS_FILE_SHARED | VS_MEMFD))
		return plan_map_file(mp, v, prot, flags, err);
	if (!(v->status & VS_ANON_SHARED) || shmem_is_direct(mp->m, v)) {
		program_call_eq(mp->prog, TASK_MAP, v->status & VS_HEAP ? "heap" : "", (int64_t)v->start, SYS_mmap,
				A(v->start), A(len), A((uint64_t)prot), A(flags | huge | MAP_ANONYMOUS), A((uint64_t)-1),
				A(0));
		return 0;
	}
	ret = shmem_slot(mp->m, mp->plan, v->shmid, &slot, err);
	if (ret)
		return err_object(err, ret, "mapping %lx-%lx", v->start, v->end);
	if (v->status & VS_SYSV)
		return sysv_map(mp, v, model_shmem(mp->m, v->shmid), err);
	program_call_eq(mp->prog, TASK_MAP, "shared memory", (int64_t)v->start, SYS_mmap, A(v->start), A(len),
			A((uint64_t)prot), A(flags & ~(uint64_t)MAP_ANONYMOUS), A_SLOT(slot), A(v->pgoff));
	return 0;
}

static uint64_t advice_of(const VmaEntry *v, uint64_t bits)
{
	/* MAP_DROPPABLE brings its advice with it */
	return v->has_madv && !(v->flags & VM_FLAG_DROPPABLE) ? v->madv & bits : 0;
}

static void plan_advice(struct mm_plan *mp, int phase, const VmaEntry *v, uint64_t end, uint64_t bits)
{
	uint64_t set = advice_of(v, bits);

	for (int advice = 0; set && advice < 64; advice++)
		if (set & 1ull << advice)
			program_call(mp->prog, phase, "advice", SYS_madvise, A(v->start), A(end - v->start), A((uint64_t)advice));
}

/* ---- runs ---- */

/*
 * Neighbours that differ in nothing but whether they may be read and written, as stacks of threads and the guards between them, are
 * mapped as one and split by mprotect(2): half of the steps. What comes out is the same, also in what is accounted: where one of them
 * may not be written to, so may the whole at first not (mprotect_fixup() in mm/mprotect.c accounts what becomes writable, and
 * takes nothing back).
 */
static bool is_plain(const struct mm_plan *mp, size_t i)
{
	const VmaEntry *v = mp->task->mm->vmas[i];

	return v->status == (VS_REGULAR | VS_ANON_PRIVATE) && !mp->kept[i] && !(v->prot & ~(uint32_t)(PROT_READ | PROT_WRITE)) &&
	       !(v->flags & (VM_FLAG_SHARED | VM_FLAG_DROPPABLE | VM_FLAG_GROWSDOWN | VM_FLAG_HUGETLB));
}

/* The end of the run that begins with mapping i: at least i + 1. */
static size_t run_end(const struct mm_plan *mp, size_t i)
{
	const MmEntry *mm = mp->task->mm;
	size_t k = i + 1;

	if (is_plain(mp, i))
		while (k < mm->n_vmas && is_plain(mp, k) && mm->vmas[k]->start == mm->vmas[k - 1]->end &&
		       map_flags(mm->vmas[k]) == map_flags(mm->vmas[i]) &&
		       advice_of(mm->vmas[k], EARLY_ADVICE) == advice_of(mm->vmas[i], EARLY_ADVICE))
			k++;
	return k;
}

/* The protection with which the whole is mapped: that of most. */
static int common_prot(const unsigned char *prot, size_t n)
{
	size_t count[4] = { 0 };
	int best = 3;

	for (size_t i = 0; i < n; i++)
		count[prot[i]]++;
	if (count[PROT_NONE] || count[PROT_READ])
		return count[PROT_NONE] >= count[PROT_READ] ? PROT_NONE : PROT_READ;
	if (count[PROT_WRITE] > count[best])
		best = PROT_WRITE;
	return best;
}

static void plan_run(struct mm_plan *mp, size_t from, size_t to, size_t *cursor)
{
	VmaEntry *const *v = mp->task->mm->vmas;
	cleanup_free unsigned char *prot = xmalloc(to - from);
	int all;

	for (size_t i = from; i < to; i++)
		prot[i - from] = (unsigned char)load_prot(mp, v[i], cursor);
	all = common_prot(prot, to - from);
	program_call_eq(mp->prog, TASK_MAP, "", (int64_t)v[from]->start, SYS_mmap, A(v[from]->start),
			A(v[to - 1]->end - v[from]->start), A((uint64_t)all), A(map_flags(v[from]) | MAP_ANONYMOUS),
			A((uint64_t)-1), A(0));
	plan_advice(mp, TASK_MAP, v[from], v[to - 1]->end, EARLY_ADVICE);
	for (size_t i = from, next; i < to; i = next) {
		for (next = i + 1; next < to && prot[next - from] == prot[i - from];)
			next++;
		if (prot[i - from] != all)
			program_call(mp->prog, TASK_MAP, "part of it", SYS_mprotect, A(v[i]->start),
				     A(v[next - 1]->end - v[i]->start), A(prot[i - from]));
	}
}

int plan_mappings(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	size_t cursor = 0, next;
	int ret = 0;

	for (size_t i = 0; !ret && i < mm->n_vmas; i = next) {
		const VmaEntry *v = mm->vmas[i];

		next = i + 1;
		if (!plan_is_mapped(mp, v) || mp->kept[i])
			continue;
		next = run_end(mp, i);
		if (next > i + 1) {
			plan_run(mp, i, next, &cursor);
			continue;
		}
		ret = plan_map(mp, v, load_prot(mp, v, &cursor), err);
		plan_advice(mp, TASK_MAP, v, v->end, EARLY_ADVICE);
	}
	return ret;
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

	pkeys_begin(mp);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!plan_is_mapped(mp, v))
			continue;
		if (!pkeys_protect(mp, v) && (mp->kept[i] || load_prot(mp, v, &cursor) != (int)v->prot))
			program_call(mp->prog, TASK_PROTECT, "protection", SYS_mprotect, A(v->start),
				     A(v->end - v->start), A(v->prot));
		if (!(v->status & VS_VDSO))
			plan_advice(mp, TASK_PROTECT, v, v->end, ~EARLY_ADVICE);
	}
	pkeys_end(mp);
	/* Before locking: the kernel installs no guards in locked memory (mm/madvise.c, is_valid_guard_vma). */
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (mm->vmas[i]->status & VS_GUARD)
			program_call(mp->prog, TASK_PROTECT, "guard", SYS_madvise, A(mm->vmas[i]->start),
				     A(mm->vmas[i]->end - mm->vmas[i]->start), A(MADV_GUARD_INSTALL));
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (plan_is_mapped(mp, mm->vmas[i]) && mm->vmas[i]->flags & VM_FLAG_LOCKED)
			plan_lock(mp, mm->vmas[i]);
	plan_late_seals(mp);
}
