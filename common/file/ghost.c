// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ghosts: files that are open (or mapped, or somebody's cwd) but have no name any more. Their content goes into
 * ghost-file-X.img. To come back, such a file gets a name for a moment, is opened as often as needed, and is removed
 * again.
 */
#include <errno.h>
#include <linux/magic.h>
#include <search.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "common/base/io.h"
#include "common/file/ghost.h"

#define CHUNKS_FROM 12288u	 /* smaller files are stored whole */
#define PIECE (1u << 20)

/* ---- dump ---- */

struct known_ghost {
	dev_t dev;
	ino_t ino;
	uint32_t id;
};

static int ghost_order(const void *va, const void *vb)
{
	const struct known_ghost *a = va, *b = vb;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->dev > b->dev) - (a->dev < b->dev);
}

static int put_range(struct dump *d, int fd, uint32_t id, uint64_t off, uint64_t len, struct err *err)
{
	cleanup_free unsigned char *buf = xmalloc(MIN(len, (uint64_t)PIECE) + 1);

	while (len) {
		size_t n = (size_t)MIN(len, (uint64_t)PIECE);
		int ret = pread_full(fd, buf, n, (off_t)off);
		if (ret < 0)
			return err_set(err, ERR_FAILED, -ret, "cannot read a deleted file");
		image_store_payload(d->store, IMG_GHOST_FILE, id, buf, n);
		off += n;
		len -= n;
	}
	return 0;
}

/* Data between holes. The descriptor must be an opening of our own: SEEK_DATA moves its position. */
static int put_chunks(struct dump *d, int fd, uint32_t id, uint64_t size, struct err *err)
{
	uint64_t at = 0;

	while (at < size) {
		GhostChunkEntry chunk = GHOST_CHUNK_ENTRY__INIT;
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return 0; /* nothing but a hole follows */
		if (data < 0)
			return err_sys(err, "cannot find the data of a deleted file");
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(err, "cannot find the holes of a deleted file");
		chunk.off = (uint64_t)data;
		chunk.len = MIN((uint64_t)hole, size) - chunk.off;
		image_store_put(d->store, IMG_GHOST_FILE, id, &chunk.base);
		int ret = put_range(d, fd, id, chunk.off, chunk.len, err);
		if (ret < 0)
			return ret;
		at = (uint64_t)hole;
	}
	return 0;
}

static Timeval *timeval_of(struct dump *d, const struct timespec *ts)
{
	Timeval *tv = arena_msg(d->arena, Timeval, timeval__init);

	tv->tv_sec = (uint64_t)ts->tv_sec;
	tv->tv_usec = (uint64_t)ts->tv_nsec / 1000;
	return tv;
}

/* What forbids even its owner to write, which would be in the way of its content. */
static int check_attributes(const char *path, struct err *err)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, 0, &stx) < 0)
		return err_sys(err, "cannot read the attributes");
	if (stx.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return err_hint(err, err_refuse(err, "it is deleted, and %s", stx.stx_attributes & STATX_ATTR_IMMUTABLE ?
						"immutable (chattr +i)" : "open to appending only (chattr +a)"),
				"take that from it (chattr)");
	return 0;
}

