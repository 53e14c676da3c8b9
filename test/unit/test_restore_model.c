/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every damaged or contradictory checkpoint gives one line that names image and entry, and no process. */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/restore/model.h"

/* A small sound checkpoint: one task with two threads, four mappings, three descriptors. Cases change it. */
struct set {
	struct arena *arena;
	InventoryEntry *inv;
	PstreeEntry *tree;
	TaskKobjIdsEntry *ids;
	CoreEntry *core[2];
	MmEntry *mm;
	FsEntry *fs;
	FdinfoEntry *fd[3];
	FileEntry *file[4];
	PagemapHead *head;
	PagemapEntry *page[2];
	RemapFilePathEntry *remap;
	MemfdInodeEntry *memfd;
	PipeDataEntry *pipe_data;
	size_t nfds, nfiles, npages, page_bytes, pipe_bytes;
	unsigned skip; /* images that are not written: 1 << enum image_kind, for kinds below 32 */
	bool twice;    /* pstree */
};

enum { PID = 4711, TID = 4712, FILES_ID = 2 };

static CoreEntry *new_core(struct arena *a, bool leader)
{
	CoreEntry *c = arena_msg(a, CoreEntry, core_entry__init);
	ThreadCoreEntry *t = arena_msg(a, ThreadCoreEntry, thread_core_entry__init);
	CredsEntry *cr = arena_msg(a, CredsEntry, creds_entry__init);
	uint32_t *zero = arena_alloc(a, 4 * 64);
	ThreadInfoX86 *ti = arena_msg(a, ThreadInfoX86, thread_info_x86__init);

	ti->gpregs = arena_msg(a, UserX86RegsEntry, user_x86_regs_entry__init);
	ti->gpregs->cs = 0x33;
	ti->gpregs->ss = 0x2b;
	ti->fpregs = arena_msg(a, UserX86FpregsEntry, user_x86_fpregs_entry__init);
	ti->fpregs->n_st_space = 32;
	ti->fpregs->st_space = zero;
	ti->fpregs->n_xmm_space = 64;
	ti->fpregs->xmm_space = zero;
	c->mtype = CORE_ENTRY__MARCH__X86_64;
	c->thread_info = ti;
	c->thread_core = t;
	t->creds = cr;
	cr->n_cap_inh = cr->n_cap_prm = cr->n_cap_eff = cr->n_cap_bnd = 2;
	cr->cap_inh = cr->cap_prm = cr->cap_eff = cr->cap_bnd = zero;
	if (leader) {
		TaskCoreEntry *tc = c->tc = arena_msg(a, TaskCoreEntry, task_core_entry__init);
		TaskTimersEntry *tm = tc->timers = arena_msg(a, TaskTimersEntry, task_timers_entry__init);

		tc->task_state = 1;
		tc->comm = arena_strdup(a, "case");
		tm->real = arena_msg(a, ItimerEntry, itimer_entry__init);
		tm->virt = arena_msg(a, ItimerEntry, itimer_entry__init);
		tm->prof = arena_msg(a, ItimerEntry, itimer_entry__init);
		tc->rlimits = arena_msg(a, TaskRlimitsEntry, task_rlimits_entry__init);
		tc->rlimits->n_rlimits = 16;
		tc->rlimits->rlimits = arena_alloc(a, 17 * sizeof(void *));
		for (int i = 0; i < 17; i++)
			tc->rlimits->rlimits[i] = arena_msg(a, RlimitEntry, rlimit_entry__init);
		tc->n_sigactions = 62;
		tc->sigactions = arena_alloc(a, 63 * sizeof(void *));
		for (int i = 0; i < 63; i++)
			tc->sigactions[i] = arena_msg(a, SaEntry, sa_entry__init);
	}
	return c;
}

static VmaEntry *new_vma(struct arena *a, uint64_t start, uint64_t end, uint32_t flags, uint32_t status, uint64_t id)
{
	VmaEntry *v = arena_msg(a, VmaEntry, vma_entry__init);

	v->start = start;
	v->end = end;
	v->prot = 3;
	v->flags = flags;
	v->status = status;
	v->shmid = id;
	v->fd = -1;
	return v;
}

