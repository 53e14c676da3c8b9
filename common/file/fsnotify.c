// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inotify and fanotify: what is watched for which events. The kernel shows watched inodes by number and file handle
 * (fs/notify/fdinfo.c); the handle leads to a path. Events that wait to be read cannot be seen without taking them away
 * from the program, nor be made again, so they are refused.
 *
 * Restored, watches come when all else is done, and after everything that was only open for the restore is closed: a program must not
 * see what we do. Until then nothing happens through them, least of all the questions of a fanotify that asks for permission.
 */
#include <errno.h>
#include <linux/fanotify.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "common/file/file.h"

#define SET_NEXT_WD _IOW('I', 0, int32_t) /* INOTIFY_IOC_SETNEXTWD: with CONFIG_CHECKPOINT_RESTORE */
#define INOTIFY_MASK (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK)
#define MARK_FLAGS (FAN_MARK_IGNORED_SURV_MODIFY | FAN_MARK_EVICTABLE | FAN_MARK_IGNORE)

#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x400
#endif

/* A watched inode, as fdinfo tells it. */
struct watched {
	uint64_t ino, dev; /* dev as in the kernel: major << 20 | minor */
	_Alignas(struct file_handle) unsigned char raw[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	bool has_handle;
};

static struct file_handle *handle_of(struct watched *w)
{
	return (struct file_handle *)w->raw;
}

/* The number behind "key:" in this line. */
static int value(const char *line, const char *key, int base, uint64_t max, uint64_t *out)
{
	size_t eol = strcspn(line, "\n"), len = strlen(key);

	for (const char *p = line; (size_t)(p - line) + len < eol; p++) {
		if ((p != line && p[-1] != ' ') || strncmp(p, key, len) || p[len] != ':')
			continue;
		p += len + 1;
		return fdinfo_number(&p, base, out) < 0 || *out > max ? -EINVAL : 0;
	}
	return -ENOENT;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_watched(const char *line, struct watched *w)
{
	uint64_t bytes, type;
	const char *p;
	unsigned char *to = w->raw + sizeof(struct file_handle);

	*w = (struct watched){ 0 };
	if (value(line, "ino", 16, UINT64_MAX, &w->ino) || value(line, "sdev", 16, UINT32_MAX, &w->dev))
		return -EINVAL;
	if (value(line, "fhandle-bytes", 16, MAX_HANDLE_SZ, &bytes) || value(line, "fhandle-type", 16, INT32_MAX, &type))
		return 0;
	p = strstr(line, " f_handle:");
	if (!p || p > line + strcspn(line, "\n"))
		return 0;
	p += strlen(" f_handle:");
	for (uint64_t i = 0; i < bytes; i++, p += 2) {
		int hi = hex_digit(p[0]), lo = hi < 0 ? -1 : hex_digit(p[1]);

		if (lo < 0)
			return -EINVAL;
		to[i] = (unsigned char)(hi << 4 | lo);
	}
	handle_of(w)->handle_bytes = (unsigned)bytes;
	handle_of(w)->handle_type = (int)type;
	w->has_handle = true;
	return 0;
}

/* ---- dump: from the handle to a path ---- */

/* A path that leads from the root to this inode, by opening the handle through one mount. */
static char *path_through(struct dump *d, const struct proc_mount *mnt, struct watched *w)
{
	/* Not O_PATH: the kernel wants a real opening here (fs/fhandle.c, get_path_anchor()). */
	cleanup_fd int at = open(mnt->point, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	cleanup_fd int fd = at < 0 ? -1 : open_by_handle_at(at, handle_of(w), O_PATH | O_CLOEXEC);
	char link[40], path[4096];
	struct stat is, leads;
	ssize_t n;

	if (fd < 0 || fstat(fd, &is))
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/')
		return NULL;
	path[n] = 0;
	if (lstat(path, &leads) || leads.st_dev != is.st_dev || leads.st_ino != is.st_ino || is.st_ino != w->ino)
		return NULL;
	return arena_strdup(d->arena, path);
}

static int find_path(struct dump *d, struct watched *w, const char *what, char **path, struct err *err)
{
	struct proc_mount *mounts;
	unsigned ma = (unsigned)(w->dev >> 20), mi = (unsigned)(w->dev & 0xfffff);
	const char *where = NULL;
	size_t n;
	int ret = proc_mountinfo(d->task->proc_fd, d->arena, &mounts, &n, err);

	*path = NULL;
	for (size_t i = 0; !ret && !*path && i < n; i++) {
		if (mounts[i].dev_major != ma || mounts[i].dev_minor != mi)
			continue;
		where = mounts[i].point;
		if (w->has_handle)
			*path = path_through(d, &mounts[i], w);
	}
	if (ret || *path)
		return ret;
	if (!where)
		return err_refuse(err, "%s on inode %llu of device %u:%u, which is mounted nowhere", what,
				  (unsigned long long)w->ino, ma, mi);
	return err_refuse(err, "%s on inode %llu of the file system at %s: %s", what, (unsigned long long)w->ino, where,
			  w->has_handle ? "no path leads to it (removed, or out of reach)"
					: "this file system has no file handles to find it by");
}

static int fill_handle(struct dump *d, struct watched *w, const char *what, FhEntry **out, struct err *err)
{
	FhEntry *fh = arena_msg(d->arena, FhEntry, fh_entry__init);
	int ret = find_path(d, w, what, &fh->path, err);

	fh->bytes = handle_of(w)->handle_bytes;
	fh->type = (uint32_t)handle_of(w)->handle_type;
	fh->n_handle = FH_ENTRY_SIZES__min_entries;
	fh->handle = arena_alloc(d->arena, fh->n_handle * sizeof(*fh->handle));
	memcpy(fh->handle, w->raw + sizeof(struct file_handle), MIN(fh->bytes, fh->n_handle * sizeof(*fh->handle)));
	*out = fh;
	return ret;
}

const char *fsnotify_name(const char *link)
{
	return !strcmp(link, "anon_inode:inotify") ? "inotify" : !strcmp(link, "anon_inode:[fanotify]") ? "fanotify" : NULL;
}

/* Asked before the tasks are looked at more closely: from then on, opened files and directories may be our doing. */
int fsnotify_refuse_queue(int fd, const char *what, struct err *err)
{
	int bytes = 0;

	if (ioctl(fd, FIONREAD, &bytes) < 0)
		return err_sys(err, "cannot ask for the queue of %s", what);
	if (!bytes)
		return 0;
	return err_hint(err, err_refuse(err, "%s holds events that were not read yet (%d bytes), which nobody can make again",
					what, bytes),
			"try again when the program has read them");
}

static int strange(struct err *err, const char *what)
{
	return err_set(err, ERR_FEATURE, 0, "this kernel shows the state of %s in another way", what);
}

/* ---- inotify ---- */

static bool inotify_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:inotify");
}

static int dump_watch(struct dump *d, const char *line, InotifyWdEntry *e, struct err *err)
{
	uint64_t wd, mask;
	struct watched w;

	if (value(line, "wd", 16, INT32_MAX, &wd) || value(line, "mask", 16, UINT32_MAX, &mask) || parse_watched(line, &w))
		return strange(err, "inotify");
	e->wd = (uint32_t)wd;
	e->mask = (uint32_t)mask;
	e->i_ino = w.ino;
	e->s_dev = (uint32_t)w.dev;
	return fill_handle(d, &w, "inotify watch", &e->f_handle, err);
}

static size_t lines(const char *text, const char *start)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, start)); p++)
		n++;
	return n;
}

