// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mappings of the frozen task. Everything about a mapping but its content is in its lines of smaps: protection and
 * file in the first, and in VmFlags what mmap, madvise, mlock and mseal made of it (fs/proc/task_mmu.c,
 * show_smap_vma_flags); or it was found out in another way, look.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/file/table.h"
#include "common/mm/look.h"
#include "common/mm/private.h"
#include "common/mm/track.h"

#define MAPPED_FILES 256

static bool has(const struct proc_map *m, uint64_t flags)
{
	return m->vmflags & flags;
}

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Mappings of the kernel's own making that a fresh process has anyway. */
static uint32_t special_status(const char *name)
{
	if (*name != '[')
		return 0;
	if (!strcmp(name, "[vdso]"))
		return VS_VDSO;
	if (!strcmp(name, "[vvar]") || !strcmp(name, "[vvar_vclock]"))
		return VS_VVAR;
	if (!strcmp(name, "[vsyscall]"))
		return VS_VSYSCALL;
	return 0;
}

static int refuse_flags(const struct proc_map *m, struct err *err)
{
	if (has(m, VMF(um) | VMF(uw) | VMF(ui)))
		return err_refuse(err, "registered with userfaultfd: the process that serves its faults is outside");
	if (has(m, VMF(ss)))
		return err_refuse(err, "a shadow stack, which this version does not restore");
	return 0;
}

static int refuse_name(const struct proc_map *m, bool shmem, struct err *err)
{
	const char *n = m->name;

	if (!*n && !has(m, VMF(io) | VMF(pf)))
		return 0;
	if (starts(n, "anon_inode:[io_uring]"))
		return file_hint_hopeless(n, err_refuse(err, "rings of io_uring, which this version does not restore"), err);
	if (starts(n, "anon_inode:[perf_event]"))
		return err_refuse(err, "a ring of perf_event_open, which this version does not restore");
	if (starts(n, "anon_inode:"))
		return err_refuse(err, "memory of %s, which this version does not restore", n);
	if (starts(n, "socket:["))
		return err_refuse(err, "a ring of a packet socket, which this version does not restore");
	if (!strcmp(n, "[uprobes]"))
		return err_hint(err, err_refuse(err, "code of uprobes: the process is being traced"),
				"remove the probes first");
	if (starts(n, "/secretmem"))
		return err_refuse(err, "secret memory (memfd_secret), which nobody else can read");
	if (has(m, VMF(io) | VMF(pf)))
		return err_refuse(err, "memory of a device (%s)", *n ? n : "no name");
	if (starts(n, "[anon:") || starts(n, "[anon_shmem:"))
		return 0;
	if (*n == '[' && strcmp(n, "[heap]") && strcmp(n, "[stack]"))
		return err_refuse(err, "a special mapping of the kernel that is not known here");
	if (*n && *n != '/' && *n != '[')
		return err_refuse(err, "a mapping of %s, which this version does not restore", n);
	return 0;
}

static uint64_t madvise_bits(const struct proc_map *m)
{
	static const struct { uint64_t flag; int advice; } known[] = {
		{ VMF(rr), MADV_RANDOM },    { VMF(sr), MADV_SEQUENTIAL }, { VMF(dc), MADV_DONTFORK },
		{ VMF(mg), MADV_MERGEABLE }, { VMF(hg), MADV_HUGEPAGE },   { VMF(nh), MADV_NOHUGEPAGE },
		{ VMF(dd), MADV_DONTDUMP },  { VMF(wf), MADV_WIPEONFORK },
	};
	uint64_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (has(m, known[i].flag))
			bits |= 1ull << known[i].advice;
	return bits;
}

static bool is_segment(const struct proc_map *m, bool shmem)
{
	return shmem && m->shared && starts(m->name, "/SYSV");
}