static FileEntry *new_reg(struct arena *a, uint32_t id, const char *name)
{
	FileEntry *f = arena_msg(a, FileEntry, file_entry__init);

	f->type = FD_TYPES__REG;
	f->id = id;
	f->reg = arena_msg(a, RegFileEntry, reg_file_entry__init);
	f->reg->id = id;
	f->reg->name = arena_strdup(a, name);
	f->reg->fown = arena_msg(a, FownEntry, fown_entry__init);
	return f;
}

static PagemapEntry *new_pages(struct arena *a, uint64_t addr, uint64_t n)
{
	PagemapEntry *e = arena_msg(a, PagemapEntry, pagemap_entry__init);

	e->vaddr = addr;
	e->has_nr_pages = e->has_flags = true;
	e->nr_pages = n;
	e->flags = 4;
	return e;
}

static void new_set(struct set *s)
{
	struct arena *a = arena_new();

	*s = (struct set){ .arena = a, .nfds = 3, .nfiles = 4, .npages = 2, .page_bytes = 3 * 4096, .pipe_bytes = 5 };
	s->inv = arena_msg(a, InventoryEntry, inventory_entry__init);
	s->inv->img_version = 2;
	s->inv->has_fdinfo_per_id = s->inv->fdinfo_per_id = true;
	s->inv->root_ids = arena_msg(a, TaskKobjIdsEntry, task_kobj_ids_entry__init);
	s->inv->root_ids->files_id = 1;
	s->inv->root_ids->has_net_ns_id = true;
	s->inv->root_ids->net_ns_id = 7;
	s->inv->has_root_cg_set = true;
	s->inv->root_cg_set = 1;
	s->tree = arena_msg(a, PstreeEntry, pstree_entry__init);
	s->tree->pid = s->tree->pgid = s->tree->sid = PID;
	s->tree->n_threads = 2;
	s->tree->threads = arena_alloc(a, 2 * sizeof(uint32_t));
	s->tree->threads[0] = PID;
	s->tree->threads[1] = TID;
	s->ids = arena_msg(a, TaskKobjIdsEntry, task_kobj_ids_entry__init);
	s->ids->files_id = FILES_ID;
	s->ids->has_net_ns_id = true;
	s->ids->net_ns_id = 7;
	s->core[0] = new_core(a, true);
	s->core[1] = new_core(a, false);
	s->mm = arena_msg(a, MmEntry, mm_entry__init);
	s->mm->exe_file_id = 1;
	s->mm->n_vmas = 4;
	s->mm->vmas = arena_alloc(a, 5 * sizeof(void *));
	s->mm->vmas[0] = new_vma(a, 0x400000, 0x402000, 2, 0x41, 1);
	s->mm->vmas[1] = new_vma(a, 0x402000, 0x404000, 0x22, 0x201, 0);
	s->mm->vmas[2] = new_vma(a, 0x500000, 0x501000, 1, 0x4081, 9);
	s->mm->vmas[3] = new_vma(a, 0x600000, 0x602000, 0x22, 0x201, 0);
	s->fs = arena_msg(a, FsEntry, fs_entry__init);
	s->fs->cwd_id = s->fs->root_id = 2;
	s->file[0] = new_reg(a, 2, "/");
	s->file[1] = new_reg(a, 1, "/bin/true");
	s->file[2] = arena_msg(a, FileEntry, file_entry__init);
	s->file[2]->type = FD_TYPES__PIPE;
	s->file[2]->id = 3;
	s->file[2]->pipe = arena_msg(a, PipeEntry, pipe_entry__init);
	s->file[2]->pipe->id = 3;
	s->file[2]->pipe->pipe_id = 77;
	s->file[2]->pipe->fown = arena_msg(a, FownEntry, fown_entry__init);
	s->file[3] = arena_msg(a, FileEntry, file_entry__init);
	s->file[3]->type = FD_TYPES__MEMFD;
	s->file[3]->id = 9;
	s->file[3]->memfd = arena_msg(a, MemfdFileEntry, memfd_file_entry__init);
	s->file[3]->memfd->id = 9;
	s->file[3]->memfd->inode_id = 5;
	s->file[3]->memfd->fown = arena_msg(a, FownEntry, fown_entry__init);
	for (uint32_t i = 0; i < 3; i++) {
		s->fd[i] = arena_msg(a, FdinfoEntry, fdinfo_entry__init);
		s->fd[i]->fd = i;
		s->fd[i]->id = i == 2 ? 3 : 1;
		s->fd[i]->type = i == 2 ? FD_TYPES__PIPE : FD_TYPES__REG;
	}
	s->head = arena_msg(a, PagemapHead, pagemap_head__init);
	s->head->pages_id = 1;
	s->page[0] = new_pages(a, 0x401000, 2); /* over two mappings that touch */
	s->page[1] = new_pages(a, 0x601000, 1);
	s->memfd = arena_msg(a, MemfdInodeEntry, memfd_inode_entry__init);
	s->memfd->name = arena_strdup(a, "m");
	s->memfd->inode_id = 5;
	s->memfd->size = 4096;
	s->memfd->shmid = 12;
	s->pipe_data = arena_msg(a, PipeDataEntry, pipe_data_entry__init);
	s->pipe_data->pipe_id = 77;
	s->pipe_data->bytes = 5;
}