static int inotify_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	InotifyFileEntry *e = arena_msg(d->arena, InotifyFileEntry, inotify_file_entry__init);
	int ret = 0;

	entry->ify = e;
	d->files->watches = true;
	e->id = entry->id;
	e->flags = (uint32_t)src->flags;
	e->wd = arena_alloc(d->arena, (lines(src->info->text, "inotify ") + 1) * sizeof(*e->wd));
	for (const char *p = src->info->text; !ret && (p = strstr(p, "inotify ")); p++) {
		InotifyWdEntry *w = arena_msg(d->arena, InotifyWdEntry, inotify_wd_entry__init);

		w->id = e->id;
		ret = dump_watch(d, p + strlen("inotify "), w, err);
		e->wd[e->n_wd++] = w;
	}
	return ret ? ret : fown_dump(d, src, &e->fown, err);
}

static int by_wd(const void *va, const void *vb)
{
	const InotifyWdEntry *const *a = va, *const *b = vb;

	return ((*a)->wd > (*b)->wd) - ((*a)->wd < (*b)->wd);
}

static int inotify_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			struct err *err)
{
	const InotifyFileEntry *e = entry->ify;
	InotifyWdEntry **v = arena_alloc(plan->arena, (e->n_wd + 1) * sizeof(*v));
	struct program *last = plan->last;

	plan_slot_is(plan, slot, program_call(plan->controller, MAKE_OBJECTS, "inotify", SYS_inotify_init1, A(IN_CLOEXEC)));
	plan_setfl(plan, slot, 0, e->flags);
	if (e->n_wd)
		memcpy(v, e->wd, e->n_wd * sizeof(*v));
	qsort(v, e->n_wd, sizeof(*v), by_wd);
	for (size_t i = 0; i < e->n_wd; i++) {
		const char *path = v[i]->f_handle->path;

		if (!v[i]->wd || v[i]->wd > INT32_MAX || (i && v[i]->wd == v[i - 1]->wd))
			return err_image(err, "files.img: inotify %u: watch descriptor %u is there twice or none at all", e->id,
					 v[i]->wd);
		if (!path || path[0] != '/')
			return err_refuse(err, "files.img: inotify %u: watch %u has a file handle but no path", e->id, v[i]->wd);
		program_call(last, 0, "number of the next watch", SYS_ioctl, A_SLOT(slot), A(SET_NEXT_WD), A(v[i]->wd));
		program_call_eq(last, 0, "watch", v[i]->wd, SYS_inotify_add_watch, A_SLOT(slot),
				A_DATA(program_string(last, path)),
				A((v[i]->mask & INOTIFY_MASK) | IN_DONT_FOLLOW));
	}
	return 0;
}

