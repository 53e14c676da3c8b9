// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Before a process exists: what stands in the way where files are to be opened for writing, or made for a moment. access(2) would
 * say it in words that nobody can act on, and costs a walk along the path; the attributes come with what is asked anyway.
 */
#include "common/file/preflight.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/file/ghost.h"
#include "common/file/table.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* include/uapi/linux/fcntl.h, since 6.14; EINVAL before */
#endif
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000u /* include/uapi/linux/stat.h, since 5.8 */
#endif

int look_statx(const char *path, bool link, struct statx *st)
{
	return statx(AT_FDCWD, path, link ? AT_SYMLINK_NOFOLLOW : 0, STATX_BASIC_STATS | STATX_MNT_ID, st);
}

/* Flags of the mount that a file is on: of many files on one mount, asked once. */
static unsigned long mount_flags(struct look *f, const char *path, const struct statx *st)
{
	const bool known = st->stx_mask & STATX_MNT_ID;
	struct statvfs fs;

	if (known && f->mount_known && f->mount == st->stx_mnt_id)
		return f->mount_flags;
	if (statvfs(path, &fs))
		return 0;
	f->mount_known = known;
	f->mount = st->stx_mnt_id;
	return f->mount_flags = fs.f_flag;
}

/* Not by the ids of root with all its powers: then there is nothing to ask. */
static void check_rights(struct look *f, const char *path, int how)
{
	if (f->euid != 0 && faccessat(AT_FDCWD, path, how, AT_EACCESS) < 0 && errno == EACCES)
		look_found(f, path, "may not be opened for %s by user %u, as whom this runs",
		      how & W_OK && how & R_OK ? "reading and writing" : how & W_OK ? "writing" : "reading", f->euid);
}

void look_opening(struct look *f, const char *path, const struct statx *st, uint32_t flags)
{
	const uint32_t access = flags & O_ACCMODE;
	const bool writes = access == O_WRONLY || access == O_RDWR, node = !S_ISREG(st->stx_mode) && !S_ISDIR(st->stx_mode);

	if (flags & O_PATH)
		return;
	if ((S_ISCHR(st->stx_mode) || S_ISBLK(st->stx_mode)) && mount_flags(f, path, st) & ST_NODEV)
		look_found(f, path, "is a device on a file system that is mounted with nodev here (mount -o remount,dev)");
	if (writes && !node) {
		if (mount_flags(f, path, st) & ST_RDONLY)
			look_found(f, path, "is to be opened for writing, and is mounted read-only here (mount -o remount,rw)");
		else if (st->stx_attributes & STATX_ATTR_IMMUTABLE)
			look_found(f, path, "is to be opened for writing, and is immutable here (chattr -i lets it)");
		else if (st->stx_attributes & STATX_ATTR_APPEND && !(flags & O_APPEND))
			look_found(f, path, "is to be opened for writing, and takes only appended data here (chattr -a lets it)");
	}
	check_rights(f, path, (writes ? W_OK : 0) | (access != O_WRONLY ? R_OK : 0));
}

void look_executable(struct look *f, const char *path, bool is_exe)
{
	char *const argv[] = { (char *)(uintptr_t)path, NULL }, *const none[] = { NULL };
	struct statvfs fs;

	if (!statvfs(path, &fs) && fs.f_flag & ST_NOEXEC)
		look_found(f, path, "is to be mapped executable, and is mounted with noexec here (mount -o remount,exec)");
	else if (!is_exe || !syscall(SYS_execveat, AT_FDCWD, path, argv, none, AT_EXECVE_CHECK))
		return;
	else if (errno == EACCES)
		look_found(f, path, "is to be the executable of a task, and may not be executed here (chmod +x)");
	else if (errno == ETXTBSY)
		look_found(f, path, "is to be the executable of a task, and somebody has it open for writing (fuser -v tells who)");
}

/* A file gets a name there and loses it again. */
static void check_directory(struct look *f, const char *dir)
{
	struct statx st;

	if (look_statx(dir, false, &st) < 0)
		look_found(f, dir, errno == ENOENT ? "does not exist here, and is the directory of a deleted file" : "%s", strerror(errno));
	else if (!S_ISDIR(st.stx_mode))
		look_found(f, dir, "is no directory, but was that of a deleted file");
	else if (mount_flags(f, dir, &st) & ST_RDONLY)
		look_found(f, dir, "is to have a deleted file for a moment, and is mounted read-only here (mount -o remount,rw)");
	else if (st.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		look_found(f, dir, "is to have a deleted file for a moment, and is immutable or append-only here (chattr -ia lets it)");
	else
		check_rights(f, dir, W_OK | R_OK);
}

void look_deleted(struct look *f)
{
	cleanup_free char *last = NULL;

	for (size_t i = 0; i < f->m->nremaps; i++) {
		const RemapFilePathEntry *remap = f->m->remaps[i];
		const RegFileEntry *reg = model_reg(f->m, remap->orig_id);
		const bool linked = remap->has_remap_type && remap->remap_type == REMAP_TYPE__LINKED;
		const RegFileEntry *other = linked ? model_reg(f->m, remap->remap_id) : NULL;
		const char *slash = reg && reg->name[0] == '/' ? strrchr(reg->name, '/') : NULL;
		struct statx st;
		char *dir;

		if (!slash || (f->check->plan && reg_inherited(f->check->plan, reg) >= 0))
			continue;
		if (other && look_statx(other->name, true, &st) < 0)
			look_found(f, other->name, "%s: the dump gave this name to a file that had lost its own", strerror(errno));
		dir = slash == reg->name ? xstrdup("/") : xasprintf("%.*s", (int)(slash - reg->name), reg->name);
		if (!last || strcmp(dir, last) != 0)
			check_directory(f, dir);
		free(last);
		last = dir;
	}
}

bool look_is_made(const struct model *m, const char *path)
{
	const char *base = strrchr(path, '/');

	for (size_t i = 0; i < m->nfiles; i++) {
		const UnixSkEntry *e = m->files[i]->type == FD_TYPES__UNIXSK ? m->files[i]->usk : NULL;
		const char *name = e && e->name.len ? (const char *)e->name.data : NULL;
		const size_t len = name ? strnlen(name, e->name.len) : 0;
		const char *slash = len ? memrchr(name, '/', len) : NULL;
		const size_t dir = slash ? (size_t)(slash + 1 - name) : 0;

		if (len - dir == strlen(base + 1) && !memcmp(name + dir, base + 1, len - dir))
			return true;
	}
	return false;
}

static void check_watch(struct look *f, const char *what, const char *path)
{
	struct statx st;

	if (!path || path[0] != '/' || reg_is_tree_proc(f->m, path) || look_statx(path, true, &st) == 0)
		return;
	if (errno == ENOENT && look_is_made(f->m, path))
		return;
	look_found(f, path, "is watched by %s, and %s", what, errno == ENOENT ? "does not exist here" : strerror(errno));
}

void look_watched(struct look *f)
{
	for (size_t i = 0; i < f->m->nfiles; i++) {
		const FileEntry *e = f->m->files[i];

		for (size_t k = 0; e->type == FD_TYPES__INOTIFY && e->ify && k < e->ify->n_wd; k++)
			check_watch(f, "inotify", e->ify->wd[k]->f_handle->path);
		for (size_t k = 0; e->type == FD_TYPES__FANOTIFY && e->ffy && k < e->ffy->n_mark; k++) {
			const FanotifyMarkEntry *mark = e->ffy->mark[k];

			check_watch(f, "fanotify", mark->me ? mark->me->path : mark->ie ? mark->ie->f_handle->path : NULL);
		}
	}
}