static void put(struct image_store *st, const struct set *s, enum image_kind kind, unsigned long id, const void *msg)
{
	if (!(s->skip & 1u << kind))
		image_store_put(st, kind, id, msg);
}

static void put_raw(struct image_store *st, enum image_kind kind, unsigned long id, size_t n)
{
	struct err err = ERR_INIT;
	int fd;

	assert_int_equal(image_store_raw(st, kind, id, &fd, &err), 0);
	assert_int_equal(ftruncate(fd, (off_t)n), 0);
}

static void write_set(const struct set *s, const char *dir)
{
	struct image_store *st = NULL;
	struct err err = ERR_INIT;
	PagemapHead shm = PAGEMAP_HEAD__INIT;

	assert_int_equal(image_store_open(dir, &st, &err), 0);
	put(st, s, IMG_INVENTORY, 0, s->inv);
	put(st, s, IMG_PSTREE, 0, s->tree);
	if (s->twice) {
		PstreeEntry child = *s->tree;
		uint32_t tid = 5000;

		child.pid = tid;
		child.ppid = PID;
		child.n_threads = 1;
		child.threads = &tid;
		put(st, s, IMG_PSTREE, 0, &child);
	}
	put(st, s, IMG_IDS, PID, s->ids);
	put(st, s, IMG_CORE, PID, s->core[0]);
	put(st, s, IMG_CORE, TID, s->core[1]);
	put(st, s, IMG_MM, PID, s->mm);
	image_store_put(st, IMG_FS, PID, &s->fs->base);
	for (size_t i = 0; i < s->nfds; i++)
		put(st, s, IMG_FDINFO, FILES_ID, s->fd[i]);
	for (size_t i = 0; i < s->nfiles; i++)
		image_store_put(st, IMG_FILES, 0, &s->file[i]->base);
	put(st, s, IMG_PAGEMAP, PID, s->head);
	for (size_t i = 0; i < s->npages; i++)
		put(st, s, IMG_PAGEMAP, PID, s->page[i]);
	if (s->page_bytes)
		put_raw(st, IMG_PAGES, 1, s->page_bytes);
	image_store_put(st, IMG_MEMFD_INODE, 0, &s->memfd->base);
	shm.pages_id = 2;
	image_store_put(st, IMG_SHMEM_PAGEMAP, 12, &shm.base);
	image_store_put(st, IMG_PIPES_DATA, 0, &s->pipe_data->base);
	image_store_payload(st, IMG_PIPES_DATA, 0, "hello", s->pipe_bytes);
	if (s->remap)
		image_store_put(st, IMG_REMAP_FPATH, 0, &s->remap->base);
	if (image_store_commit(st, &err))
		fail_msg("%s: %s", err.object, err.reason);
	image_store_free(st);
}

