// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From an open file back to a name by which a restorer can open it: the path that the kernel shows must lead to the
 * very same inode, or the file is deleted (a ghost), or the dump is refused.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <search.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "common/base/io.h"
#include "common/file/file.h"

#define DELETED " (deleted)"
#define SIBLINGS_MAX 100000 /* names of a directory that are looked at */

/* Paths of /proc/PID/fd are shown from the root of the task's mount namespace (or from our root, when it is the same).
 */
static int open_root(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;
	struct stat theirs, ours;

	if (t->root >= 0)
		return t->root;
	if (fstatat(d->task->proc_fd, "ns/mnt", &theirs, 0) < 0 || stat("/proc/self/ns/mnt", &ours) < 0)
		return err_sys(err, "cannot compare mount namespaces");
	t->root = theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino ?
			  open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) :
			  openat(d->task->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return t->root < 0 ? err_sys(err, "cannot open the root directory of the task") : t->root;
}

static bool leads_to(int root, const char *path, const struct stat *want)
{
	struct stat st;
	const char *rel = path + strspn(path, "/");

	return fstatat(root, *rel ? rel : ".", &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == want->st_dev &&
	       st.st_ino == want->st_ino && (st.st_mode & S_IFMT) == (want->st_mode & S_IFMT);
}

bool reg_is_own_proc(const char *name, pid_t pid)
{
	char prefix[32];
	int n = snprintf(prefix, sizeof(prefix), "/proc/%d", (int)pid);

	return !strncmp(name, prefix, (size_t)n) && (name[n] == '/' || !name[n]);
}

pid_t reg_proc_pid(const char *name)
{
	char digits[16] = "";
	uint64_t pid;
	size_t n = strncmp(name, "/proc/", 6) ? 0 : strspn(name + 6, "0123456789");

	if (!n || n >= sizeof(digits) || (name[6 + n] && name[6 + n] != '/'))
		return 0;
	memcpy(digits, name + 6, n);
	return parse_u64(digits, 10, &pid) || pid > INT32_MAX ? 0 : (pid_t)pid;
}

static bool in_tree_proc(const struct dump *d, const char *name)
{
	pid_t pid = reg_proc_pid(name);

	return pid && dump_find_task(d, pid);
}

static int check_proc(struct dump *d, const struct file_place *p, struct err *err)
{
	const char *name = p->link;
	size_t digits;

	if (strncmp(name, "/proc/", 6) && strcmp(name, "/proc"))
		return err_refuse(err, "%s is on a procfs that is not at /proc", name);
	if (!name[5] || in_tree_proc(d, name))
		return 0;
	digits = strspn(name + 6, "0123456789");
	if (digits && (!name[6 + digits] || name[6 + digits] == '/'))
		return err_refuse(err, "%s belongs to another process", name);
	return 0;
}

static int refuse_hidden(const struct file_place *p, const char *name, bool gone, struct err *err)
{
	if (gone && p->st.st_nlink)
		return err_hint(err,
				err_refuse(err, "%s was removed, but the file lives on under %lu other name(s)", name,
					   (unsigned long)p->st.st_nlink),
				"--link-remap gives it a temporary name beside the lost one");
	return err_refuse(err, "%s does not lead to the open file (a mount hides it, or it is out of the task's reach)",
			  name);
}

/*
 * Another name of the file beside a lost one: so sem_open(3) makes named semaphores, and so do programs that put a file in its
 * place by link(2) and unlink(2). Arena memory; NULL when there is none.
 */
static const char *sibling_of(struct dump *d, int root, const char *lost, const struct stat *want)
{
	int len = (int)(strrchr(lost, '/') - lost) + 1;
	const char *dir = arena_printf(d->arena, "%.*s", len, lost);
	int fd = openat(root, dir[1] ? dir + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	DIR *names = fd < 0 ? NULL : fdopendir(fd);
	const char *found = NULL;
	struct dirent *e;

	if (!names) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	for (size_t n = 0; !found && n < SIBLINGS_MAX && (e = readdir(names)); n++) {
		if (e->d_ino != want->st_ino || !strncmp(e->d_name, LINK_PREFIX, strlen(LINK_PREFIX)))
			continue;
		const char *path = arena_printf(d->arena, "%s%s", dir, e->d_name);
		if (leads_to(root, path, want))
			found = path;
	}
	closedir(names);
	return found;
}

/*
 * Where a file without a name is to be made: beside the lost one or, when its directory is gone too, in the next one above that is
 * there, in the same file system. Arena memory; NULL when there is none.
 */
static const char *place_of(struct dump *d, int root, const char *lost, const struct stat *want)
{
	const char *base = strrchr(lost, '/');
	char *dir = arena_strdup(d->arena, lost);

	for (char *slash; (slash = strrchr(dir, '/'));) {
		struct stat st;

		*slash = 0;
		if (fstatat(root, *dir ? dir + 1 : ".", &st, 0) || !S_ISDIR(st.st_mode))
			continue;
		if (slash - dir == base - lost) /* memfds show a place like that, too */
			return lost;
		if (st.st_dev == want->st_dev)
			return arena_printf(d->arena, "%s%s", dir, base);
	}
	return NULL;
}

/*
 * A file of a lower layer of overlayfs shows the links that it has there, however often it was removed above. That it has none left
 * only link(2) tells, which refuses to bring it back (fs/namei.c, vfs_link()). Where there are others it gets one more for a moment.
 */
static bool nobody_links(struct dump *d, const struct file_place *p, int root, const char *lost)
{
	int dir = (int)(strrchr(lost, '/') - lost) + 1;
	const char *name = arena_printf(d->arena, "%.*s" LINK_PREFIX "%d.probe", dir, lost, getpid());

	if (linkat(d->task->proc_fd, p->magic, root, name + 1, AT_SYMLINK_FOLLOW))
		return errno == ENOENT && faccessat(root, dir > 1 ? arena_printf(d->arena, "%.*s", dir - 1, lost + 1) : ".", F_OK, 0) == 0;
	unlinkat(root, name + 1, 0);
	return false;
}

/* Finds the name; *ghost says that no name leads to the file, *linked that it has names but not this one. */
static int resolve(struct dump *d, const struct file_place *p, const char **name, bool *ghost, bool *linked,
		   struct err *err)
{
	size_t len = strlen(p->link), dlen = strlen(DELETED);
	bool suffix = len > dlen && !strcmp(p->link + len - dlen, DELETED);
	int root;

	*ghost = *linked = false;
	*name = p->link;
	if (p->link[0] != '/')
		return err_refuse(err, "%s has no path", p->link);
	root = open_root(d, err);
	if (root < 0)
		return root;
	/* A file may really be called "x (deleted)". */
	if (leads_to(root, p->link, &p->st))
		return 0;
	if (!suffix)
		return refuse_hidden(p, p->link, false, err);
	char *cut = arena_dup(d->arena, p->link, len - dlen + 1);
	cut[len - dlen] = 0;
	*name = cut;
	if (p->fs_type == PROC_SUPER_MAGIC)
		return err_refuse(err, "%s belongs to a process that is gone", cut);
	/* Directories keep no links when removed; a file system may count them as it likes. */
	*ghost = p->st.st_nlink == 0;
	if (!*ghost) {
		if (leads_to(root, cut, &p->st))
			return 0; /* removed and linked again under the same name */
		const char *other = sibling_of(d, root, cut, &p->st);
		if (other) {
			*name = other;
			return 0;
		}
		*ghost = p->fs_type == OVERLAYFS_SUPER_MAGIC && nobody_links(d, p, root, cut);
		*linked = !*ghost && d->opts->link_remap;
		if (!*ghost && !*linked)
			return refuse_hidden(p, cut, true, err);
	}
	*name = place_of(d, root, cut, &p->st);
	if (!*name)
		return err_refuse(err, "%s was removed together with its directory and all of its file system above", cut);
	/* A restore makes it by a name that is longer, and only then takes this one. */
	if (strrchr(*name, '/') - *name + 1 > GHOST_DIRECTORY_MAX)
		return err_hint(err, err_refuse(err, "%.200s... was removed, and the path of its directory is too long to make it"
						" there again", *name), "give a directory above it a shorter name (mv)");
	return 0;
}

/*
 * Only of what is mapped, which has an entry as such, and from there: opening and reading a file are events for whoever watches it,
 * the task itself perhaps.
 */
static void add_build_id(struct dump *d, const struct file_place *p, RegFileEntry *reg)
{
	const struct proc_maps *maps = &d->task->maps;
	uint32_t words[BUILD_ID_WORDS];
	size_t n = 0;

	if (!S_ISREG(p->st.st_mode) || p->st.st_size < 64 || p->magic[0] == '/' || !strncmp(p->magic, "fd/", 3))
		return;
	for (size_t i = 0; i < maps->n && !n; i++)
		if (!maps->v[i].pgoff && maps->v[i].ino && !strcmp(maps->v[i].name, p->link))
			n = build_id_mapped(d->task->tid, maps->v[i].start, maps->v[i].end - maps->v[i].start, words);
	if (!n)
		return;
	reg->n_build_id = n;
	reg->build_id = arena_dup(d->arena, words, n * sizeof(*words));
}

int reg_fill(struct dump *d, const struct file_place *p, RegFileEntry *reg, struct err *err)
{
	const char *name;
	bool ghost, linked;
	int ret;

	if (p->fs_type == PROC_SUPER_MAGIC) {
		ret = check_proc(d, p, err);
		if (ret < 0)
			return ret;
	}
	ret = resolve(d, p, &name, &ghost, &linked, err);
	if (ret < 0)
		return ret;
	reg->flags = (uint32_t)p->flags & ~(uint32_t)O_CLOEXEC;
	reg->pos = p->pos;
	reg->name = arena_strdup(d->arena, name);
	reg->has_mode = true;
	reg->mode = p->st.st_mode;
	/* A log that is only appended to may grow between dump and restore. */
	if (S_ISREG(p->st.st_mode) && !((p->flags & O_ACCMODE) == O_WRONLY && (p->flags & O_APPEND))) {
		reg->has_size = true;
		reg->size = (uint64_t)p->st.st_size;
	}
	if (ghost)
		return ghost_dump(d, p, name, reg->id, err);
	if (linked)
		return link_dump(d, p, name, reg->id, err);
	add_build_id(d, p, reg);
	return 0;
}

/* ---- files that are no descriptors ---- */

struct known_path {
	dev_t dev;
	ino_t ino;
	int flags;
	const char *link;
	uint32_t id;
};

static int path_order(const void *va, const void *vb)
{
	const struct known_path *a = va, *b = vb;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	if (a->flags != b->flags)
		return a->flags < b->flags ? -1 : 1;
	return strcmp(a->link, b->link);
}

static int put_path(struct dump *d, const struct file_place *p, uint32_t id, struct err *err)
{
	FileEntry *entry = arena_msg(d->arena, FileEntry, file_entry__init);
	RegFileEntry *reg = arena_msg(d->arena, RegFileEntry, reg_file_entry__init);
	int ret;

	entry->type = FD_TYPES__REG;
	entry->id = reg->id = id;
	entry->reg = reg;
	reg->fown = arena_msg(d->arena, FownEntry, fown_entry__init);
	ret = reg_fill(d, p, reg, err);
	if (ret < 0)
		return ret;
	if (p->fs_type == PROC_SUPER_MAGIC && in_tree_proc(d, reg->name))
		return err_refuse(err, "%s is an entry of a process of the tree in /proc", reg->name);
	file_put(d, entry);
	return 0;
}

int file_link_error(const char *what, struct err *err)
{
	if (errno != ENAMETOOLONG)
		return err_sys(err, "%s", what);
	return err_hint(err, err_refuse(err, "its path is longer than %d bytes, the most by which anything can be opened", PATH_MAX - 1),
			"give a directory above it a shorter name (mv)");
}

static int see(const struct dump *d, const char *link, char target[4096], struct stat *st, struct err *err)
{
	ssize_t n = readlinkat(d->task->proc_fd, link, target, 4095);

	if (n < 0)
		return err_object(err, file_link_error("cannot read the link", err), "/proc/PID/%s", link);
	target[n] = 0;
	if (fstatat(d->task->proc_fd, link, st, 0) < 0)
		return err_object(err, err_sys(err, "cannot stat %s", target), "/proc/PID/%s", link);
	return 0;
}

int file_see_path(struct dump *d, const char *link, struct path_seen **out, struct err *err)
{
	struct path_seen *p = arena_alloc(d->arena, sizeof(*p));
	char target[4096];
	int ret = see(d, link, target, &p->st, err);

	if (ret < 0)
		return ret;
	p->target = arena_strdup(d->arena, target);
	*out = p;
	return 0;
}

int file_dump_path(struct dump *d, const char *link, int open_flags, uint32_t *id, struct err *err)
{
	char target[4096];
	struct path_seen seen = { .target = target };
	int ret = see(d, link, target, &seen.st, err);

	return ret < 0 ? ret : file_dump_seen(d, link, &seen, open_flags, id, err);
}

int file_dump_seen(struct dump *d, const char *link, const struct path_seen *seen, int open_flags, uint32_t *id, struct err *err)
{
	struct file_place p = { .magic = link, .link = seen->target, .st = seen->st, .flags = open_flags };
	struct statfs fs;
	int ret;

	struct known_path key = { p.st.st_dev, p.st.st_ino, open_flags, seen->target, 0 };
	struct known_path **found = tfind(&key, &d->files->paths, path_order);
	if (found) {
		*id = (*found)->id;
		return 0;
	}
	cleanup_fd int fd = openat(d->task->proc_fd, link, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return err_object(err, err_sys(err, "cannot open %s", p.link), "/proc/PID/%s", link);
	p.fs_type = fs.f_type;
	*id = file_new_id(d);
	ret = put_path(d, &p, *id, err);
	if (ret < 0)
		return err_object(err, ret, "/proc/PID/%s", link);
	struct known_path *node = arena_dup(d->arena, &key, sizeof(key));
	node->id = *id;
	node->link = arena_strdup(d->arena, p.link);
	if (!tsearch(node, &d->files->paths, path_order))
		return err_set(err, ERR_FAILED, ENOMEM, "no memory for the list of files");
	return 0;
}
