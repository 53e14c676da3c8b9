// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The plan of an address space. The child begins as a copy of this process; it keeps the agent's region in a hole
 * that is free in both layouts, moves its vdso there, unmaps all else, maps what the image says, reads its own pages,
 * and at last takes back the protections under which it may not write.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common/file/table.h"
#include "common/mm/private.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
/* What the hole is at most; the agent, programs and parking places take a small part of it. */
#define HOLE_MAX (4ul << 30)
/* Below this no mapping is made: the default of vm.mmap_min_addr on every distribution. */
#define TASK_START 0x10000ul /* where ours look for room */
/* Kept free below a mapping that grows down: the stack guard gap and room to grow. */
#define GROW_ROOM (64ul << 20)

/* ---- ranges ---- */

void ranges_add(struct ranges *r, uint64_t start, uint64_t len)
{
	array_reserve(&r->v, &r->cap, r->n, sizeof(*r->v));
	r->v[r->n++] = (struct vdso_area){ start, len };
}

static int by_start(const void *va, const void *vb)
{
	const struct vdso_area *a = va, *b = vb;

	return (a->start > b->start) - (a->start < b->start);
}

void ranges_sort(struct ranges *r)
{
	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), by_start);
}

uint64_t ranges_gap(const struct ranges *r, uint64_t len, uint64_t *room)
{
	uint64_t from = TASK_START, best = 0, at = 0;

	for (size_t i = 0; i <= r->n; i++) {
		uint64_t to = i < r->n ? MIN(r->v[i].start, TASK_END) : TASK_END;

		if (to > from && to - from > best) {
			best = to - from;
			at = from;
		}
		if (i < r->n)
			from = MAX(from, r->v[i].start + r->v[i].len);
	}
	*room = best;
	if (best < len)
		return 0;
	return (at + (best - len) / 2) & ~(PAGE_BYTES - 1);
}

void ranges_release(struct ranges *r)
{
	free(r->v);
}

/* ---- this process ---- */

int vdso_here(struct arena *arena, struct vdso_here *here, struct err *err)
{
	cleanup_fd int fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proc_maps maps;
	int ret;

	memset(here, 0, sizeof(*here));
	if (fd < 0)
		return err_sys(err, "cannot open /proc/self");
	ret = proc_maps(fd, arena, &maps, err);
	if (ret)
		return ret;
	here->maps = arena_alloc(arena, maps.n * sizeof(*here->maps));
	for (size_t i = 0; i < maps.n; i++) {
		const struct proc_map *m = &maps.v[i];
		struct vdso_area a = { m->start, m->end - m->start };

		here->maps[here->nmaps++] = a;
		if (!strcmp(m->name, "[vdso]"))
			here->vdso = a;
		else if ((!strcmp(m->name, "[vvar]") || !strcmp(m->name, "[vvar_vclock]")) &&
			 here->nvvar < ARRAY_SIZE(here->vvar))
			here->vvar[here->nvvar++] = a;
	}
	here->image = (const void *)(uintptr_t)here->vdso.start;
	return 0;
}

/* ---- parts of the program ---- */

static void add_used(struct ranges *used, const MmEntry *mm)
{
	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		uint64_t below = v->flags & VM_FLAG_GROWSDOWN ? MIN(GROW_ROOM, v->start) : 0;

		if (!(v->status & (VS_VSYSCALL | VS_GUARD)))
			ranges_add(used, v->start - below, v->end - v->start + below);
	}
}

static void add_here(struct ranges *used, const struct vdso_here *here)
{
	for (size_t i = 0; i < here->nmaps; i++)
		ranges_add(used, here->maps[i].start, here->maps[i].len);
}

static void add_vdso(struct ranges *used, const struct vdso_here *here)
{
	for (size_t i = 0; i < here->nvvar; i++)
		ranges_add(used, here->vvar[i].start, here->vvar[i].len);
	if (here->vdso.len)
		ranges_add(used, here->vdso.start, here->vdso.len);
}