/* ---- the cases ---- */

#define CASE(name) static void name(struct set *s)
CASE(sound) {}
CASE(minimal) { s->npages = 0; s->page_bytes = 0; s->nfds = 0; s->skip = 1u << IMG_FDINFO; }
CASE(version) { s->inv->img_version = 9; }
CASE(no_root_ids) { s->inv->root_ids = NULL; }
CASE(per_pid) { s->inv->fdinfo_per_id = false; }
CASE(no_tree) { s->skip = 1u << IMG_PSTREE; }
CASE(zombie) { s->tree->n_threads = 1; s->tree->threads[0] = 0; }
CASE(no_threads) { s->tree->n_threads = 0; }
CASE(wrong_leader) { s->tree->threads[0] = 99; }
CASE(same_tid) { s->tree->threads[1] = PID; }
CASE(two_tasks) { s->twice = true; }
CASE(container) { s->tree->pid = 1; s->tree->threads[0] = 1; }
CASE(no_ids) { s->skip = 1u << IMG_IDS; }
CASE(no_core) { s->skip = 1u << IMG_CORE; }
CASE(no_mm) { s->skip = 1u << IMG_MM; }
CASE(no_pagemap) { s->skip = 1u << IMG_PAGEMAP; }
CASE(root_files_id) { s->ids->files_id = 1; s->skip = 1u << IMG_FDINFO; }
CASE(namespace) { s->ids->net_ns_id = 8; }
CASE(march) { s->core[0]->mtype = CORE_ENTRY__MARCH__AARCH64; }
CASE(no_tc) { s->core[0]->tc = NULL; }
CASE(thread_tc) { s->core[1]->tc = s->core[0]->tc; }
CASE(no_thread_core) { s->core[1]->thread_core = NULL; }
CASE(no_creds) { s->core[1]->thread_core->creds = NULL; }
CASE(cap_words) { s->core[0]->thread_core->creds->n_cap_bnd = 1; }
CASE(state) { s->core[0]->tc->task_state = 5; }
CASE(dead) { s->core[0]->tc->task_state = 2; }
CASE(sigactions) { s->core[0]->tc->n_sigactions = 61; }
CASE(rlimits) { s->core[0]->tc->rlimits->n_rlimits = 17; }
CASE(no_timers) { s->core[0]->tc->timers = NULL; }
CASE(itimer) { s->core[0]->tc->timers->virt->vusec = 1000000; }
CASE(seccomp) { s->core[1]->thread_core->has_seccomp_mode = true; s->core[1]->thread_core->seccomp_mode = SECCOMP_MODE__filter; }
CASE(seccomp_index)
{
	ThreadCoreEntry *c = s->core[1]->thread_core;

	c->has_seccomp_mode = c->has_seccomp_filter = true;
	c->seccomp_mode = SECCOMP_MODE__filter;
	c->seccomp_filter = 7;
}
CASE(cgroup) { s->core[1]->thread_core->has_cg_set = true; s->core[1]->thread_core->cg_set = 4; }
CASE(sched) { s->core[1]->thread_core->has_sched_policy = true; s->core[1]->thread_core->sched_policy = 1; }
CASE(long_name) { s->core[0]->tc->comm = arena_strdup(s->arena, "0123456789abcdef"); }
CASE(st_space) { s->core[0]->thread_info->fpregs->n_st_space = 16; }
CASE(posix_timer)
{
	TaskTimersEntry *t = s->core[0]->tc->timers;

	t->n_posix = 2;
	t->posix = arena_alloc(s->arena, 2 * sizeof(void *));
	for (int i = 0; i < 2; i++) {
		t->posix[i] = arena_msg(s->arena, PosixTimerEntry, posix_timer_entry__init);
		t->posix[i]->si_signo = 14;
		t->posix[i]->it_id = 3;
	}
}
CASE(posix_timer_thread)
{
	posix_timer(s);
	s->core[0]->tc->timers->n_posix = 1;
	s->core[0]->tc->timers->posix[0]->it_sigev_notify = 4;
	s->core[0]->tc->timers->posix[0]->has_notify_thread_id = true;
	s->core[0]->tc->timers->posix[0]->notify_thread_id = 99;
}
CASE(siginfo)
{
	SignalQueueEntry *q = arena_msg(s->arena, SignalQueueEntry, signal_queue_entry__init);

	q->n_signals = 1;
	q->signals = arena_alloc(s->arena, sizeof(void *));
	q->signals[0] = arena_msg(s->arena, SiginfoEntry, siginfo_entry__init);
	q->signals[0]->siginfo.len = 64;
	q->signals[0]->siginfo.data = arena_alloc(s->arena, 64);
	s->core[0]->thread_core->signals_p = q;
}
CASE(fd_twice) { s->fd[2]->fd = 0; }
CASE(fd_no_file) { s->fd[1]->id = 55; }
CASE(fd_wrong_type) { s->fd[1]->type = FD_TYPES__PIPE; }
CASE(fd_huge) { s->fd[1]->fd = 0xffffffff; }
CASE(fd_flags) { s->fd[1]->flags = 2; }
CASE(file_twice) { s->file[1]->id = s->file[1]->reg->id = 2; }
CASE(file_ids) { s->file[1]->reg->id = 6; }
CASE(file_no_sub) { s->file[2]->pipe = NULL; }
CASE(no_exe) { s->mm->exe_file_id = 66; }
CASE(no_cwd) { s->fs->cwd_id = 66; }
CASE(no_root) { s->fs->root_id = 66; }
CASE(unsupported)
{
	s->file[2]->type = s->fd[2]->type = FD_TYPES__BPFMAP;
	s->file[2]->pipe = NULL;
	s->file[2]->bpf = arena_msg(s->arena, BpfmapFileEntry, bpfmap_file_entry__init);
	s->file[2]->bpf->id = 3;
	s->file[2]->bpf->fown = arena_msg(s->arena, FownEntry, fown_entry__init);
	s->file[2]->bpf->map_name = arena_strdup(s->arena, "map");
}
CASE(ghost)
{
	s->remap = arena_msg(s->arena, RemapFilePathEntry, remap_file_path_entry__init);
	s->remap->orig_id = 1;
	s->remap->remap_id = 0xab;
	s->remap->has_remap_type = true;
	s->remap->remap_type = REMAP_TYPE__GHOST;
}
CASE(linked) { ghost(s); s->remap->remap_type = REMAP_TYPE__LINKED; }
CASE(procfs) { ghost(s); s->remap->remap_type = REMAP_TYPE__PROCFS; }
CASE(unused_ghost) { ghost(s); s->remap->orig_id = 1000; }
CASE(memfd_inode) { s->memfd->inode_id = 6; }
CASE(memfd_pages) { s->memfd->shmid = 13; }
CASE(pipe_short) { s->pipe_bytes = 3; }
CASE(vma_order) { s->mm->vmas[3]->start = 0x300000; s->mm->vmas[3]->end = 0x301000; }
CASE(vma_overlap) { s->mm->vmas[1]->start = 0x401000; }
CASE(vma_align) { s->mm->vmas[1]->end = 0x403800; }
CASE(vma_kernel) { s->mm->vmas[3]->end = 0xffff800000000000; }
CASE(vma_file) { s->mm->vmas[0]->shmid = 44; }
CASE(vma_memfd) { s->mm->vmas[2]->shmid = 1; }
CASE(vma_sysv) { s->mm->vmas[3]->status = 0x501; }
CASE(vma_kinds) { s->mm->vmas[3]->status = 0x241; }
CASE(vma_guard)
{
	s->mm->vmas[s->mm->n_vmas++] = new_vma(s->arena, 0x700000, 0x701000, 0, 0x10000, 0);
}
CASE(page_outside) { s->page[1]->vaddr = 0x700000; }
CASE(page_over_end) { s->page[1]->vaddr = 0x601000; s->page[1]->nr_pages = 2; s->page_bytes += 4096; }
CASE(page_shared) { s->page[1]->vaddr = 0x500000; }
CASE(page_order) { s->page[1]->vaddr = 0x400000; }
CASE(page_overlap) { s->page[1]->vaddr = 0x402000; }
CASE(page_align) { s->page[1]->vaddr = 0x601800; }
CASE(page_wrap) { s->page[1]->nr_pages = UINT64_MAX / 4096; }
CASE(page_parent) { s->page_bytes -= 4096 * s->page[1]->nr_pages; s->page[1]->flags = 1; }
CASE(page_old_parent) { s->page_bytes -= 4096 * s->page[1]->nr_pages; s->page[1]->has_flags = false; s->page[1]->has_in_parent = s->page[1]->in_parent = true; }
CASE(page_lazy) { s->page[1]->flags = 2; }
CASE(pages_short) { s->page_bytes -= 4096; }
CASE(pages_long) { s->page_bytes += 1; }
CASE(pages_missing) { s->page_bytes = 0; }
CASE(old_count) { s->page[1]->has_nr_pages = s->page[1]->has_flags = false; s->page[1]->compat_nr_pages = 1; }