const struct file_kind inotify_kind = {
	.name = "inotify",
	.type = FD_TYPES__INOTIFY,
	.match = inotify_match,
	.dump = inotify_dump,
	.plan = inotify_plan,
};

/* ---- fanotify ---- */

static bool fanotify_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:[fanotify]");
}

static int mount_path(struct dump *d, uint32_t id, FanotifyMountMarkEntry *me, uint32_t *dev, struct err *err)
{
	struct proc_mount *mounts;
	size_t n;
	int ret = proc_mountinfo(d->task->proc_fd, d->arena, &mounts, &n, err);

	for (size_t i = 0; !ret && i < n; i++)
		if (mounts[i].id == (int)id) {
			me->path = arena_strdup(d->arena, mounts[i].point);
			*dev = mounts[i].dev_major << 20 | mounts[i].dev_minor;
			return 0;
		}
	return ret ? ret : err_refuse(err, "fanotify mark on a mount (%u) that the task does not see", id);
}

static int dump_mark(struct dump *d, const char *line, FanotifyMarkEntry *e, struct err *err)
{
	uint64_t mflags, mask, ignored, id;
	struct watched w;

	if (value(line, "mflags", 16, UINT32_MAX, &mflags) || value(line, "mask", 16, UINT32_MAX, &mask) ||
	    value(line, "ignored_mask", 16, UINT32_MAX, &ignored))
		return strange(err, "fanotify");
	e->mflags = (uint32_t)mflags;
	e->mask = (uint32_t)mask;
	e->ignored_mask = (uint32_t)ignored;
	if (e->mflags & ~(uint32_t)MARK_FLAGS)
		return err_refuse(err, "fanotify mark with unknown flags %#x", e->mflags);
	if (!value(line, "mnt_id", 16, INT32_MAX, &id)) {
		e->type = MARK_TYPE__MOUNT;
		e->me = arena_msg(d->arena, FanotifyMountMarkEntry, fanotify_mount_mark_entry__init);
		e->me->mnt_id = (uint32_t)id;
		return mount_path(d, e->me->mnt_id, e->me, &e->s_dev, err);
	}
	if (value(line, "ino", 16, UINT64_MAX, &id))
		return err_refuse(err, "fanotify mark on a whole file system or namespace");
	if (parse_watched(line, &w))
		return strange(err, "fanotify");
	e->type = MARK_TYPE__INODE;
	e->s_dev = (uint32_t)w.dev;
	e->ie = arena_msg(d->arena, FanotifyInodeMarkEntry, fanotify_inode_mark_entry__init);
	e->ie->i_ino = w.ino;
	return fill_handle(d, &w, "fanotify mark", &e->ie->f_handle, err);
}