static uint64_t parking_len(const struct vdso_here *here)
{
	uint64_t len = here->vdso.len;

	for (size_t i = 0; i < here->nvvar; i++)
		len += here->vvar[i].len;
	return len;
}

int plan_hole_at(const struct model *m, const struct vdso_here *here, struct plan *plan, struct err *err)
{
	uint64_t room, len, parking = parking_len(here);
	struct ranges used = { 0 };
	int ret = 0;

	for (size_t i = 0; i < m->ntasks; i++)
		add_used(&used, m->tasks[i].mm);
	add_here(&used, here);
	ranges_sort(&used);
	/* The middle of the largest gap: far from every heap, stack and library that may grow meanwhile. */
	ranges_gap(&used, 0, &room);
	len = MIN(HOLE_MAX, room / 2) & ~(PAGE_BYTES - 1);
	plan->hole = ranges_gap(&used, len, &room);
	plan->hole_len = len - parking;
	if (len < parking + (1 << 20))
		ret = err_set(err, ERR_FEATURE, 0, "the address space has no gap for the time of the restore");
	ranges_release(&used);
	return ret;
}

int plan_hole(const struct model *m, struct plan *plan, struct err *err)
{
	plan->here = arena_alloc(plan->arena, sizeof(*plan->here));
	int ret = vdso_here(plan->arena, plan->here, err);

	return ret ? ret : plan_hole_at(m, plan->here, plan, err);
}

static void take_hole(struct mm_plan *mp)
{
	mp->pt->hole = mp->plan->hole;
	mp->pt->hole_len = mp->plan->hole_len;
	mp->park = mp->pt->hole + mp->pt->hole_len;
	add_used(&mp->used, mp->task->mm);
	add_here(&mp->used, mp->here);
	add_vdso(&mp->used, mp->here);
	ranges_add(&mp->used, mp->pt->hole, mp->pt->hole_len + parking_len(mp->here));
	ranges_sort(&mp->used);
}

/* Makes itself bare, because it makes others. */
static bool is_made_bare(const struct plan_task *pt)
{
	return pt->births && !pt->copy_of && !pt->bare_born;
}

/* Everything but the agent's home, vvar and vdso goes before children are made: what is not there need not be copied. */
static void plan_bare(struct mm_plan *mp, const struct vdso_here *begin)
{
	struct ranges kept = { 0 };
	uint64_t from = 0;

	ranges_add(&kept, mp->pt->hole, mp->pt->hole_len + parking_len(begin));
	add_vdso(&kept, begin);
	ranges_sort(&kept);
	for (size_t i = 0; i <= kept.n; i++) {
		uint64_t to = i < kept.n ? kept.v[i].start : TASK_END;

		if (to > from)
			program_call(mp->prog, TASK_BARE, "nothing to copy", SYS_munmap, A(from), A(to - from));
		if (i < kept.n)
			from = kept.v[i].start + kept.v[i].len;
	}
	ranges_release(&kept);
	plan_vdso_move(mp->prog, TASK_BARE, begin, mp->here);
}

static bool merges(const MmEntry *mm)
{
	return mm->has_memory_merge && mm->memory_merge;
}

static void plan_unmap(struct mm_plan *mp)
{
	const MmEntry *mm = mp->task->mm;
	uint64_t end = mp->park + parking_len(mp->here);

	/* Before the first page is touched: huge pages that the task did not want would change what it sees of
	 * itself. */
	program_call(mp->prog, TASK_UNMAP, "huge pages", SYS_prctl, A(PR_SET_THP_DISABLE),
		     A(mm->has_thp_disabled && mm->thp_disabled), A(0), A(0), A(0));
	/* It would merge what the task has, and show in all of its mappings. */
	if (!merges(mm) && (mp->pt->copy_of ? merges(mp->m->tasks[mp->pt->copy_of->index].mm) : mp->plan->merging))
		program_call(mp->prog, TASK_UNMAP, "no page merging", SYS_prctl, A(PR_SET_MEMORY_MERGE), A(0), A(0), A(0), A(0));
	if (!mp->direct)
		plan_vdso_away(mp);
	if (!mp->pt->bare_born && !is_made_bare(mp->pt)) /* of a bare process there is nothing */
		plan_cow_unmap(mp, end);
	if (mp->direct)
		plan_vdso_away(mp);
}