static int put_ghost(struct dump *d, const struct file_place *p, const char *name, uint32_t id, struct err *err)
{
	GhostFileEntry *g = arena_msg(d->arena, GhostFileEntry, ghost_file_entry__init);
	const struct stat *st = &p->st;
	uint64_t size = (uint64_t)st->st_size;
	cleanup_fd int fd = -1;
	struct xattrs xattrs = { 0 };
	const char *path;
	int ret;

	g->uid = st->st_uid;
	g->gid = st->st_gid;
	g->mode = st->st_mode;
	g->has_dev = g->has_ino = true;
	g->dev = major(st->st_dev) << 20 | minor(st->st_dev);
	g->ino = st->st_ino;
	g->atim = timeval_of(d, &st->st_atim);
	g->mtim = timeval_of(d, &st->st_mtim);
	g->atim_ns = (uint32_t)(st->st_atim.tv_nsec % 1000);
	g->mtim_ns = (uint32_t)(st->st_mtim.tv_nsec % 1000);
	g->has_atim_ns = g->atim_ns;
	g->has_mtim_ns = g->mtim_ns;
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		g->has_rdev = true;
		g->rdev = (uint32_t)st->st_rdev;
	} else if (S_ISLNK(st->st_mode)) {
		char target[4096];
		cleanup_fd int link = openat(d->task->proc_fd, p->magic, O_PATH | O_CLOEXEC);
		ssize_t n = link < 0 ? -1 : readlinkat(link, "", target, sizeof(target) - 1);
		if (n < 0)
			return err_sys(err, "cannot read the deleted symbolic link %s", name);
		target[n] = 0;
		g->symlnk_target = arena_strdup(d->arena, target);
	} else if (S_ISSOCK(st->st_mode)) {
		return err_refuse(err, "%s is a removed socket file", name);
	}
	path = p->magic[0] == '/' ? arena_strdup(d->arena, p->magic) :
				    arena_printf(d->arena, "/proc/%d/%s", d->task->tid, p->magic);
	ret = check_attributes(path, err);
	if (!ret)
		ret = xattrs_take(d, path, &xattrs, err);
	g->xattrs = xattrs.v;
	g->n_xattrs = xattrs.n;
	if (ret < 0)
		return err_object(err, ret, "%s", name);
	if (S_ISREG(st->st_mode)) {
		uint64_t used = (uint64_t)st->st_blocks * 512;
		if (p->fs_type == HUGETLBFS_MAGIC)
			return err_refuse(err, "%s is a deleted file of hugetlbfs, which nothing can write to", name);
		if (used > d->opts->ghost_limit)
			return err_hint(err, err_refuse(err, "%s is deleted and holds %llu bytes, more than %llu", name,
							(unsigned long long)used,
							(unsigned long long)d->opts->ghost_limit),
					"raise --ghost-limit to store it");
		fd = openat(d->task->proc_fd, p->magic, O_RDONLY | O_NOATIME | O_CLOEXEC);
		if (fd < 0)
			fd = openat(d->task->proc_fd, p->magic, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_sys(err, "cannot open the deleted file %s", name);
		if (size >= CHUNKS_FROM) {
			g->has_chunks = g->chunks = true;
			g->has_size = true;
			g->size = size;
		}
	}
	image_store_put(d->store, IMG_GHOST_FILE, id, &g->base);
	if (fd < 0 || d->found)
		return 0;
	return g->has_chunks ? put_chunks(d, fd, id, size, err) : put_range(d, fd, id, 0, size, err);
}

int ghost_dump(struct dump *d, const struct file_place *p, const char *name, uint32_t orig_id, struct err *err)
{
	struct file_table *t = d->files;
	struct known_ghost key = { p->st.st_dev, p->st.st_ino, 0 };
	struct known_ghost **found = tfind(&key, &t->ghosts, ghost_order);

	if (found) {
		key.id = (*found)->id;
	} else {
		key.id = ++t->last_ghost;
		int ret = put_ghost(d, p, name, key.id, err);
		if (ret < 0)
			return ret;
		if (!tsearch(arena_dup(d->arena, &key, sizeof(key)), &t->ghosts, ghost_order))
			return err_set(err, ERR_FAILED, ENOMEM, "no memory for the list of deleted files");
	}
	RemapFilePathEntry remap = REMAP_FILE_PATH_ENTRY__INIT;
	remap.orig_id = orig_id;
	remap.remap_id = key.id;
	remap.has_remap_type = true;
	remap.remap_type = REMAP_TYPE__GHOST;
	image_store_put(d->store, IMG_REMAP_FPATH, 0, &remap.base);
	return 0;
}

/* ---- restore ---- */

struct ghost_chunk {
	uint64_t off, len;
	const unsigned char *bytes;
};

struct ghost_plan {
	const GhostFileEntry *entry; /* NULL: the file has another name (LINKED) */
	struct ghost_chunk *chunks;
	size_t nchunks;
	uint64_t size;
	struct data_ref path, name; /* temporary and wanted */
	struct step_ref creator;    /* a writable opening of a regular ghost */
	bool dir;
};

static int bad(struct err *err, uint32_t id, const char *what)
{
	return err_image(err, "ghost-file-%x.img: %s", id, what);
}

/* Bytes behind the entry just read, at most as many as the image really holds. */
static int load_bytes(struct image_reader *rd, struct arena *arena, uint64_t off, struct ghost_plan *g, size_t *cap,
		      struct err *err)
{
	uint64_t len = image_reader_payload_left(rd);
	unsigned char *bytes = arena_alloc(arena, (size_t)len + 1);
	int ret = image_reader_payload(rd, bytes, (size_t)len, err);

