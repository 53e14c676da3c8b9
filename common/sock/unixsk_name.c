// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names of unix sockets. A bound socket has the words that bind(2) was given, and a file, which may be somewhere else by now:
 * the words were relative, or of another root, the file was moved or removed. So the words are bound inside a directory of
 * our own that is the root for that moment, and the file is moved to where it was, with its mode, owner, attributes and times.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <linux/capability.h>

#include "common/file/ghost.h"
#include "common/sock/unixsk.h"

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89e0 /* linux/un.h */
#endif
#define DELETED " (deleted)"
#define FSCONFIG_CREATE 6 /* FSCONFIG_CMD_CREATE of linux/mount.h, which clashes with sys/mount.h */

/* ---- dump ---- */

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int take_perms(struct dump *d, const char *path, const struct stat *st, UnixSkEntry *e, struct err *err)
{
	FilePermsEntry *p = e->file_perms = arena_msg(d->arena, FilePermsEntry, file_perms_entry__init);
	struct xattrs x = { 0 };
	int ret = xattrs_take(d, path, &x, err);

	if (ret < 0)
		return err_object(err, ret, "%s", (const char *)e->name.data);
	p->xattrs = x.v;
	p->n_xattrs = x.n;
	p->has_atim_ns = p->has_mtim_ns = true;
	p->atim_ns = ns_of(st->st_atim);
	p->mtim_ns = ns_of(st->st_mtim);

	p->mode = st->st_mode;
	p->uid = st->st_uid;
	p->gid = st->st_gid;
	return 0;
}

/* The words lead to the file: by far the usual case, and the only one that is seen without CAP_NET_ADMIN. */
static bool leads_there(const char *path, const struct unix_diag *diag, struct stat *st)
{
	struct unix_diag one = *diag;
	struct unix_diags all = { &one, 1 };

	one.state = UNIX_CLOSED; /* whatever it is: only the file is compared */
	return diag->file_ino && stat(path, st) == 0 && S_ISSOCK(st->st_mode) && unix_diag_by_file(&all, st);
}

/* A relative name and the file's path tell the directory of the bind, if the one ends with the other. */
static void take_directory(struct dump *d, const char *words, const char *path, UnixSkEntry *e)
{
	size_t n = strlen(words), len = strlen(path);

	if (len > n + 1 && path[len - n - 1] == '/' && !strcmp(path + len - n, words))
		e->name_dir = arena_printf(d->arena, "%.*s", (int)(len - n - 1), path);
	else if (len == n + 1 && path[0] == '/' && !strcmp(path + 1, words))
		e->name_dir = arena_strdup(d->arena, "/");
	else
		e->file_path = arena_strdup(d->arena, path);
}

/* The file is made anew: another name of it would lead to the old one, which nobody is behind. */
static int refuse_links(const struct unix_diag *diag, const struct stat *st, const char *words, struct err *err)
{
	const bool holds = diag->type == SOCK_DGRAM || diag->state != UNIX_CONNECTED; /* what accept(2) gave does not */

	if (!holds || st->st_nlink < 2)
		return 0;
	return err_hint(err, err_refuse(err, "unix socket %s: its file has %ju names (hard links), of which one would lead to it", words,
					(uintmax_t)st->st_nlink), "remove the others");
}

static int find_file(struct dump *d, const struct fd_source *src, const struct unix_diag *diag, const char *words,
		     UnixSkEntry *e, struct err *err)
{
	char self[40], path[4096];
	struct stat st, there;
	int ret;
	cleanup_fd int file = ioctl(src->fd, SIOCUNIXFILE);

	if (file < 0) {
		ret = err_sys(err, "cannot reach the file of unix socket %s (SIOCUNIXFILE)", words);
		return ret == -EPERM ? err_hint(err, ret, "it takes CAP_NET_ADMIN, where its name does not lead there") : ret;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file);
	ssize_t n = readlink(self, path, sizeof(path) - 1);
	if (n < 0 || fstat(file, &st) < 0)
		return err_sys(err, "cannot read the path of unix socket %s", words);
	path[n] = 0;
	ret = take_perms(d, self, &st, e, err);
	if (ret)
		return ret;
	if (!st.st_nlink) {
		e->has_deleted = e->deleted = true;
		if (words[0] != '/') { /* for other readers; for us it is nowhere */
			char *slash = strrchr(path, '/');
			if (slash && slash != path)
				e->name_dir = arena_printf(d->arena, "%.*s", (int)(slash - path), path);
		}
		return 0;
	}
	if (lstat(path, &there) < 0 || there.st_dev != st.st_dev || there.st_ino != st.st_ino)
		return err_refuse(err, "unix socket %s: %s does not lead to its file (a mount hides it, or that name was removed "
				  "and others live on)", words, path);
	ret = refuse_links(diag, &st, words, err);
	if (ret)
		return ret;
	if (words[0] == '/')
		e->file_path = arena_strdup(d->arena, path);
	else
		take_directory(d, words, path, e);
	return 0;
}