/* flags and status of an ordinary mapping */
static void describe(const struct proc_map *m, bool shmem, VmaEntry *e)
{
	/* A named shared anonymous mapping hides the name of its object behind the name that was given to it. */
	bool zero = shmem && (starts(m->name, "/dev/zero") || starts(m->name, "[anon_shmem:"));
	/* Private memory of huge pages has a file as well, of which it never shows a page (mm/hugetlb.c). */
	bool huge = shmem && starts(m->name, "/anon_hugepage");

	if (starts(m->name, "/[aio]")) { /* a file system of its own, which nobody can mount (fs/aio.c) */
		e->flags = VM_FLAG_SHARED;
		e->status = VS_AIO;
		e->has_fdflags = true;
		e->fdflags = 2;
	} else if (is_segment(m, shmem)) {
		e->flags = VM_FLAG_SHARED | VM_FLAG_ANON;
		e->status |= VS_ANON_SHARED | VS_SYSV;
		/* How it was attached, where the protection does not tell. */
		e->has_fdflags = m->write != has(m, VMF(mw));
		e->fdflags = e->has_fdflags && has(m, VMF(mw)) ? 2 : 0;
	} else if ((zero || huge) && m->shared) {
		e->flags = VM_FLAG_SHARED | VM_FLAG_ANON;
		e->status |= VS_ANON_SHARED;
	} else if (!huge && (m->ino || *m->name == '/')) {
		e->flags = m->shared ? VM_FLAG_SHARED : VM_FLAG_PRIVATE;
		e->status |= m->shared ? VS_FILE_SHARED : VS_FILE_PRIVATE;
		if (shmem)
			e->status |= VS_MEMFD;
		e->has_fdflags = true;
		/* mw: the mapping may become writable, so the file was open for writing (mm/mmap.c, do_mmap). */
		e->fdflags = m->shared && has(m, VMF(mw)) ? 2 : 0;
	} else {
		e->flags = VM_FLAG_ANON | (has(m, VMF(dp)) ? VM_FLAG_DROPPABLE : VM_FLAG_PRIVATE);
		e->status |= VS_ANON_PRIVATE;
		e->pgoff = 0; /* the kernel shows the address, which means nothing to a restorer */
		if (!strcmp(m->name, "[heap]"))
			e->status |= VS_HEAP;
	}
	if (has(m, VMF(gd)))
		e->flags |= VM_FLAG_GROWSDOWN;
	if (has(m, VMF(lo)))
		e->flags |= VM_FLAG_LOCKED;
	if (has(m, VMF(nr)))
		e->flags |= VM_FLAG_NORESERVE;
	if (has(m, VMF(ht)))
		e->flags |= VM_FLAG_HUGETLB | (uint32_t)__builtin_ctzll(m->page_kb * 1024) << VM_FLAG_HUGE_SHIFT;
}

int vma_classify(const struct proc_map *m, bool shmem, VmaEntry *e, struct err *err)
{
	uint32_t special = special_status(m->name);
	uint64_t madv = m->has_flags ? madvise_bits(m) : 0, extra = 0;
	int ret;

	e->start = m->start;
	e->end = m->end;
	e->pgoff = m->pgoff;
	e->prot = (m->read ? PROT_READ : 0) | (m->write ? PROT_WRITE : 0) | (m->exec ? PROT_EXEC : 0);
	e->fd = -1;
	e->status = VS_REGULAR;
	if (special) {
		e->status = (special == VS_VSYSCALL ? 0 : VS_REGULAR) | VS_ANON_PRIVATE | special;
		e->flags = VM_FLAG_PRIVATE | VM_FLAG_ANON;
		e->pgoff = 0;
	} else {
		ret = refuse_flags(m, err);
		if (!ret)
			ret = refuse_name(m, shmem, err);
		if (ret)
			return ret;
		describe(m, shmem, e);
		if (has(m, VMF(lo)) && has(m, VMF(lf)))
			extra |= VMX_LOCKONFAULT;
	}
	if (has(m, VMF(sl)))
		extra |= VMX_SEALED;
	if (m->pkey && (special || e->status & VS_AIO))
		return err_refuse(err, "memory of the kernel with protection key %u, which this version does not bring back", m->pkey);
	e->has_pkey = m->pkey != 0;
	e->pkey = m->pkey;
	e->has_madv = madv != 0;
	e->madv = madv;
	e->has_vm_flags_extra = extra != 0;
	e->vm_flags_extra = extra;
	return 0;
}

static bool merge_vvar(struct mm_dump *mm, const VmaEntry *e)
{
	VmaEntry *last = mm->nvmas ? mm->vmas[mm->nvmas - 1] : NULL;

	if (!last || !(e->status & VS_VVAR) || !(last->status & VS_VVAR) || last->end != e->start)
		return false;
	last->end = e->end;
	return true;
}