	if (ret < 0)
		return ret;
	if (g->nchunks == *cap) {
		struct ghost_chunk *grown = arena_alloc(arena, (*cap * 2 + 4) * sizeof(*grown));
		if (g->nchunks)
			memcpy(grown, g->chunks, g->nchunks * sizeof(*grown));
		g->chunks = grown;
		*cap = *cap * 2 + 4;
	}
	g->chunks[g->nchunks++] = (struct ghost_chunk){ off, len, bytes };
	return 0;
}

static int ghost_load(const struct model *m, uint32_t id, struct arena *arena, struct ghost_plan *g, struct err *err)
{
	struct image_reader cleanup(image_reader_closep) *rd = NULL;
	ProtobufCMessage *msg;
	size_t cap = 0;
	int ret = image_reader_open(m->dir, IMG_GHOST_FILE, id, &rd, err);

	if (ret < 0)
		return ret;
	ret = image_reader_next(rd, arena, &msg, err);
	if (ret < 0)
		return ret;
	if (!ret || msg->descriptor != &ghost_file_entry__descriptor)
		return bad(err, id, "has no entry");
	const GhostFileEntry *e = (const GhostFileEntry *)msg;
	g->entry = e;
	g->dir = S_ISDIR(e->mode);
	if (e->has_size && e->size > INT64_MAX)
		return bad(err, id, "size out of range");
	if (!xattrs_good(XATTRS(e)))
		return bad(err, id, "an extended attribute that no file can have");
	if (!S_ISREG(e->mode))
		return 0;
	if (!e->has_chunks || !e->chunks) {
		ret = load_bytes(rd, arena, 0, g, &cap, err);
		g->size = ret < 0 ? 0 : g->chunks[0].len;
		return ret;
	}
	g->size = e->size;
	while ((ret = image_reader_next(rd, arena, &msg, err)) > 0) {
		if (msg->descriptor != &ghost_chunk_entry__descriptor)
			return bad(err, id, "an entry is no chunk");
		const GhostChunkEntry *c = (const GhostChunkEntry *)msg;
		if (c->off > g->size || c->len > g->size - c->off)
			return bad(err, id, "a chunk lies behind the end of the file");
		if (c->len != image_reader_payload_left(rd))
			return bad(err, id, "is cut off");
		ret = load_bytes(rd, arena, c->off, g, &cap, err);
		if (ret < 0)
			return ret;
	}
	return ret;
}

/*
 * "/dir/name.cr.1.UNIQUE.ghost"; a name that would become too long is cut. Killed in the microseconds in which it has this
 * name, a restore leaves it, and no way avoids that: a file that never had a name shows none in /proc. It is then only an
 * empty file that is in nobody's way: the next restore uses another name, and removes nothing that it did not make.
 */
static const char *temporary_name(struct plan *plan, const char *name, uint32_t id)
{
	const char *base = strrchr(name, '/') + 1;
	size_t keep = MIN(strlen(base), (size_t)MIN(200, GHOST_DIRECTORY_MAX - (base - name)));

	return arena_printf(plan->arena, "%.*s%.*s.cr.%x.%lx.ghost", (int)(base - name), name, (int)keep, base, id,
			    (unsigned long)plan->unique);
}

static struct data_ref times_of(struct program *c, const GhostFileEntry *e)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	const Timeval *tv[2] = { e->atim, e->mtim };
	const uint32_t beyond[2] = { e->atim_ns, e->mtim_ns };

	for (int i = 0; i < 2; i++)
		if (tv[i] && tv[i]->tv_usec < 1000000)
			ts[i] = (struct timespec){ (time_t)tv[i]->tv_sec, (long)tv[i]->tv_usec * 1000 + beyond[i] % 1000 };
	return program_data(c, ts, sizeof(ts));
}