static int fanotify_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	FanotifyFileEntry *e = arena_msg(d->arena, FanotifyFileEntry, fanotify_file_entry__init);
	int ret = 0;
	const char *text = src->info->text, *head = strstr(text, "fanotify flags:");
	uint64_t flags, events;

	entry->ffy = e;
	d->files->watches = true;
	e->id = entry->id;
	e->flags = (uint32_t)src->flags;
	if (ret)
		return ret;
	if (!head || value(head + strlen("fanotify "), "flags", 16, UINT32_MAX, &flags) ||
	    value(head + strlen("fanotify "), "event-flags", 16, UINT32_MAX, &events))
		return strange(err, "fanotify");
	e->faflags = (uint32_t)flags;
	e->evflags = (uint32_t)events;
	e->mark = arena_alloc(d->arena, (lines(text, "fanotify ") + 1) * sizeof(*e->mark));
	for (const char *p = text; !ret && (p = strstr(p, "fanotify ")); p++) {
		FanotifyMarkEntry *k = arena_msg(d->arena, FanotifyMarkEntry, fanotify_mark_entry__init);

		if (p == head)
			continue;
		k->id = e->id;
		ret = dump_mark(d, p + strlen("fanotify "), k, err);
		e->mark[e->n_mark++] = k;
	}
	return ret ? ret : fown_dump(d, src, &e->fown, err);
}

/* One call for what is watched, one for what is ignored. */
static int plan_mark(struct plan *plan, const FanotifyFileEntry *e, const FanotifyMarkEntry *k, uint32_t slot,
		     struct err *err)
{
	const char *path = k->type == MARK_TYPE__MOUNT ? (k->me ? k->me->path : NULL)
						       : (k->ie ? k->ie->f_handle->path : NULL);
	struct program *last = plan->last;
	uint32_t flags = FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW | (k->mflags & FAN_MARK_EVICTABLE) |
			 (k->type == MARK_TYPE__MOUNT ? FAN_MARK_MOUNT : 0);
	uint32_t how = k->mflags & FAN_MARK_IGNORE ? FAN_MARK_IGNORE : FAN_MARK_IGNORED_MASK;
	struct data_ref at;

	if (k->type != MARK_TYPE__MOUNT && k->type != MARK_TYPE__INODE)
		return err_image(err, "files.img: fanotify %u: a mark of unknown type", e->id);
	if (!path || path[0] != '/')
		return err_refuse(err, "files.img: fanotify %u: a mark without a path", e->id);
	at = program_string(last, path);
	if (k->mask)
		program_call(last, 0, "fanotify mark", SYS_fanotify_mark, A_SLOT(slot), A(flags), A(k->mask),
			     A((uint64_t)AT_FDCWD), A_DATA(at));
	if (k->ignored_mask)
		program_call(last, 0, "what the mark ignores", SYS_fanotify_mark, A_SLOT(slot),
			     A(flags | how | (k->mflags & FAN_MARK_IGNORED_SURV_MODIFY)), A(k->ignored_mask),
			     A((uint64_t)AT_FDCWD), A_DATA(at));
	return 0;
}

static int fanotify_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			 struct err *err)
{
	const FanotifyFileEntry *e = entry->ffy;
	int ret = 0;

	plan_slot_is(plan, slot,
		     program_call(plan->controller, MAKE_OBJECTS, "fanotify", SYS_fanotify_init,
				  A((e->faflags & ~(uint32_t)FAN_NONBLOCK) | FAN_CLOEXEC), A(e->evflags)));
	plan_setfl(plan, slot, 0, e->flags);
	for (size_t i = 0; !ret && i < e->n_mark; i++)
		ret = plan_mark(plan, e, e->mark[i], slot, err);
	return ret;
}

const struct file_kind fanotify_kind = {
	.name = "fanotify",
	.type = FD_TYPES__FANOTIFY,
	.match = fanotify_match,
	.dump = fanotify_dump,
	.plan = fanotify_plan,
};