static void collect_object(struct dump *d, const struct proc_map *m, int domain)
{
	struct mm_object *o = is_segment(m, true) ? sysv_collect(d, m) : mm_object(d, domain, m->ino);

	if (o->link)
		return;
	o->task = d->task;
	o->link = arena_printf(d->arena, "map_files/%lx-%lx", m->start, m->end);
}

/* Where its object lives, if that has no path: negative if not. */
static int map_domain(struct dump *d, const struct proc_map *m)
{
	uint64_t page = has(m, VMF(ht)) ? m->page_kb * 1024 : PAGE_BYTES;

	/* The first segment of a namespace has id 0, so its inode number is 0 too. */
	return m->ino || starts(m->name, "/SYSV") ? mm_domain(d, makedev(m->dev_major, m->dev_minor), page) : -1;
}

int mm_collect(struct dump *d, struct err *err)
{
	struct mm_dump *mm = d->task->mm = arena_alloc(d->arena, sizeof(*mm));
	struct proc_maps *maps = &d->task->maps;
	int ret = 0;

	if (!d->objects)
		ret = mm_objects_start(d, err);
	if (!ret)
		ret = maps->v ? 0 : mm_look(d, d->task, d->arena, err); /* or read ahead */
	if (ret)
		return ret;
	mm->vmas = arena_alloc(d->arena, (maps->n + 1) * sizeof(*mm->vmas));
	mm->maps = arena_alloc(d->arena, (maps->n + 1) * sizeof(*mm->maps));
	for (size_t i = 0; i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];
		int domain = map_domain(d, m);
		VmaEntry *e = arena_msg(d->arena, VmaEntry, vma_entry__init);

		if (track_has(d)) /* protected against being written unseen: by us */
			maps->v[i].vmflags &= ~VMF(uw);

		ret = vma_classify(m, domain >= 0, e, err);
		err_object(err, ret, "mapping %lx-%lx", m->start, m->end);
		if (ret && dump_note(d, ret, err))
			return ret;
		if (ret)
			continue;
		/* PR_SET_VMA_ANON_NAME: a label for readers of maps, which no image has a field for. */
		if (starts(m->name, "[anon"))
			log_warn(d->log, "mapping %lx-%lx: its name %s does not come back", m->start, m->end, m->name);
		if (has(m, VMF(lo)))
			mm->locked_kb += (m->end - m->start) / 1024;
		if (merge_vvar(mm, e))
			continue;
		if (domain >= 0 && !(e->status & VS_ANON_PRIVATE))
			collect_object(d, m, domain);
		mm->maps[mm->nvmas] = m;
		mm->vmas[mm->nvmas++] = e;
	}
	log_debug(d->log, "%zu mappings, %zu shared objects", mm->nvmas, d->objects->n);
	return 0;
}

/* The MEMFD entry that mappings of this access refer to. */
static int memfd_mapping(struct dump *d, struct mm_object *o, const char *name, uint32_t access, uint32_t *id,
			 struct err *err)
{
	FileEntry *entry;
	MemfdFileEntry *m;

	if (!o->inode_id) {
		cleanup_fd int fd = openat(o->task->proc_fd, o->link, O_RDONLY | O_CLOEXEC);
		int ret;

		if (fd < 0)
			return err_sys(err, "cannot open %s", name);
		ret = mm_object_memfd(d, o, fd, name, err);
		if (ret)
			return ret;
	}
	if (!o->file_id[access != 0]) {
		entry = arena_msg(d->arena, FileEntry, file_entry__init);
		m = arena_msg(d->arena, MemfdFileEntry, memfd_file_entry__init);
		entry->type = FD_TYPES__MEMFD;
		entry->id = m->id = o->file_id[access != 0] = file_new_id(d);
		m->flags = access;
		m->inode_id = o->inode_id;
		m->fown = arena_msg(d->arena, FownEntry, fown_entry__init);
		entry->memfd = m;
		file_put(d, entry);
	}
	*id = o->file_id[access != 0];
	return 0;
}

/*
 * Files that tasks map, by what smaps tells of them: thousands of tasks of one program need not be asked for each of its
 * libraries. Not those whose names smaps cannot tell for sure.
 */
struct mapped_file { const char *name; uint64_t ino; uint32_t dev_major, dev_minor, fdflags, id; };
struct mapped_files { struct mapped_file v[MAPPED_FILES]; size_t n, next; };

static struct mapped_files *mapped_files(struct dump *d)
{
	static const char key;
	bool fresh;

	return dump_recall(d, &key, sizeof(struct mapped_files), &fresh);
}

