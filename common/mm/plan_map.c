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

/* Protection while content is loaded. */
static int load_prot(const struct mm_plan *mp, const VmaEntry *v, size_t *cursor)
{
	if (v->status & VS_SYSV)
		return sysv_attached_prot(v);
	if (v->status & VS_ANON_SHARED && shmem_is_direct(mp->m, v))
		return (int)v->prot | PROT_READ | PROT_WRITE;
	if (v->status & (VS_FILE_SHARED | VS_ANON_SHARED) || !has_pages(mp->task, v, cursor))
		return (int)v->prot;
	return (int)v->prot | PROT_WRITE;
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
	uint64_t flags = MAP_FIXED | (v->flags & (VM_FLAG_SHARED | VM_FLAG_PRIVATE | VM_FLAG_DROPPABLE | VM_FLAG_ANON |
						  VM_FLAG_GROWSDOWN | VM_FLAG_NORESERVE));
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
	int ret = 0;

	for (size_t i = 0; !ret && i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!plan_is_mapped(mp, v) || mp->kept[i])
			continue;
		ret = plan_map(mp, v, load_prot(mp, v, &cursor), err);
		plan_advice(mp, TASK_MAP, v, EARLY_ADVICE);
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

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!plan_is_mapped(mp, v))
			continue;
		if (mp->kept[i] || load_prot(mp, v, &cursor) != (int)v->prot)
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
		if (plan_is_mapped(mp, mm->vmas[i]) && mm->vmas[i]->flags & VM_FLAG_LOCKED)
			plan_lock(mp, mm->vmas[i]);
	plan_late_seals(mp);
}
