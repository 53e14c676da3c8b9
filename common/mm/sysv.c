// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * System V shared memory (ipc/shm.c). A segment belongs to an IPC namespace, not to a task; but one that only tasks of the
 * tree have attached is state of the tree: its content, id, key, owner and mode are kept, and brought back. Where the
 * segment still exists (nobody has attached it since, and it was not marked for removal), it is filled again instead of
 * made. The id comes back through kernel.shm_next_id.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "common/ipc/ipcns.h"
#include "common/mm/private.h"

#ifndef SHM_DEST
#define SHM_DEST 01000
#define SHM_LOCKED 02000
#endif
#ifndef SHM_HUGETLB
#define SHM_HUGETLB 04000
#endif
#define HUGETLBFS 0x958458f6 /* HUGETLBFS_MAGIC */
#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

static uint64_t whole_pages(uint64_t bytes, uint64_t page)
{
	return (bytes + page - 1) & ~(page - 1);
}

/* ---- dump ---- */

struct mm_object *sysv_collect(struct dump *d, const struct proc_map *m)
{
	struct mm_object *o = mm_object(d, SYSV_DOMAIN, m->ino);

	o->page = m->vmflags & VMF(ht) ? m->page_kb * 1024 : PAGE_BYTES;
	o->segment = true;
	o->shmid = (uint32_t)m->ino; /* ipc/shm.c, newseg(): the inode number is the id */
	o->views++;
	return o;
}

/* nattch counts mappings, and every mapping of ours is one: more are somebody else's. */
static int check_segment(const struct mm_object *o, const struct shmid_ds *ds, struct err *err)
{
	if (ds->shm_nattch == o->views)
		return 0;
	err_refuse(err, "System V shared memory with id %u (key 0x%x) is attached %lu times, by the tree %u times: "
		   "other processes use it", o->shmid, (unsigned)ds->shm_perm.__key, (unsigned long)ds->shm_nattch,
		   o->views);
	return err_hint(err, -EINVAL, "dump all processes that use it together (the last one that attached or detached it"
			" was pid %d)", ds->shm_lpid);
}

int sysv_put(struct dump *d, struct mm_object *o, struct err *err)
{
	IpcShmEntry *e = arena_msg(d->arena, IpcShmEntry, ipc_shm_entry__init);
	struct shmid_ds ds;
	int ret;

	if (shmctl((int)o->shmid, IPC_STAT, &ds))
		return err_sys(err, "cannot look at System V shared memory with id %u", o->shmid);
	ret = check_segment(o, &ds, err);
	if (ret)
		return ret;
	o->size = ds.shm_segsz;
	e->desc = arena_msg(d->arena, IpcDescEntry, ipc_desc_entry__init);
	e->desc->key = (uint32_t)ds.shm_perm.__key;
	e->desc->uid = ds.shm_perm.uid;
	e->desc->gid = ds.shm_perm.gid;
	e->desc->cuid = ds.shm_perm.cuid;
	e->desc->cgid = ds.shm_perm.cgid;
	e->desc->mode = ds.shm_perm.mode & 0777;
	e->desc->id = o->shmid;
	e->size = o->size;
	e->has_in_pagemaps = e->in_pagemaps = true;
	e->has_hugetlb_flag = o->page != PAGE_BYTES;
	if (e->has_hugetlb_flag)
		e->hugetlb_flag = SHM_HUGETLB | (uint32_t)__builtin_ctzll(o->page) << VM_FLAG_HUGE_SHIFT;
	e->has_state = ds.shm_perm.mode & (SHM_DEST | SHM_LOCKED);
	e->state = ds.shm_perm.mode & (SHM_DEST | SHM_LOCKED);
	image_store_put(d->store, IMG_IPCNS_SHM, ipcns_id(d), &e->base);
	return 0;
}

