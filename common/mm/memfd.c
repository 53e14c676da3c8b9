// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory files (memfd_create): one inode, described in memfd.img, and any number of descriptions and mappings of it.
 * Its content is a page set of its own, written and read with the other memory (mm/memfd.c, mm/shmem.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "common/file/file.h"
#include "common/kinds.h"
#include "common/mm/private.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#define HUGETLBFS 0x958458f6
static const char prefix[] = "/memfd:", deleted[] = " (deleted)";

/* Key of an inode's own slot among those of descriptions: no open flags look like this. */
#define SLOT_INODE 0xffff00
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static const char zero[] = "/dev/zero (deleted)", segment[] = "/SYSV00000000 (deleted)"; /* whatever key it has */

static bool is_segment(const char *link)
{
	return strlen(link) == sizeof(segment) - 1 && !strncmp(link, segment, 5) && !strcmp(link + 13, segment + 13);
}

/* /proc/PID/map_files opens shared memory that never was a descriptor. */
static bool memfd_match(const struct fd_source *src)
{
	return S_ISREG(src->st.st_mode) &&
	       (!strncmp(src->link, prefix, sizeof(prefix) - 1) || !strcmp(src->link, zero) || is_segment(src->link));
}

/* "/memfd:NAME (deleted)" -> NAME; "/dev/zero (deleted)", mapped privately through map_files, keeps its path. */
static char *object_name(struct dump *d, const char *link)
{
	size_t skip = strncmp(link, prefix, sizeof(prefix) - 1) ? 0 : sizeof(prefix) - 1, len;
	char *name = arena_strdup(d->arena, link + skip);

	len = strlen(name);
	if (len >= sizeof(deleted) - 1 && !strcmp(name + len - (sizeof(deleted) - 1), deleted))
		name[len - (sizeof(deleted) - 1)] = 0;
	return name;
}

int mm_object_memfd(struct dump *d, struct mm_object *o, int fd, const char *link, struct err *err)
{
	MemfdInodeEntry *e;
	struct stat st;
	int seals;

	if (o->inode_id)
		return 0;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot read the seals of %s", link);
	e = arena_msg(d->arena, MemfdInodeEntry, memfd_inode_entry__init);
	e->inode_id = o->inode_id = ++d->objects->last_inode_id;
	e->name = object_name(d, link);
	e->uid = st.st_uid;
	e->gid = st.st_gid;
	e->size = o->size = (uint64_t)st.st_size;
	e->shmid = o->shmid;
	e->seals = (uint32_t)seals;
	e->has_hugetlb_flag = o->page != PAGE_BYTES;
	if (e->has_hugetlb_flag)
		e->hugetlb_flag = MFD_HUGETLB | (uint32_t)__builtin_ctzll(o->page) << VM_FLAG_HUGE_SHIFT;
	e->has_mode = true;
	e->mode = st.st_mode & 07777;
	image_store_put(d->store, IMG_MEMFD_INODE, 0, &e->base);
	return 0;
}

static int memfd_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	MemfdFileEntry *m = arena_msg(d->arena, MemfdFileEntry, memfd_file_entry__init);
	struct mm_object *o;
	struct statfs fs;
	int ret, domain;

	if (fstatfs(src->fd, &fs) < 0)
		return err_sys(err, "cannot tell its file system");
	domain = mm_domain(d, src->st.st_dev, fs.f_type == HUGETLBFS ? (uint64_t)fs.f_bsize : PAGE_BYTES);
	if (domain < 0)
		return err_refuse(err, "%s is not the kind of file that its name says", src->link);
	if (is_segment(src->link))
		return err_refuse(err, "%s: System V shared memory that was opened through /proc/PID/map_files", src->link);
	o = mm_object(d, domain, src->st.st_ino);
	if (!o->link) {
		o->task = d->task;
		o->link = arena_strdup(d->arena, src->place);
	}
	ret = mm_object_memfd(d, o, src->fd, src->link, err);
	if (ret)
		return ret;
	m->id = entry->id;
	m->flags = (uint32_t)src->flags;
	m->pos = (uint64_t)src->info->pos;
	m->inode_id = o->inode_id;
	entry->memfd = m;
	return fown_dump(d, src, &m->fown, err);
}