int unix_name_dump(struct dump *d, const struct fd_source *src, const struct unix_diag *diag, UnixSkEntry *e,
		   struct err *err)
{
	struct stat st;

	e->name.len = diag->name_len;
	e->name.data = (uint8_t *)(uintptr_t)diag->name;
	if (!unix_has_path(&e->name))
		return 0;
	const char *words = arena_printf(d->arena, "%.*s", (int)e->name.len, (const char *)e->name.data);
	if (words[0] == '/' && leads_there(words, diag, &st)) {
		const int ret = take_perms(d, words, &st, e, err);

		return ret ? ret : refuse_links(diag, &st, words, err);
	}
	return find_file(d, src, diag, words, e, err);
}

/* ---- restore ---- */

int unix_name_check(const ProtobufCBinaryData *name, struct err *err)
{
	bool path = unix_has_path(name);

	if (name->len > UNIX_NAME_MAX || (name->len == UNIX_NAME_MAX && !path))
		return err_image(err, "a name of %zu bytes", name->len);
	if (path && memchr(name->data, 0, name->len) != name->data + name->len - 1)
		return err_image(err, "a path that does not end with its NUL");
	return 0;
}

/* The path without "." and ".." and doubled slashes, as they work in a tree without symbolic links. */
static const char *plain_path(struct arena *arena, const char *path)
{
	char *out = arena_alloc(arena, strlen(path) + 2);
	size_t len = 0;

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && !strncmp(p, "..", 2)) {
			while (len && out[--len] != '/')
				;
		} else if (n && !(n == 1 && *p == '.')) {
			out[len++] = '/';
			memcpy(out + len, p, n);
			len += n;
		}
		p += n + (p[n] == '/');
	}
	if (!len)
		out[len++] = '/';
	out[len] = 0;
	return out;
}

const char *unix_file_path(struct arena *arena, const UnixSkEntry *e)
{
	const char *words = (const char *)e->name.data;

	if (!unix_has_path(&e->name) || (e->has_deleted && e->deleted))
		return NULL;
	if (e->file_path)
		return e->file_path;
	if (*words == '/')
		return words;
	return e->name_dir ? plain_path(arena, arena_printf(arena, "%s/%s", e->name_dir, words)) : NULL;
}

enum where {
	NO_FILE, /* unnamed or abstract */
	HERE,	 /* bound where it belongs */
	ASIDE,	 /* bound in a directory beside its place */
	NOWHERE, /* bound in a file system without a place */
};

struct unix_place {
	enum where where;
	const UnixSkEntry *e;	 /* NULL: temporary */
	struct data_ref address; /* struct sockaddr_un */
	const char *words;
	const char *path;	 /* HERE, ASIDE: where the file comes to be */
	const char *dir;	 /* ASIDE: our directory */
	uint32_t slot;		 /* ASIDE, NOWHERE: of the root for the moment */
};

/* Slots that all places share: they are found by names that no entry has. */
static uint32_t shared_slot(struct plan *plan, uint32_t which, const char *what, const char *path)
{
	struct program *c = plan->controller;
	uint32_t slot;

	if (file_slot_known(plan, FD_TYPES__UND, which, 0, &slot))
		return slot;
	slot = file_slot_new(plan, FD_TYPES__UND, which, 0, what);
	if (path)
		plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, what, SYS_openat, A((uint64_t)AT_FDCWD),
						      A_DATA(program_string(c, path)), A(O_PATH | O_DIRECTORY | O_CLOEXEC)));
	return slot;
}

enum { SHARED_ROOT = 1, SHARED_CWD, SHARED_NOWHERE };

uint32_t unix_root_slot(struct plan *plan)
{
	return shared_slot(plan, SHARED_ROOT, "our root", "/");
}