/* Where we have it attached ourselves, until we end: who reads it later finds it there. */
static int attach(struct dump *d, int id, size_t size, struct mm_object *o, struct err *err)
{
	char *at = shmat(id, NULL, SHM_RDONLY);
	cleanup_fd int fd = -1;
	struct statfs fs;

	if (at == (void *)-1)
		return err_sys(err, "cannot attach System V shared memory with id %d", id);
	for (uint64_t page = PAGE_BYTES; fd < 0 && page <= 1ul << 30; page <<= 1) { /* its mapping has whole pages, of any size */
		uint64_t from = (uint64_t)(uintptr_t)at;

		o->link = arena_printf(d->arena, "/proc/self/map_files/%lx-%lx", from, from + whole_pages(size, page));
		fd = open(o->link, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0 || fstatfs(fd, &fs))
		return err_sys(err, "cannot open System V shared memory with id %d", id);
	o->task = d->tasks[0];
	o->page = fs.f_type == HUGETLBFS ? (uint64_t)fs.f_bsize : PAGE_BYTES;
	o->segment = true;
	o->shmid = (uint32_t)id;
	o->views = 1;
	return 0;
}

int sysv_collect_detached(struct dump *d, bool forced, struct err *err)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info), ret = 0;

	for (int i = 0; i <= last && !ret; i++) {
		struct mm_object *o;
		struct shmid_ds ds;
		int id = shmctl(i, SHM_STAT_ANY, &ds);

		if (id < 0 && errno == EINVAL)
			continue;
		if (id < 0)
			return err_sys(err, "cannot look at System V shared memory");
		o = mm_object(d, SYSV_DOMAIN, (uint64_t)id);
		if (o->views)
			continue;
		if (forced)
			return err_refuse(err, "System V shared memory with id %d is attached by nobody and lives as long as its creator"
					  " (kernel.shm_rmid_forced)", id);
		ret = attach(d, id, ds.shm_segsz, o, err);
	}
	return ret;
}

/* ---- restore ---- */

/* The very segment of the checkpoint, which nobody uses. */
static bool is_same(const IpcShmEntry *e, const struct shmid_ds *ds)
{
	const IpcDescEntry *i = e->desc;

	return !ds->shm_nattch && !(ds->shm_perm.mode & SHM_DEST) && !(e->state & SHM_DEST) &&
	       (uint32_t)ds->shm_perm.__key == i->key && ds->shm_segsz == e->size && ds->shm_perm.uid == i->uid &&
	       ds->shm_perm.gid == i->gid && ds->shm_perm.cuid == i->cuid && ds->shm_perm.cgid == i->cgid &&
	       (ds->shm_perm.mode & 0777u) == (i->mode & 0777u);
}

void sysv_preflight(const struct model *m, finding_fn report, void *ctx)
{
	char line[256];

	for (size_t k = 0; k < m->nshmem && !m->ipc; k++) {
		const IpcShmEntry *e = m->shmem[k].segment;
		struct shmid_ds ds;
		int id;

		if (!e)
			continue;
		if (!shmctl((int)e->desc->id, IPC_STAT, &ds)) {
			if (is_same(e, &ds))
				continue;
			snprintf(line, sizeof(line),
				 "System V shared memory with id %u is there already, with key 0x%x, %lu bytes and %lu"
				 " users: remove it (ipcrm -m %u)", e->desc->id, (unsigned)ds.shm_perm.__key,
				 (unsigned long)ds.shm_segsz, (unsigned long)ds.shm_nattch, e->desc->id);
			report(ctx, NULL, line);
			continue;
		}
		id = e->desc->key == IPC_PRIVATE ? -1 : shmget((key_t)e->desc->key, 0, 0);
		if (id < 0)
			continue;
		snprintf(line, sizeof(line), "key 0x%x of System V shared memory is in use here, by id %d: remove that"
			 " (ipcrm -m %d)", e->desc->key, id, id);
		report(ctx, NULL, line);
	}
}

static struct step_ref plan_get(struct program *p, const IpcShmEntry *e)
{
	const IpcDescEntry *i = e->desc;
	uint64_t flags = IPC_CREAT | IPC_EXCL | (i->mode & 0777) | (e->has_hugetlb_flag ? e->hugetlb_flag : 0);
	struct ipc_creator creator = ipc_plan_creator(p, i);
	struct step_ref made = program_call_eq(p, MAKE_OBJECTS, "System V shared memory", (int64_t)i->id, SYS_shmget, A(i->key),
					       A(e->size), A(flags));

	ipc_plan_creator_end(p, &creator);
	return made;
}

static void plan_make(struct plan *plan, const IpcShmEntry *e)
{
	struct program *p = plan->controller;
	struct shmid_ds set = { .shm_perm = { .uid = e->desc->uid, .gid = e->desc->gid, .mode = e->desc->mode & 0777 } };

	ipc_plan_next_id(p, "shm_next_id", e->desc->id);
	plan_get(p, e);
	program_call(p, MAKE_OBJECTS, "its owner and mode", SYS_shmctl, A(e->desc->id), A(IPC_SET),
		     A_DATA(program_data(p, &set, sizeof(set))));
}