/* ---- restore ---- */

const MemfdInodeEntry *memfd_inode(const struct model *m, uint32_t id)
{
	for (size_t i = 0; i < m->nmemfds; i++)
		if (m->memfds[i]->inode_id == id)
			return m->memfds[i];
	return NULL;
}

/*
 * F_SEAL_FUTURE_WRITE leaves writable mappings alone that are there already, and lets no new ones in (mm/shmem.c,
 * shmem_mmap): with such a mapping the task adds the seals itself, when it has mapped everything.
 */
bool memfd_seals_late(const struct model *m, const MemfdInodeEntry *e)
{
	if (!(e->seals & F_SEAL_FUTURE_WRITE))
		return false;
	for (size_t t = 0; t < m->ntasks; t++)
		for (size_t i = 0; m->tasks[t].mm && i < m->tasks[t].mm->n_vmas; i++) {
			const VmaEntry *v = m->tasks[t].mm->vmas[i];
			const FileEntry *f;

			if (!(v->status & VS_MEMFD) || !(v->status & VS_FILE_SHARED) || !(v->fdflags & 2))
				continue;
			f = model_file(m, FD_TYPES__MEMFD, (uint32_t)v->shmid);
			if (f && f->memfd->inode_id == e->inode_id)
				return true;
		}
	return false;
}

bool memfd_inode_slot(struct plan *plan, const MemfdInodeEntry *e, uint32_t *slot)
{
	return file_slot_known(plan, FD_TYPES__MEMFD, (uint32_t)e->inode_id, SLOT_INODE, slot);
}

/* Files of huge pages have no write(2): their content is read into a mapping. */
static int plan_huge_content(struct plan *plan, const struct model_shmem *shm, uint64_t page, uint32_t slot,
			     struct err *err)
{
	struct program *p = plan->controller;
	uint64_t size = shm->size, at;
	int ret = controller_room(plan, size, page, &at, err);

	if (ret)
		return ret;
	program_call_eq(p, MAKE_OBJECTS, "huge pages", (int64_t)at, SYS_mmap, A(at), A(size), A(PROT_READ | PROT_WRITE),
			A(MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE), A_SLOT(slot), A(0));
	shmem_mapped_content(plan, &shm->pages, at, size);
	shmem_unmap(plan, at, size);
	return 0;
}

/* How peers write shared anonymous memory: under the name of its file. */
static bool is_anonymous(const MemfdInodeEntry *e)
{
	return !strcmp(e->name, "/dev/zero") && e->seals == F_SEAL_SEAL && !e->hugetlb_flag && e->size &&
	       e->size % PAGE_BYTES == 0;
}

/* The inode: created, filled, sealed. Its slot is a description that nobody else has. */
static int plan_inode(const struct model *m, const MemfdInodeEntry *e, struct plan *plan, uint32_t *slot,
		      struct err *err)
{
	const struct model_shmem *shm = e->size ? model_shmem(m, e->shmid) : NULL;
	struct program *p = plan->controller;
	bool sealable = e->seals != F_SEAL_SEAL;
	uint32_t mode = e->has_mode ? e->mode & 07777 : 0777, huge = e->has_hugetlb_flag ? e->hugetlb_flag : 0;
	char name[80];
	int ret = 0;