static bool has_plain_name(const struct proc_map *m)
{
	return *m->name == '/' && !m->deleted && !strchr(m->name, '\\') && !strchr(m->name, '\n');
}

static bool recall_file(struct dump *d, const struct proc_map *m, const VmaEntry *e, uint32_t *id)
{
	const struct mapped_files *f = mapped_files(d);

	for (size_t i = 0; i < f->n; i++) {
		const struct mapped_file *k = &f->v[i];

		if (k->ino != m->ino || k->dev_minor != m->dev_minor || k->dev_major != m->dev_major ||
		    k->fdflags != e->fdflags || m->deleted || strcmp(k->name, m->name))
			continue;
		*id = k->id;
		return true;
	}
	return false;
}

static void remember_file(struct dump *d, const struct proc_map *m, const VmaEntry *e, uint32_t id)
{
	struct mapped_files *f = mapped_files(d);

	if (!has_plain_name(m))
		return;
	f->v[f->next] = (struct mapped_file){ m->name, m->ino, m->dev_major, m->dev_minor, e->fdflags, id };
	f->next = (f->next + 1) % MAPPED_FILES;
	f->n = MIN(f->n + 1, (size_t)MAPPED_FILES);
}

/* What a mapping refers to: a file, a memfd, or an object of shared anonymous memory. */
static int resolve_backing(struct dump *d, const struct proc_map *m, VmaEntry *e, struct err *err)
{
	char link[64];
	uint32_t id;
	int ret;

	if (e->status & VS_SYSV) {
		e->shmid = m->ino;
		return 0;
	}
	if (e->status & VS_ANON_SHARED) {
		struct mm_object *o = mm_object(d, map_domain(d, m), m->ino);
		struct stat st;

		if (!o->size && fstatat(o->task->proc_fd, o->link, &st, 0))
			return err_sys(err, "cannot tell the size of shared memory");
		o->size = o->size ? o->size : (uint64_t)st.st_size;
		e->shmid = o->shmid;
		/* A view that was cut can grow again (mremap), and one that grew has nothing behind the end. */
		e->has_object_size = e->pgoff + (e->end - e->start) != o->size;
		e->object_size = e->has_object_size ? o->size : 0;
		return 0;
	}
	if (e->status & VS_MEMFD) {
		ret = memfd_mapping(d, mm_object(d, map_domain(d, m), m->ino), m->name, e->fdflags, &id, err);
	} else if (has(m, VMF(ht)) && m->deleted) {
		ret = err_refuse(err, "%s: a deleted file of hugetlbfs, which nothing can write to", m->name);
	} else if (recall_file(d, m, e, &id)) {
		ret = 0;
	} else {
		snprintf(link, sizeof(link), "map_files/%lx-%lx", m->start, m->end);
		ret = file_dump_path(d, link, (int)e->fdflags, &id, err);
		if (!ret)
			remember_file(d, m, e, id);
	}
	e->shmid = ret ? 0 : id;
	return ret;
}

static bool same_file(const struct proc_map *a, const struct proc_map *b)
{
	return a->ino == b->ino && a->dev_major == b->dev_major && a->dev_minor == b->dev_minor &&
	       (a->name == b->name || !strcmp(a->name, b->name));
}

/* Fills shmid of all entries. */
int vma_resolve_files(struct dump *d, struct err *err)
{
	const struct proc_map *last = NULL;
	const VmaEntry *last_entry = NULL;
	struct mm_dump *mm = d->task->mm;

	for (size_t i = 0; i < mm->nvmas; i++) {
		VmaEntry *e = mm->vmas[i];
		const struct proc_map *m = mm->maps[i];
		int ret;

		if (!(e->status & (VS_FILE_PRIVATE | VS_FILE_SHARED | VS_ANON_SHARED)))
			continue;
		/* Segments of one library follow each other, and thousands of mappings of one file too. */
		if (last && same_file(last, m) && last_entry->status == e->status &&
		    last_entry->fdflags == e->fdflags && !(e->status & (VS_MEMFD | VS_ANON_SHARED))) {
			e->shmid = last_entry->shmid;
			continue;
		}
		ret = resolve_backing(d, m, e, err);
		err_object(err, ret, "mapping %lx-%lx", m->start, m->end);
		ret = dump_note(d, ret, err);
		if (ret)
			return ret;
		last = m;
		last_entry = e;
	}
	return 0;
}