static const struct {
	const char *name;
	void (*change)(struct set *s);
	enum err_kind kind;
	const char *object, *reason; /* parts of what must be said */
} cases[] = {
#define C(f, kind, object, reason) { #f, f, kind, object, reason }
	C(sound, ERR_NONE, "", ""),
	C(minimal, ERR_NONE, "", ""),
	C(old_count, ERR_NONE, "", ""),
	C(unused_ghost, ERR_NONE, "", ""),
	C(version, ERR_IMAGE, "inventory.img: entry 0", "version 9"),
	C(no_root_ids, ERR_IMAGE, "inventory.img", "root_ids"),
	C(per_pid, ERR_IMAGE, "inventory.img", "too old"),
	C(no_tree, ERR_IMAGE, "pstree.img", "no process tree"),
	C(zombie, ERR_REFUSED, "pstree.img: entry 0", "zombie"),
	C(no_threads, ERR_IMAGE, "pstree.img: entry 0", "no threads"),
	C(wrong_leader, ERR_IMAGE, "pstree.img: entry 0", "99"),
	C(same_tid, ERR_IMAGE, "pstree.img", "4711 is there twice"),
	C(two_tasks, ERR_IMAGE, "core-5000.img", "missing"),
	C(container, ERR_REFUSED, "pstree.img", "namespace"),
	C(no_ids, ERR_IMAGE, "ids-4711.img", "missing"),
	C(no_core, ERR_IMAGE, "core-4711.img", "missing"),
	C(no_mm, ERR_IMAGE, "mm-4711.img", "missing"),
	C(no_pagemap, ERR_IMAGE, "pagemap-4711.img", "missing"),
	C(root_files_id, ERR_IMAGE, "ids-4711.img", "files_id"),
	C(namespace, ERR_REFUSED, "ids-4711.img", "network namespace"),
	C(march, ERR_IMAGE, "core-4711.img", ""),
	C(no_tc, ERR_IMAGE, "core-4711.img: entry 0", "tc"),
	C(thread_tc, ERR_IMAGE, "core-4712.img", "whole task"),
	C(no_thread_core, ERR_IMAGE, "core-4712.img", "thread_core"),
	C(no_creds, ERR_IMAGE, "core-4712.img", "credentials"),
	C(cap_words, ERR_IMAGE, "core-4711.img", "two words"),
	C(state, ERR_IMAGE, "core-4711.img", "state 5"),
	C(dead, ERR_IMAGE, "core-4711.img", "disagree"),
	C(sigactions, ERR_IMAGE, "core-4711.img", "61 signal"),
	C(rlimits, ERR_IMAGE, "core-4711.img", "17 resource"),
	C(no_timers, ERR_IMAGE, "core-4711.img", "timers are missing"),
	C(itimer, ERR_IMAGE, "core-4711.img", "virtual"),
	C(seccomp, ERR_IMAGE, "core-4712.img", "filter is not given"),
	C(seccomp_index, ERR_IMAGE, "core-4712.img", "not in seccomp.img"),
	C(cgroup, ERR_IMAGE, "core-4712.img", "not in cgroup.img"),
	C(sched, ERR_IMAGE, "core-4712.img", "priority 0"),
	C(long_name, ERR_IMAGE, "core-4711.img", "15"),
	C(st_space, ERR_IMAGE, "core-4711.img", ""),
	C(posix_timer, ERR_IMAGE, "core-4711.img", "timer 3 is there twice"),
	C(posix_timer_thread, ERR_IMAGE, "core-4711.img", "thread 99"),
	C(siginfo, ERR_IMAGE, "core-4711.img", "64 bytes"),
	C(fd_twice, ERR_IMAGE, "fdinfo-2.img", "fd 0 is there twice"),
	C(fd_no_file, ERR_IMAGE, "fdinfo-2.img: entry 1", "id 55"),
	C(fd_wrong_type, ERR_IMAGE, "fdinfo-2.img: entry 1", "no PIPE with id 1"),
	C(fd_huge, ERR_IMAGE, "fdinfo-2.img: entry 1", "4294967295"),
	C(fd_flags, ERR_IMAGE, "fdinfo-2.img: entry 1", "0x2"),
	C(file_twice, ERR_IMAGE, "files.img", "REG 2 is there twice"),
	C(file_ids, ERR_IMAGE, "files.img: entry 1", "1 and 6"),
	C(file_no_sub, ERR_IMAGE, "files.img: entry 2", "PIPE 3"),
	C(no_exe, ERR_IMAGE, "mm-4711.img", "file 66"),
	C(no_cwd, ERR_IMAGE, "fs-4711.img", "working directory is file 66"),
	C(no_root, ERR_IMAGE, "fs-4711.img", "root is file 66"),
	C(unsupported, ERR_REFUSED, "fdinfo-2.img: entry 2", "BPF map"),
	C(ghost, ERR_IMAGE, "remap-fpath.img: entry 0", "ghost ab"),
	C(linked, ERR_IMAGE, "remap-fpath.img: entry 0", "file 171"),
	C(procfs, ERR_REFUSED, "remap-fpath.img: entry 0", "dead"),
	C(memfd_inode, ERR_IMAGE, "files.img", "inode 5"),
	C(memfd_pages, ERR_IMAGE, "pagemap-shmem-13.img", "missing"),
	C(pipe_short, ERR_IMAGE, "pipes-data.img", ""),
	C(vma_order, ERR_IMAGE, "mm-4711.img", "out of order"),
	C(vma_overlap, ERR_IMAGE, "mm-4711.img", "overlaps"),
	C(vma_align, ERR_IMAGE, "mm-4711.img", "no range"),
	C(vma_kernel, ERR_IMAGE, "mm-4711.img", "no range"),
	C(vma_file, ERR_IMAGE, "mm-4711.img", "no REG with id 44"),
	C(vma_memfd, ERR_IMAGE, "mm-4711.img", "no MEMFD with id 1"),
	C(vma_sysv, ERR_IMAGE, "mm-4711.img", "System V"),
	C(vma_kinds, ERR_IMAGE, "mm-4711.img", "status"),
	C(vma_guard, ERR_IMAGE, "mm-4711.img", "guard"),
	C(page_outside, ERR_IMAGE, "pagemap-4711.img: entry 2", "outside"),
	C(page_over_end, ERR_IMAGE, "pagemap-4711.img: entry 2", "602000"),
	C(page_shared, ERR_IMAGE, "pagemap-4711.img: entry 2", "pages of its own"),
	C(page_order, ERR_IMAGE, "pagemap-4711.img: entry 2", "order"),
	C(page_overlap, ERR_IMAGE, "pagemap-4711.img: entry 2", "overlaps"),
	C(page_align, ERR_IMAGE, "pagemap-4711.img: entry 2", "multiple"),
	C(page_wrap, ERR_IMAGE, "pagemap-4711.img: entry 2", "no range"),
	C(page_parent, ERR_IMAGE, "pagemap-4711.img", "parent"),
	C(page_old_parent, ERR_IMAGE, "pagemap-4711.img", "parent"),
	C(page_lazy, ERR_REFUSED, "pagemap-4711.img: entry 2", "lazy"),
	C(pages_short, ERR_IMAGE, "pages-1.img", "8192 bytes"),
	C(pages_long, ERR_IMAGE, "pages-1.img", "12289 bytes"),
	C(pages_missing, ERR_IMAGE, "pages-1.img", ""),
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

/* A failed assertion does not come back: what a test made goes with the directory of the test. */
static int make_dir(void **state)
{
	*state = strdup("/tmp/cr-model-XXXXXX");
	return *state && mkdtemp(*state) ? 0 : -1;
}

static int remove_dir(void **state)
{
	int ret = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	free(*state);
	return ret;
}

static void run_case(const char *all, size_t i)
{
	char dir[PATH_MAX];
	struct image_dir *images = NULL;
	struct err err = ERR_INIT;
	struct model *m = NULL;
	struct set s;
	int ret;

	snprintf(dir, sizeof(dir), "%s/set", all);
	assert_int_equal(mkdir(dir, 0700), 0);
	new_set(&s);
	cases[i].change(&s);
	write_set(&s, dir);
	assert_int_equal(image_dir_open(dir, &images, &err), 0);
	ret = model_load(images, &m, &err);
	if (err.kind != cases[i].kind || (ret == 0) != (cases[i].kind == ERR_NONE) || !strstr(err.object, cases[i].object) ||
	    !strstr(err.reason, cases[i].reason))
		fail_msg("case %s: kind %d (%d wanted), \"%s: %s\"", cases[i].name, err.kind, cases[i].kind, err.object, err.reason);
	assert_true((m == NULL) == (ret != 0));
	model_free(m);
	image_dir_free(images);
	arena_free(s.arena);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(*state, i);
}

/* What older dumpers wrote differently reads like the newer form. */
static void test_lookup(void **state)
{
	char dir[PATH_MAX];
	struct image_dir *images = NULL;
	struct err err = ERR_INIT;
	cleanup_model struct model *m = NULL;
	struct set s;

	snprintf(dir, sizeof(dir), "%s/set", (const char *)*state);
	assert_int_equal(mkdir(dir, 0700), 0);
	new_set(&s);
	old_count(&s);
	write_set(&s, dir);
	assert_int_equal(image_dir_open(dir, &images, &err), 0);
	assert_int_equal(model_load(images, &m, &err), 0);
	assert_int_equal(m->tasks[0].pages.entries[1]->nr_pages, 1);
	assert_int_equal(m->tasks[0].pages.entries[1]->flags, 4);
	assert_string_equal(model_reg(m, 1)->name, "/bin/true");
	assert_null(model_reg(m, 3));
	assert_int_equal(model_file(m, FD_TYPES__PIPE, 3)->pipe->pipe_id, 77);
	assert_null(model_file(m, FD_TYPES__PIPE, 1));
	assert_non_null(model_shmem(m, 12));
	assert_null(model_shmem(m, 13));
	assert_null(model_remap(m, 1));
	assert_int_equal(m->npipe_data, 1);
	assert_memory_equal(m->pipe_data[0].bytes, "hello", 5);
	model_free(take_ptr(m));
	image_dir_free(images);
	arena_free(s.arena);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Checkpoints that another implementation made. */
static void test_foreign(void **state)
{
	static const char *const dirs[] = { "../shared/criu-images/perl-counter", "../shared/criu-images/python-threads" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		struct image_dir *images = NULL;
		struct err err = ERR_INIT;
		struct model *m = NULL;

		if (access(dirs[i], R_OK)) {
			print_message("skip: %s is not here\n", dirs[i]);
			skip();
		}
		assert_int_equal(image_dir_open(dirs[i], &images, &err), 0);
		if (model_load(images, &m, &err))
			fail_msg("%s: %s: %s", dirs[i], err.object, err.reason);
		model_free(m);
		image_dir_free(images);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cases, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_lookup, make_dir, remove_dir),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