static int make_node(struct program *c, struct ghost_plan *g, uint32_t id, struct err *err)
{
	const GhostFileEntry *e = g->entry;
	const struct arg cwd = A((uint64_t)AT_FDCWD), path = A_DATA(g->path);

	switch (e->mode & S_IFMT) {
	case S_IFDIR:
		program_call(c, MAKE_OBJECTS, "deleted directory", SYS_mkdirat, cwd, path, A(0700));
		break;
	case S_IFIFO: case S_IFCHR: case S_IFBLK:
		program_call(c, MAKE_OBJECTS, "deleted node", SYS_mknodat, cwd, path, A(e->mode), A(e->rdev));
		break;
	case S_IFLNK:
		if (!e->symlnk_target)
			return bad(err, id, "a symbolic link without target");
		program_call(c, MAKE_OBJECTS, "deleted symbolic link", SYS_symlinkat,
			     A_DATA(program_string(c, e->symlnk_target)), cwd, path);
		break;
	default:
		return bad(err, id, "a type of file that cannot be made");
	}
	program_call(c, MAKE_OBJECTS, "its owner", SYS_fchownat, cwd, path, A(e->uid), A(e->gid),
		     A(AT_SYMLINK_NOFOLLOW));
	if (!S_ISLNK(e->mode))
		program_call(c, MAKE_OBJECTS, "its mode", SYS_fchmodat, cwd, path, A(e->mode & 07777));
	xattrs_set(c, XATTRS(e), path, false);
	program_call(c, MAKE_OBJECTS, "its times", SYS_utimensat, cwd, path, A_DATA(times_of(c, e)),
		     A(AT_SYMLINK_NOFOLLOW));
	return 0;
}

int ghost_begin(const struct model *m, struct plan *plan, const RegFileEntry *reg, const RemapFilePathEntry *remap,
		struct ghost_plan **out, struct err *err)
{
	struct ghost_plan *g = *out = arena_alloc(plan->arena, sizeof(*g));
	struct program *c = plan->controller;
	const struct arg cwd = A((uint64_t)AT_FDCWD);
	int ret;

	if (strrchr(reg->name, '/') - reg->name + 1 > GHOST_DIRECTORY_MAX)
		return err_image(err, "files.img: file %u: its directory's path is too long for making a deleted file in it", reg->id);
	if (strlen(reg->name) < 2 || reg->name[strlen(reg->name) - 1] == '/')
		return err_image(err, "files.img: file %u: name \"%s\" cannot be a deleted file's", reg->id, reg->name);
	g->path = program_string(c, temporary_name(plan, reg->name, remap->remap_id));
	g->name = program_string(c, reg->name);
	if (remap->has_remap_type && remap->remap_type == REMAP_TYPE__LINKED) {
		const RegFileEntry *other = model_reg(m, remap->remap_id);
		if (!other)
			return err_image(err, "remap-fpath.img: no file %u", remap->remap_id);
		program_call(c, MAKE_OBJECTS, "removed name", SYS_linkat, cwd, A_DATA(program_string(c, other->name)),
			     cwd, A_DATA(g->path), A(0));
		/*
		 * The name is the dump's, and the checkpoint cannot be restored again without it: so only when asked, and not before
		 * this restore can fail no more.
		 */
		if (plan->link_remap && strstr(other->name, "/" LINK_PREFIX))
			program_try(plan->done, 0, "the dump gave it this name", SYS_unlink,
				    A_DATA(program_string(plan->done, other->name)));
		return 0;
	}
	if (remap->has_remap_type && remap->remap_type == REMAP_TYPE__PROCFS)
		return err_refuse(err, "file %u (%s) belongs to a process that was gone", reg->id, reg->name);
	/* Without a type the top bit marks a ghost, in images of the oldest kind. */
	ret = ghost_load(m, remap->has_remap_type ? remap->remap_id : remap->remap_id & 0x7fffffff, plan->arena, g,
			 err);
	if (ret < 0)
		return ret;
	if (!S_ISREG(g->entry->mode))
		return make_node(c, g, remap->remap_id, err);
	g->creator = program_call(c, MAKE_OBJECTS, "deleted file", SYS_openat, cwd, A_DATA(g->path),
				  A(O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC), A(0600));
	return 0;
}

struct data_ref ghost_path(const struct ghost_plan *g)
{
	return g->path;
}