	if (is_anonymous(e))
		return shmem_slot(m, plan, e->shmid, slot, err);
	if (memfd_inode_slot(plan, e, slot))
		return 0;
	if (huge && (!(huge & MFD_HUGETLB) || (huge & ~MFD_HUGETLB) >> VM_FLAG_HUGE_SHIFT > 40))
		return err_image(err, "memfd %.60s: flags 0x%x for huge pages", e->name, huge);
	snprintf(name, sizeof(name), "memfd %.60s", e->name);
	*slot = file_slot_new(plan, FD_TYPES__MEMFD, (uint32_t)e->inode_id, SLOT_INODE, name);
	plan_slot_is(plan, *slot,
		     program_call(p, MAKE_OBJECTS, "memfd", SYS_memfd_create, A_DATA(program_string(p, e->name)),
				  A(MFD_CLOEXEC | huge | (sealable ? MFD_ALLOW_SEALING : 0))));
	program_call(p, MAKE_OBJECTS, "its size", SYS_ftruncate, A_SLOT(*slot), A(e->size));
	if (shm && huge)
		ret = plan_huge_content(plan, shm, 1ull << (huge >> VM_FLAG_HUGE_SHIFT ? huge >> VM_FLAG_HUGE_SHIFT : 21),
					*slot, err);
	else if (shm)
		shmem_content(plan, &shm->pages, e->size, *slot);
	program_call(p, MAKE_OBJECTS, "its mode", SYS_fchmod, A_SLOT(*slot), A(mode));
	program_call(p, MAKE_OBJECTS, "its owner", SYS_fchown, A_SLOT(*slot), A(e->uid), A(e->gid));
	if (sealable && e->seals && !memfd_seals_late(m, e))
		program_call(p, MAKE_CONTENT, "its seals", SYS_fcntl, A_SLOT(*slot), A(F_ADD_SEALS), A(e->seals));
	return ret;
}

int memfd_map_slot(const struct model *m, struct plan *plan, uint32_t id, int access, uint32_t *slot, struct err *err)
{
	const FileEntry *f = model_file(m, FD_TYPES__MEMFD, id);
	const MemfdInodeEntry *e = f ? memfd_inode(m, f->memfd->inode_id) : NULL;

	if (!e)
		return err_image(err, "MEMFD %u or its inode is not in the checkpoint", id);
	if (access == O_RDWR && (f->memfd->flags & O_ACCMODE) != O_RDWR)
		return plan_inode(m, e, plan, slot, err);
	return plan_file_slot(m, plan, FD_TYPES__MEMFD, id, access, slot, err);
}

/*
 * A description of its own. Only /proc/self/fd/N opens a memfd, and a plan knows no number but those it chooses: the
 * inode stands in for our standard input for a moment.
 */
static void plan_opening(struct plan *plan, uint32_t inode, uint32_t slot, uint32_t flags)
{
	struct program *p = plan->controller;
	struct data_ref path = program_string(p, "/proc/self/fd/0");
	struct step_ref saved = program_try(p, MAKE_OBJECTS, "makes room", SYS_dup, A(0));

	program_call(p, MAKE_OBJECTS, "where it can be opened", SYS_dup2, A_SLOT(inode), A(0));
	plan_slot_is(plan, slot, program_call(p, MAKE_OBJECTS, "opening of a memfd", SYS_openat, A((uint64_t)AT_FDCWD),
					      A_DATA(path), A((uint64_t)(reg_open_flags(flags) | O_CLOEXEC))));
	program_try(p, MAKE_OBJECTS, "as before", SYS_dup2, A_RESULT(saved), A(0));
	program_try(p, MAKE_OBJECTS, "as before", SYS_close, A_RESULT(saved));
}

static int memfd_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const MemfdFileEntry *f = entry->memfd;
	const MemfdInodeEntry *e = memfd_inode(m, f->inode_id);
	struct program *p = plan->controller;
	uint32_t inode;
	int ret;

	if (!e)
		return err_image(err, "memfd inode %u is not in memfd.img", f->inode_id);
	ret = plan_inode(m, e, plan, &inode, err);
	if (ret)
		return ret;
	plan_opening(plan, inode, slot, f->flags);
	if (f->pos)
		program_call_eq(p, MAKE_CONTENT, "its position", (int64_t)f->pos, SYS_lseek, A_SLOT(slot), A(f->pos),
				A(SEEK_SET));
	return 0;
}

const struct file_kind memfd_file_kind = {
	.name = "memfd",
	.type = FD_TYPES__MEMFD,
	.match = memfd_match,
	.dump = memfd_dump,
	.plan = memfd_plan,
};