static uint32_t nowhere_slot(struct plan *plan)
{
	struct program *c = plan->controller;
	uint32_t slot;

	if (file_slot_known(plan, FD_TYPES__UND, SHARED_NOWHERE, 0, &slot))
		return slot;
	slot = shared_slot(plan, SHARED_NOWHERE, "a file system that nobody sees", NULL);
	struct step_ref fs = program_call(c, MAKE_OBJECTS, "a file system that nobody sees", SYS_fsopen,
					  A_DATA(program_string(c, "tmpfs")), A(1 /* FSOPEN_CLOEXEC */));
	program_call(c, MAKE_OBJECTS, "is made", SYS_fsconfig, A_RESULT(fs), A(FSCONFIG_CREATE), A(0), A(0), A(0));
	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "its root", SYS_fsmount, A_RESULT(fs),
					      A(1 /* FSMOUNT_CLOEXEC */), A(0)));
	program_call(c, MAKE_OBJECTS, "was only for that", SYS_close, A_RESULT(fs));
	return slot;
}

static enum where choose_where(struct plan *plan, struct unix_place *p)
{
	p->path = p->e ? unix_file_path(plan->arena, p->e) : NULL;
	if (!p->path)
		return NOWHERE;
	return p->words[0] == '/' && !strcmp(p->path, p->words) ? HERE : ASIDE;
}

static struct data_ref address_of(struct plan *plan, const ProtobufCBinaryData *name)
{
	unsigned char sun[sizeof(struct sockaddr_un)] = { 0 };
	const sa_family_t family = AF_UNIX;
	size_t n = MIN(name->len, sizeof(sun) - sizeof(family)); /* the NUL of a path that fills it is left out */

	memcpy(sun, &family, sizeof(family));
	memcpy(sun + sizeof(family), name->data, n);
	struct data_ref d = program_data(plan->controller, sun, sizeof(sun));
	d.len = (uint32_t)(sizeof(family) + n);
	return d;
}

/* mkdir or rmdir for each directory on the way. */
static void directories(struct plan *plan, const char *words, bool make)
{
	struct program *c = plan->controller;
	size_t len = strlen(words);

	for (size_t k = 1; k < len; k++) {
		size_t i = make ? k : len - k;
		if (words[i] != '/' || words[i - 1] == '/')
			continue;
		struct data_ref dir = program_string(c, arena_printf(plan->arena, "%.*s", (int)i, words));
		if (make) /* "a/..", or it is there from another socket */
			program_try(c, MAKE_OBJECTS, "on the way to it", SYS_mkdir, A_DATA(dir), A(0700));
		else
			program_try(c, MAKE_OBJECTS, "was on the way to it", SYS_rmdir, A_DATA(dir));
	}
}

void unix_place_enter(struct plan *plan, struct unix_place *p)
{
	struct program *c = plan->controller;

	if (p->where != ASIDE && p->where != NOWHERE)
		return;
	unix_root_slot(plan);
	shared_slot(plan, SHARED_CWD, "our directory", ".");
	program_call(c, MAKE_OBJECTS, "root for the moment", SYS_fchdir, A_SLOT(p->slot));
	program_call(c, MAKE_OBJECTS, "root for the moment", SYS_chroot, A_DATA(program_string(c, ".")));
}

void unix_place_leave(struct plan *plan, struct unix_place *p)
{
	struct program *c = plan->controller;

	if (p->where != ASIDE && p->where != NOWHERE)
		return;
	program_call(c, MAKE_OBJECTS, "back", SYS_fchdir, A_SLOT(unix_root_slot(plan)));
	program_call(c, MAKE_OBJECTS, "back", SYS_chroot, A_DATA(program_string(c, ".")));
	program_call(c, MAKE_OBJECTS, "back", SYS_fchdir, A_SLOT(shared_slot(plan, SHARED_CWD, "our directory", ".")));
}

static void make_aside(struct plan *plan, struct unix_place *p)
{
	struct program *c = plan->controller;
	const char *slash = strrchr(p->path, '/');

	p->dir = arena_printf(plan->arena, "%.*s/.cr-restore-%lx-%u", slash ? (int)(slash - p->path) : 0, p->path,
			      (unsigned long)plan->unique, p->e->id);
	struct data_ref dir = program_string(c, p->dir);
	program_call(c, MAKE_OBJECTS, "to bind a socket in", SYS_mkdir, A_DATA(dir), A(0700));
	p->slot = plan_slot(plan, "to bind a socket in");
	plan_slot_is(plan, p->slot,
		     program_call(c, MAKE_OBJECTS, "to bind a socket in", SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(dir),
				  A(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)));
}

static struct timespec timespec_of(int64_t ns)
{
	const int64_t rest = ns % 1000000000;

	return (struct timespec){ ns / 1000000000 - (rest < 0), rest + (rest < 0 ? 1000000000 : 0) };
}