/* Content and attributes through an open descriptor. */
static void fill_regular(struct plan *plan, const struct ghost_plan *g, struct arg fd)
{
	const GhostFileEntry *e = g->entry;
	struct program *c = plan->controller;

	if (g->size)
		program_call(c, MAKE_OBJECTS, "its size", SYS_ftruncate, fd, A(g->size));
	for (size_t i = 0; i < g->nchunks; i++) {
		for (uint64_t done = 0; done < g->chunks[i].len;) {
			uint64_t n = MIN(g->chunks[i].len - done, (uint64_t)1 << 30);
			program_call_eq(c, MAKE_OBJECTS, "its content", n, SYS_pwrite64, fd,
					A_PTR(g->chunks[i].bytes + done), A(n), A(g->chunks[i].off + done));
			done += n;
		}
	}
	program_call(c, MAKE_OBJECTS, "its owner", SYS_fchown, fd, A(e->uid), A(e->gid));
	program_call(c, MAKE_OBJECTS, "its mode", SYS_fchmod, fd, A(e->mode & 07777));
	xattrs_set(c, XATTRS(e), fd, true);
	program_call(c, MAKE_OBJECTS, "its times", SYS_utimensat, fd, A(0), A_DATA(times_of(c, e)), A(0));
}

/*
 * The opened file takes its old name, if that is free, and loses it at once: so /proc shows "NAME (deleted)" as before.
 * A plan cannot branch, and removing a file of that name that is not ours must be impossible. So the result of the
 * rename (0 or -errno) is itself the flags argument of the unlink: anything but 0 is invalid, and nothing is removed.
 */
void ghost_end(struct plan *plan, struct ghost_plan *g)
{
	struct program *c = plan->controller;
	const struct arg cwd = A((uint64_t)AT_FDCWD);
	struct step_ref renamed = program_try(c, MAKE_OBJECTS, "old name, when it is free", SYS_renameat2, cwd,
					      A_DATA(g->path), cwd, A_DATA(g->name), A(1 /* RENAME_NOREPLACE */));

	if (g->dir) {
		/* Here 0x200 (AT_REMOVEDIR) must come out of the 0: so many bytes are written at offset 0; a negative
		 * offset is refused. */
		struct data_ref bytes = program_data(c, NULL, AT_REMOVEDIR);
		struct step_ref scratch = program_call(c, MAKE_OBJECTS, "for the condition", SYS_memfd_create,
						       A_DATA(program_string(c, "flags")), A(0));
		struct step_ref flags = program_try(c, MAKE_OBJECTS, "AT_REMOVEDIR when it was renamed", SYS_pwrite64,
						    A_RESULT(scratch), A_DATA(bytes), A(AT_REMOVEDIR),
						    A_RESULT(renamed));
		program_call(c, MAKE_OBJECTS, "for the condition", SYS_close, A_RESULT(scratch));
		program_try(c, MAKE_OBJECTS, "only when it was renamed", SYS_unlinkat, cwd, A_DATA(g->name),
			    A_RESULT(flags));
		program_try(c, MAKE_OBJECTS, "only when it was not", SYS_unlinkat, cwd, A_DATA(g->path),
			    A(AT_REMOVEDIR));
		return;
	}
	program_try(c, MAKE_OBJECTS, "only when it was renamed", SYS_unlinkat, cwd, A_DATA(g->name), A_RESULT(renamed));
	program_try(c, MAKE_OBJECTS, "only when it was not", SYS_unlinkat, cwd, A_DATA(g->path), A(0));
	if (!g->entry || !S_ISREG(g->entry->mode))
		return;
	fill_regular(plan, g, A_RESULT(g->creator));
	program_call(c, MAKE_OBJECTS, "content is there", SYS_close, A_RESULT(g->creator));
}

/* A mapping of the file that is shared and writable although the entry was opened for reading. */
static bool mapped_writable(const struct model *m, uint32_t id)
{
	for (size_t t = 0; t < m->ntasks; t++) {
		const MmEntry *mm = m->tasks[t].mm;
		for (size_t i = 0; mm && i < mm->n_vmas; i++) {
			const VmaEntry *v = mm->vmas[i];
			if (!(v->status & 0xc0) || v->shmid != id) /* no mapping of a regular file */
				continue;
			if (v->has_fdflags ? v->fdflags & O_ACCMODE : (v->status & 0x80 && v->prot & 2))
				return true;
		}
	}
	return false;
}

/*
 * A file without a name from its birth, which may still get one by linkat(2): the one description that made it makes it again, the
 * others open what that has.
 */