/* The executable is changed for another one only while nothing of the old one is mapped (kernel/fork.c, replace_mm_exe_file()), and the
 * old one is ours: who maps that gets its own before its mappings. */
static bool maps_us(const struct model *m, const struct model_task *t, const struct plan *plan)
{
	for (size_t i = 0; plan->executable && i < t->mm->n_vmas; i++) {
		const VmaEntry *v = t->mm->vmas[i];
		const RegFileEntry *reg = v->status & (VS_FILE_PRIVATE | VS_FILE_SHARED) && !(v->status & VS_MEMFD) ?
			model_reg(m, (uint32_t)v->shmid) : NULL;

		if (reg && !strcmp(reg->name, plan->executable))
			return true;
	}
	return false;
}

/* A copy of such a task has its executable, and maybe its mappings. */
static bool keeps_exe(const struct mm_plan *mp)
{
	const struct model_task *from = mp->pt->copy_of ? &mp->m->tasks[mp->pt->copy_of->index] : NULL;
	const RegFileEntry *own, *theirs;

	if (!from || !from->mm || !maps_us(mp->m, from, mp->plan))
		return false;
	own = model_reg(mp->m, mp->task->mm->exe_file_id);
	theirs = model_reg(mp->m, from->mm->exe_file_id);
	return own && theirs && !strcmp(own->name, theirs->name);
}

/* Fields of mm_struct in one call (kernel/sys.c, prctl_set_mm_map): it needs no CAP_SYS_RESOURCE. */
static int plan_fields(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;
	struct program *p = mp->prog;
	struct data_ref auxv = program_data(p, mm->mm_saved_auxv, mm->n_mm_saved_auxv * sizeof(uint64_t));
	struct prctl_mm_map map = {
		.start_code = mm->mm_start_code, .end_code = mm->mm_end_code, .start_data = mm->mm_start_data,
		.end_data = mm->mm_end_data, .start_brk = mm->mm_start_brk, .brk = mm->mm_brk,
		.start_stack = mm->mm_start_stack, .arg_start = mm->mm_arg_start, .arg_end = mm->mm_arg_end,
		.env_start = mm->mm_env_start, .env_end = mm->mm_env_end,
		.auxv_size = (uint32_t)(mm->n_mm_saved_auxv * sizeof(uint64_t)),
	};
	const bool kept = keeps_exe(mp);
	struct data_ref data;
	uint32_t exe;
	int ret = plan_file_slot(mp->m, mp->plan, FD_TYPES__REG, mm->exe_file_id, O_RDONLY, &exe, err);

	if (ret)
		return err_object(err, ret, "executable");
	map.exe_fd = UINT32_MAX;
	data = program_data(p, &map, sizeof(map));
	program_data_pointer(p, data, offsetof(struct prctl_mm_map, auxv), auxv, 0);
	if (!kept)
		program_data_slot(p, data, offsetof(struct prctl_mm_map, exe_fd), exe);
	program_call(p, maps_us(mp->m, mp->task, mp->plan) ? TASK_UNMAP : TASK_MM, "addresses, auxv, executable", SYS_prctl,
		     A(PR_SET_MM), A(PR_SET_MM_MAP), A_DATA(data), A(sizeof(map)), A(0));
	return 0;
}

/* 2 (only root may look) is the kernel's to give: 0 is as strict, and what a change of credentials leaves by default. */
static void plan_dumpable(const MmEntry *mm, struct program *p)
{
	program_call(p, THREAD_AFTER_CREDS, "dumpable", SYS_prctl, A(PR_SET_DUMPABLE),
		     A(!mm->has_dumpable || mm->dumpable == 1), A(0), A(0), A(0));
}

/* All is the owner's but what a change of credentials, also by this task, sets back (commit_creds() in kernel/cred.c). */
void plan_mm_shared(const struct model *m, struct plan_task *pt)
{
	plan_dumpable(m->tasks[pt->vm_of->index].mm, pt->threads[0].prog);
}