/* Inside of the place, or for HERE at the path itself. */
static void set_perms(struct plan *plan, struct unix_place *p)
{
	struct program *c = plan->controller;
	const FilePermsEntry *perms = p->e ? p->e->file_perms : NULL;
	struct data_ref words = program_string(c, p->words);
	const struct arg cwd = A((uint64_t)AT_FDCWD);

	if (!perms)
		return;
	if (plan->lacks & 1ull << CAP_CHOWN)
		program_try(c, MAKE_OBJECTS, "owner of a socket's file", SYS_fchownat, cwd, A_DATA(words), A(perms->uid),
			    A(perms->gid), A(AT_SYMLINK_NOFOLLOW));
	else
		program_call(c, MAKE_OBJECTS, "owner of a socket's file", SYS_fchownat, cwd, A_DATA(words), A(perms->uid),
			     A(perms->gid), A(AT_SYMLINK_NOFOLLOW));
	/* Not one that the directory gave it by default. The list is there before the mode lets anybody in. */
	if (perms->has_mtim_ns)
		program_try(c, MAKE_OBJECTS, "no access control list but its own", SYS_lremovexattr, A_DATA(words),
			    A_DATA(program_string(c, "system.posix_acl_access")));
	xattrs_set(c, XATTRS(perms), A_DATA(words), false);
	program_call(c, MAKE_OBJECTS, "mode of a socket's file", SYS_fchmodat, cwd, A_DATA(words),
		     A(perms->mode & 07777));
	if (perms->has_mtim_ns && perms->has_atim_ns) {
		const struct timespec times[] = { timespec_of(perms->atim_ns), timespec_of(perms->mtim_ns) };

		program_try(c, MAKE_OBJECTS, "times of a socket's file", SYS_utimensat, cwd, A_DATA(words),
			    A_DATA(program_data(c, times, sizeof(times))), A(AT_SYMLINK_NOFOLLOW));
	}
}

struct unix_place *unix_place_bind(struct plan *plan, const UnixSkEntry *e, const ProtobufCBinaryData *name,
				   struct arg fd)
{
	struct unix_place *p = arena_alloc(plan->arena, sizeof(*p));
	struct program *c = plan->controller;

	p->e = e;
	p->address = address_of(plan, name);
	if (!unix_has_path(name)) {
		if (name->len)
			program_call(c, MAKE_OBJECTS, "name of a socket", SYS_bind, fd, A_DATA(p->address),
				     A(p->address.len));
		return p;
	}
	p->words = (const char *)name->data;
	p->where = choose_where(plan, p);
	if (p->where == NOWHERE)
		p->slot = nowhere_slot(plan);
	else if (p->where == ASIDE)
		make_aside(plan, p);
	unix_place_enter(plan, p);
	if (p->where == HERE) /* what a killed process left there: the preflight has seen that it is no live socket */
		program_try(c, MAKE_OBJECTS, "a dead socket's file", SYS_unlink, A_DATA(program_string(c, p->words)));
	else
		directories(plan, p->words, true);
	/* Nobody connects before it has its mode. */
	struct step_ref mask = program_call(c, MAKE_OBJECTS, "file for nobody", SYS_umask, A(0777));
	program_call(c, MAKE_OBJECTS, "name of a socket", SYS_bind, fd, A_DATA(p->address), A(p->address.len));
	program_call(c, MAKE_OBJECTS, "as it was", SYS_umask, A_RESULT(mask));
	set_perms(plan, p);
	unix_place_leave(plan, p);
	return p;
}

struct unix_place *unix_place_outside(struct plan *plan, const ProtobufCBinaryData *name)
{
	struct unix_place *p = arena_alloc(plan->arena, sizeof(*p));

	p->address = address_of(plan, name);
	return p;
}

struct data_ref unix_place_address(const struct unix_place *p)
{
	return p->address;
}

void unix_place_end(struct plan *plan, struct unix_place *p)
{
	struct program *c = plan->controller;

	if (p->where == NOWHERE) {
		unix_place_enter(plan, p);
		program_call(c, MAKE_OBJECTS, "it has no file any more", SYS_unlink, A_DATA(program_string(c, p->words)));
		unix_place_leave(plan, p);
	} else if (p->where == ASIDE) {
		const char *bound = arena_printf(plan->arena, "%s%s", p->dir, plain_path(plan->arena, p->words));

		program_call(c, MAKE_OBJECTS, "file of a socket to its place", SYS_rename, A_DATA(program_string(c, bound)),
			     A_DATA(program_string(c, p->path)));
		unix_place_enter(plan, p);
		directories(plan, p->words, false);
		unix_place_leave(plan, p);
		program_call(c, MAKE_OBJECTS, "no longer needed", SYS_rmdir, A_DATA(program_string(c, p->dir)));
	}
}