int sysv_plan(struct plan *plan, const struct model_shmem *s, struct err *err)
{
	struct program *p = plan->controller;
	const IpcShmEntry *e = s->segment;
	uint64_t page = e->has_hugetlb_flag ? huge_page_bytes(VM_FLAG_HUGETLB | (uint64_t)e->hugetlb_flag) : PAGE_BYTES;
	uint64_t len = whole_pages(s->size, page), at;
	struct shmid_ds ds;
	/* A plan that is only shown is the same on every host. */
	bool exists = plan->unique && !plan->ipc_own && !shmctl((int)e->desc->id, IPC_STAT, &ds) && is_same(e, &ds);
	int ret = controller_room(plan, len, page, &at, err);

	if (ret)
		return ret;
	shmem_keep(plan, at, len);
	if (!exists)
		plan_make(plan, e);
	program_call_eq(p, MAKE_OBJECTS, "attached while it is filled", (int64_t)at, SYS_shmat, A(e->desc->id), A(at),
			A(0));
	if (exists)
		program_call(p, MAKE_OBJECTS, "what it holds now", SYS_madvise, A(at), A(len), A(MADV_REMOVE));
	shmem_mapped_content(plan, &s->pages, at, s->size);
	if (e->state & SHM_LOCKED)
		program_call(p, MAKE_OBJECTS, "locked", SYS_shmctl, A(e->desc->id), A(SHM_LOCK), A(0));
	/* It stays until nobody has it attached: until shmem_finish() that is us. */
	if (e->state & SHM_DEST)
		program_call(p, MAKE_OBJECTS, "to be removed with its last user", SYS_shmctl, A(e->desc->id),
			     A(IPC_RMID), A(0));
	return 0;
}

void sysv_undo(const struct plan *plan)
{
	const struct program *p = plan->controller;

	for (size_t i = 0; i < program_steps(p); i++) {
		int64_t id = program_nr(p, i) == SYS_shmget ? program_result(p, (struct step_ref){ (uint32_t)i }) : -1;
		struct shmid_ds ds;

		if (id >= 0 && !shmctl((int)id, IPC_STAT, &ds) && ds.shm_cpid == getpid())
			shmctl((int)id, IPC_RMID, NULL);
	}
}

/* Attaching gives the protection of the segment's user; the rest is mprotect's, later. */
static int attach_flags(const VmaEntry *v)
{
	bool writable = v->has_fdflags ? v->fdflags & 2 : v->prot & PROT_WRITE;

	return (writable ? 0 : SHM_RDONLY) | (v->prot & PROT_EXEC ? SHM_EXEC : 0);
}

int sysv_attached_prot(const VmaEntry *v)
{
	int flags = attach_flags(v);

	return PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0);
}

int sysv_map(struct mm_plan *mp, const VmaEntry *v, const struct model_shmem *s, struct err *err)
{
	const IpcShmEntry *e = s->segment;
	uint64_t page = e->has_hugetlb_flag ? huge_page_bytes(VM_FLAG_HUGETLB | (uint64_t)e->hugetlb_flag) : PAGE_BYTES;
	uint64_t len = v->end - v->start, whole = whole_pages(s->size, page), at, room;

	if (!v->pgoff && len == whole) {
		program_call_eq(mp->prog, TASK_MAP, "System V shared memory", (int64_t)v->start, SYS_shmat, A(s->shmid),
				A(v->start), A((uint64_t)(SHM_REMAP | attach_flags(v))));
		return 0;
	}
	/* A part of it is moved to its place. */
	if (v->pgoff >= whole)
		return err_image(err, "mapping %lx-%lx begins behind the end of its segment", v->start, v->end);
	at = ranges_gap(&mp->used, whole + page, &room);
	if (!at)
		return err_set(err, ERR_FEATURE, 0, "no room for %lu bytes of shared memory while it is restored", whole);
	at = whole_pages(at, page);
	program_call_eq(mp->prog, TASK_MAP, "System V shared memory", (int64_t)at, SYS_shmat, A(s->shmid), A(at),
			A((uint64_t)attach_flags(v)));
	program_call_eq(mp->prog, TASK_MAP, "a part of it", (int64_t)v->start, SYS_mremap, A(at + v->pgoff),
			A(MIN(len, whole - v->pgoff)), A(len), A(MREMAP_MAYMOVE | MREMAP_FIXED), A(v->start));
	program_call(mp->prog, TASK_MAP, "and not the rest", SYS_munmap, A(at), A(whole));
	return 0;
}
