// SPDX-License-Identifier: GPL-2.0-or-later
/* The descriptor table of the frozen task: identity of descriptions, ids, and the records of fdinfo-F.img. */
#include "common/feature/feature.h"
#include "common/file/file.h"

#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <search.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "fdinfo.pb-c.h"

struct file_table *file_table_new(void)
{
	struct file_table *t = xzalloc(sizeof(*t));

	t->root = -1;
	return t;
}

static void keep(void *node)
{
	(void)node; /* nodes' data lives in the dump's arena */
}

void file_table_free(struct file_table *t)
{
	if (!t)
		return;
	if (t->root >= 0)
		close(t->root);
	tdestroy(t->paths, keep);
	tdestroy(t->ghosts, keep);
	tdestroy(t->fifos, keep);
	free(t);
}

uint32_t file_new_id(struct dump *d)
{
	return ++d->files->last_id;
}

void file_put(struct dump *d, const FileEntry *entry)
{
	image_store_put(d->store, IMG_FILES, 0, &entry->base);
}

struct identity {
	pid_t pid;
	int errnum;
};

/*
 * kcmp(2) KCMP_FILE gives a total order of struct file addresses (0 equal, 1 less, 2 greater), stable while all are
 * open. It is asked only among descriptors of one inode: everything else is ordered by what stat(2) said. Position and
 * flags take no part: another process that shares a description may change them at any time.
 */
static int compare(const void *va, const void *vb, void *ctx)
{
	const struct file_fd *a = va, *b = vb;
	struct identity *id = ctx;

	if (a->st.st_dev != b->st.st_dev)
		return a->st.st_dev < b->st.st_dev ? -1 : 1;
	if (a->st.st_ino != b->st.st_ino)
		return a->st.st_ino < b->st.st_ino ? -1 : 1;
	if (a->number == b->number)
		return 0;
	long r = syscall(SYS_kcmp, id->pid, id->pid, KCMP_FILE, a->number, b->number);
	if (r < 0) {
		id->errnum = errno;
		return 0;
	}
	if (r == 1)
		return -1;
	if (r == 2)
		return 1;
	/*
	 * Every sort compares those that end up side by side, so this mark tells a duplicate without asking again: it
	 * stands behind another descriptor of its description. The element is ours to write; only qsort's prototype
	 * says const.
	 */
	struct file_fd *later = (struct file_fd *)(uintptr_t)(a->number > b->number ? a : b);
	later->duplicate = true;
	return a->number < b->number ? -1 : 1;
}

/* Everything that /proc tells of each descriptor. */
static int collect(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;
	int *numbers, proc = d->task->proc_fd, ret;
	size_t n;

	ret = proc_numbers(proc, "fd", d->arena, &numbers, &n, err);
	if (ret < 0)
		return ret;
	t->fds = arena_alloc(d->arena, n * sizeof(*t->fds));
	t->nfds = n;
	for (size_t i = 0; i < n; i++) {
		struct file_fd *f = &t->fds[i];
		char path[32], link[4096];

		f->number = numbers[i];
		snprintf(path, sizeof(path), "fd/%d", f->number);
		if (fstatat(proc, path, &f->st, 0) < 0)
			return err_object(err, err_sys(err, "cannot stat"), "fd %d", f->number);
		ssize_t len = readlinkat(proc, path, link, sizeof(link) - 1);
		if (len < 0)
			return err_object(err, err_sys(err, "cannot read its link"), "fd %d", f->number);
		link[len] = 0;
		f->link = arena_strdup(d->arena, link);
		ret = proc_fdinfo(proc, f->number, d->arena, &f->info, err);
		if (ret < 0)
			return err_object(err, ret, "fd %d", f->number);
		f->flags = f->info.flags;
	}
	return 0;
}

static int blame(struct err *err, const char *feature, int errnum, const char *what)
{
	int ret = feature_blame(feature, errnum, err);

	return ret ? ret : err_set(err, ERR_FAILED, errnum, "%s", what);
}

static int assign_ids(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;
	struct identity id = { .pid = d->task->fz.pid };

	qsort_r(t->fds, t->nfds, sizeof(*t->fds), compare, &id);
	if (id.errnum)
		return blame(err, "kcmp", id.errnum, "cannot compare descriptors (kcmp)");
	for (size_t i = 0; i < t->nfds; i++) {
		struct file_fd *f = &t->fds[i];
		f->id = f->duplicate ? f[-1].id : file_new_id(d);
	}
	return 0;
}

struct file_fd *file_same_inode(struct dump *d, const struct stat *st, size_t *n)
{
	struct file_table *t = d->files;
	size_t lo = 0, hi = t->nfds, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct stat *m = &t->fds[mid].st;
		if (m->st_dev < st->st_dev || (m->st_dev == st->st_dev && m->st_ino < st->st_ino))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < t->nfds && t->fds[end].st.st_dev == st->st_dev && t->fds[end].st.st_ino == st->st_ino;
	     end++)
		;
	*n = end - lo;
	return t->fds + lo;
}