static void plan_switches(struct mm_plan *mp)
{
	const MmEntry *mm = mp->task->mm;
	struct program *p = mp->prog;

	if (merges(mm))
		program_call(p, TASK_MM, "page merging", SYS_prctl, A(PR_SET_MEMORY_MERGE), A(1), A(0), A(0), A(0));
	if (mm->has_mlock_future && mm->mlock_future)
		program_call(p, TASK_MM, "what is mapped from now on is locked", SYS_mlockall, A(mm->mlock_future));
	plan_dumpable(mm, p);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (v->has_vm_flags_extra && v->vm_flags_extra & VMX_SEALED &&
		    !(v->status & (VS_VDSO | VS_VVAR | VS_VSYSCALL)))
			program_call(p, TASK_SEAL, "sealed", SYS_mseal, A(v->start), A(v->end - v->start), A(0));
	}
}

static int check_image(const MmEntry *mm, struct err *err)
{
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (v->status & VS_VSYSCALL)
			continue;
		if (v->end > TASK_END) /* whether the lowest may be had, mmap(2) says: vm.mmap_min_addr, CAP_SYS_RAWIO */
			return err_set(err, ERR_FEATURE, 0, "mapping %lx-%lx cannot be made on this kernel", v->start,
				       v->end);
	}
	return 0;
}

/* Where children that are copies of this task find vvar and vdso. */
static void tell_after(struct mm_plan *mp)
{
	struct vdso_here *after = mp->pt->after = arena_dup(mp->plan->arena, mp->here, sizeof(*mp->here));
	uint64_t at = mp->keep_vdso && mp->vvar ? mp->vvar->start : mp->park;

	after->nmaps = 0;
	for (size_t i = 0; i < after->nvvar; i++) {
		after->vvar[i].start = at;
		at += after->vvar[i].len;
	}
	after->vdso.start = mp->keep_vdso ? mp->vdso->start : at;
	if (!mp->vdso)
		after->nvvar = after->vdso.len = 0;
}

int plan_mm_at(const struct model *m, const struct model_task *task, const struct vdso_here *here, struct plan *plan,
	       struct plan_task *pt, struct err *err)
{
	struct mm_plan mp = { .m = m, .task = task, .here = here, .plan = plan, .pt = pt, .prog = pt->threads[0].prog };
	int ret = check_image(task->mm, err);

	if (!ret)
		ret = pkeys_need(task->mm, &mp.keys, err);
	pt->set = &task->pages;
	take_hole(&mp);
	if (!ret)
		ret = plan_vdso_choose(&mp, err);
	if (!ret) {
		plan_cow_choose(&mp);
		if (is_made_bare(pt))
			plan_bare(&mp, plan->here);
		plan_unmap(&mp);
		plan_cow_prepare(&mp);
		ret = plan_aio(&mp, err);
	}
	if (!ret)
		ret = plan_mappings(&mp, err);
	if (!ret)
		ret = plan_policies(&mp, err);
	if (!ret)
		ret = plan_content(&mp, err);
	if (!ret)
		ret = plan_vdso_place(&mp, err);
	if (!ret) {
		plan_protect(&mp);
		ret = plan_fields(&mp, err);
	}
	if (!ret) {
		plan_switches(&mp);
		tell_after(&mp);
	}
	ranges_release(&mp.used);
	return ret;
}

int plan_mm(const struct model *m, const struct model_task *task, struct plan *plan, struct plan_task *pt,
	    struct err *err)
{
	const struct vdso_here *here = pt->copy_of ? pt->copy_of->after : plan->here;

	if (pt->bare_born || is_made_bare(pt)) {
		if (!plan->bare) {
			plan->bare = arena_dup(plan->arena, plan->here, sizeof(*plan->here));
			plan_vdso_bare(m, plan->here, plan->hole + plan->hole_len, plan->bare);
		}
		here = plan->bare;
	}
	return plan_mm_at(m, task, here, plan, pt, err);
}