static int plan_tmpfile(const struct model *m, struct plan *plan, const RegFileEntry *maker, uint32_t ghost,
			const struct file_group_index *group, size_t n, struct err *err)
{
	const uint32_t first = file_slot_get(plan, model_file(m, FD_TYPES__REG, maker->id), "unnamed file");
	struct program *c = plan->controller;
	struct ghost_plan g = { 0 };
	uint32_t odd = O_APPEND | O_DIRECT; /* would send the content elsewhere, or refuse it */
	const char *slash = strrchr(maker->name, '/');
	int ret = ghost_load(m, ghost, plan->arena, &g, err);

	if (ret < 0)
		return ret;
	if (!S_ISREG(g.entry->mode))
		return bad(err, ghost, "an O_TMPFILE file that is not regular");
	struct data_ref dir = program_string(c, slash == maker->name ? "/" :
					     arena_printf(plan->arena, "%.*s", (int)(slash - maker->name), maker->name));
	plan_slot_is(plan, first, program_call(c, MAKE_OBJECTS, "unnamed file", SYS_openat, A((uint64_t)AT_FDCWD),
					       A_DATA(dir), A((maker->flags & ~(odd | O_ASYNC)) | O_CLOEXEC), A(0600)));
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = model_file(m, FD_TYPES__REG, m->remaps[group[i].i]->orig_id);
		uint32_t slot = first;

		ret = e ? reg_check(e->reg, err) : 0;
		if (ret < 0)
			return ret;
		if (e && e->reg != maker) {
			slot = file_slot_get(plan, e, "unnamed file");
			file_reopen(plan, first, slot, (uint32_t)reg_open_flags(e->reg->flags), "further opening of an unnamed file");
		}
		if (e)
			reg_seek(plan, e->reg, slot);
		if (!e || (e->reg->flags & O_ACCMODE) == O_RDWR || !mapped_writable(m, e->reg->id))
			continue;
		slot = file_slot_new(plan, FD_TYPES__REG, e->reg->id, O_RDWR, "unnamed file, writable");
		file_reopen(plan, first, slot, O_RDWR | O_CLOEXEC, "unnamed file, writable");
	}
	fill_regular(plan, &g, A_SLOT(first));
	plan_setfl(plan, first, maker->flags & ~odd, maker->flags);
	return 0;
}

int ghost_plan_files(const struct model *m, struct plan *plan, const RegFileEntry *first,
		     const RemapFilePathEntry *remap, struct err *err)
{
	struct program *c = plan->controller;
	const bool linked = remap->has_remap_type && remap->remap_type == REMAP_TYPE__LINKED;
	struct ghost_plan *g;
	size_t n;
	const struct file_group_index *group =
		file_group(m, plan, GROUP_GHOST, (uint64_t)linked << 32 | remap->remap_id, &n);
	uint32_t slot;
	int ret;

	for (size_t i = 0; i < n && !linked; i++) {
		const RegFileEntry *reg = model_reg(m, m->remaps[group[i].i]->orig_id);

		if (reg && (reg->flags & O_TMPFILE) == O_TMPFILE && reg->flags & O_ACCMODE)
			return plan_tmpfile(m, plan, reg, remap->remap_id, group, n, err);
	}
	ret = ghost_begin(m, plan, first, remap, &g, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < n; i++) {
		const FileEntry *e = model_file(m, FD_TYPES__REG, m->remaps[group[i].i]->orig_id);
		if (!e)
			continue;
		const RegFileEntry *reg = e->reg;
		ret = reg_check(reg, err);
		if (ret < 0)
			return ret;
		/* The entry behind a FIFO is opened by the fifo's own kind. */
		if (g->entry && S_ISFIFO(g->entry->mode) && !(reg->flags & O_PATH))
			continue;
		slot = file_slot_get(plan, e, "deleted file");
		plan_slot_is(plan, slot,
			     program_call(c, MAKE_OBJECTS, "deleted file", SYS_openat, A((uint64_t)AT_FDCWD),
					  A_DATA(g->path), A((uint64_t)reg_open_flags(reg->flags))));
		reg_seek(plan, reg, slot);
		if ((reg->flags & O_ACCMODE) == O_RDWR || !mapped_writable(m, reg->id))
			continue;
		slot = file_slot_new(plan, FD_TYPES__REG, reg->id, O_RDWR, "deleted file, writable");
		plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "deleted file, writable", SYS_openat,
						      A((uint64_t)AT_FDCWD), A_DATA(g->path), A(O_RDWR | O_CLOEXEC)));
	}
	ghost_end(plan, g);
	return 0;
}