static int dump_description(struct dump *d, int pidfd, struct file_fd *f, struct err *err)
{
	/* A duplicate of the task's own descriptor: asking it never disturbs the task, and it needs no help of the
	 * task. */
	cleanup_fd int fd = (int)syscall(SYS_pidfd_getfd, pidfd, f->number, 0);
	struct fd_source src = { .number = f->number, .fd = fd, .st = f->st, .link = f->link, .info = &f->info };
	FileEntry *entry = arena_msg(d->arena, FileEntry, file_entry__init);
	int ret;

	if (fd < 0)
		return blame(err, "pidfd_getfd", errno, "cannot get a duplicate (pidfd_getfd)");
	src.flags = fcntl(fd, F_GETFL);
	if (src.flags < 0)
		return err_sys(err, "cannot read its flags");
	if (!strncmp(f->info.text, "lock:", 5) || strstr(f->info.text, "\nlock:"))
		return err_hint(err, err_refuse(err, "%s: a file lock is held through it", f->link),
				"file locks come back only with --file-locks, which this version lacks");
	for (size_t k = 0; file_kinds[k]; k++) {
		const struct file_kind *kind = file_kinds[k];
		if (!kind->match(&src))
			continue;
		entry->type = f->type = kind->type;
		entry->id = f->id;
		ret = kind->dump(d, &src, entry, err);
		if (ret < 0)
			return ret;
		file_put(d, entry);
		return 0;
	}
	return file_refuse(d, &src, err);
}

static int by_number(const void *va, const void *vb)
{
	const struct file_fd *const *a = va, *const *b = vb;

	return ((*a)->number > (*b)->number) - ((*a)->number < (*b)->number);
}

static void put_fdinfo(struct dump *d, const struct file_fd *f, FdTypes type)
{
	FdinfoEntry e = FDINFO_ENTRY__INIT;

	e.id = f->id;
	e.fd = (uint32_t)f->number;
	e.type = type;
	e.flags = f->flags & O_CLOEXEC ? 1 : 0;
	image_store_put(d->store, IMG_FDINFO, d->task->files_id, &e.base);
}

int files_dump(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;
	int ret;

	ret = collect(d, err); /* one table for all threads: common/task/check.c has seen to that */
	if (ret < 0)
		return ret;
	ret = assign_ids(d, err);
	if (ret < 0)
		return ret;

	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, d->task->fz.pid, 0);
	if (pidfd < 0)
		return err_sys(err, "cannot open a pidfd");
	/* In the order of numbers, so that errors and images read naturally. Ids may be anything. */
	struct file_fd **order = arena_alloc(d->arena, (t->nfds + 1) * sizeof(*order));
	FdTypes *types = arena_alloc(d->arena, (t->last_id + 1) * sizeof(*types));
	for (size_t i = 0; i < t->nfds; i++)
		order[i] = &t->fds[i];
	qsort(order, t->nfds, sizeof(*order), by_number);
	/* The file exists even when there is no descriptor at all. */
	image_store_touch(d->store, IMG_FDINFO, d->task->files_id);
	for (size_t i = 0; i < t->nfds; i++) {
		struct file_fd *f = order[i];
		if (types[f->id] == FD_TYPES__UND) {
			ret = dump_description(d, pidfd, f, err);
			if (ret < 0)
				return err_object(err, ret, "fd %d", f->number);
			types[f->id] = f->type;
		}
		put_fdinfo(d, f, types[f->id]);
	}
	log_debug(d->log, "%zu descriptors, %u file entries", t->nfds, t->last_id);
	return 0;
}

int fdinfo_number(const char **p, int base, uint64_t *out)
{
	char word[40];
	const char *start = *p + strspn(*p, " \t");
	size_t n = strspn(start, "0123456789abcdefABCDEF");

	if (!n || n >= sizeof(word))
		return -EINVAL;
	memcpy(word, start, n);
	word[n] = 0;
	*p = start + n;
	return parse_u64(word, base, out);
}

int fdinfo_value(const char *text, const char *key, int base, uint64_t *out)
{
	size_t len = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (strncmp(p, key, len) || p[len] != ':')
			continue;
		p += len + 1;
		return fdinfo_number(&p, base, out);
	}
	return -ENOENT;
}

/* One descriptor table; true when one of its links is `link`. */
static bool holds(int proc, const char *pid, const char *link)
{
	char dir[300], target[4096];

	snprintf(dir, sizeof(dir), "%s/fd", pid);
	int fd = openat(proc, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool found = false;

	if (!fds) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (e = readdir(fds))) {
		ssize_t n = readlinkat(fd, e->d_name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = 0;
		found = !strcmp(target, link);
	}
	closedir(fds);
	return found;
}

bool file_find_holder(struct dump *d, const char *link, char *who, size_t n)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;

	while (proc && !found && (e = readdir(proc))) {
		uint64_t pid;
		if (parse_u64(e->d_name, 10, &pid) < 0 || (pid_t)pid == d->task->fz.pid || (pid_t)pid == getpid())
			continue;
		if (!holds(dirfd(proc), e->d_name, link))
			continue;
		struct proc_stat st = { .comm = "" };
		struct err ignored = ERR_INIT;
		char path[300];
		snprintf(path, sizeof(path), "%s/stat", e->d_name);
		if (proc_stat(dirfd(proc), path, &st, &ignored) < 0)
			continue;
		snprintf(who, n, "pid %d (%s)", (int)pid, st.comm);
		found = true;
	}
	if (proc)
		closedir(proc);
	return found;
}
