// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/file/outside.h"

#include <dirent.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "common/base/aside.h"
#include "common/base/io.h"
#include "common/bpf/iter.h"
#include "common/file/look.h"
#include "common/sock/sock.h"

#define FDINFO_MAX (1u << 20)

/* Sockets and pipes are told apart by number, fifos by device and inode. */
enum { PIPE, SOCKET, FIFO };
struct held { int kind; dev_t dev; uint64_t ino; pid_t pid; int fd; };

struct outside {
	struct aside aside;
	bool started, joined, fifos;
	bool may_ask; /* the kernel, where there is too much to read */
	size_t looked; /* at so many descriptors */
	pid_t self, *tree; /* sorted */
	size_t ntree;
	struct held *v; /* of others; sorted when the thread has ended */
	size_t n, cap;
};

static int by_pid(const void *va, const void *vb)
{
	const pid_t a = *(const pid_t *)va, b = *(const pid_t *)vb;

	return (a > b) - (a < b);
}

static int by_object(const void *va, const void *vb)
{
	const struct held *a = va, *b = vb;

	if (a->kind != b->kind)
		return a->kind - b->kind;
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->dev > b->dev) - (a->dev < b->dev);
}

static void add(struct outside *o, const struct held *h)
{
	array_reserve(&o->v, &o->cap, o->n, sizeof(*o->v));
	o->v[o->n++] = *h;
}

/* Whether the link of a descriptor leads to what we look for. */
static bool read_held(const struct outside *o, int dir, const char *name, struct held *h)
{
	char link[64]; /* what of a path does not fit is of no interest */
	const ssize_t n = readlinkat(dir, name, link, sizeof(link) - 1);
	const char *p = link;
	struct statx st;

	if (n <= 0)
		return false;
	link[n] = 0;
	*h = (struct held){ 0 };
	if (link[0] == '/') {
		/* Without asking the server of a file system, which may be gone. */
		if (!o->fifos || statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) || !S_ISFIFO(st.stx_mode))
			return false;
		h->kind = FIFO;
		h->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
		h->ino = st.stx_ino;
		return true;
	}
	if (!strncmp(p, "pipe:[", 6))
		h->kind = PIPE, p += 6;
	else if (!strncmp(p, "socket:[", 8))
		h->kind = SOCKET, p += 8;
	else
		return false;
	link[n - 1] = 0; /* the bracket */
	return !parse_u64(p, 10, &h->ino);
}

/* From so many descriptors on, asking the kernel for all of them takes less than reading links. */
#define MANY 1024

static bool too_many(const struct outside *o)
{
	return o->may_ask && o->looked >= MANY;
}

static void look_at_process(struct outside *o, int proc, const char *name, pid_t pid)
{
	char path[300];
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/fd", name);
	int dir = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = dir < 0 ? NULL : fdopendir(dir);

	if (!fds && dir >= 0)
		close(dir);
	while (fds && !too_many(o) && (e = readdir(fds))) {
		struct held h;
		uint64_t fd;

		if (parse_u64(e->d_name, 10, &fd) < 0)
			continue;
		o->looked++;
		if (!read_held(o, dir, e->d_name, &h))
			continue;
		h.pid = pid;
		h.fd = (int)fd;
		add(o, &h);
	}
	if (fds)
		closedir(fds);
}

static bool is_other(const struct outside *o, pid_t pid)
{
	return pid != o->self && !bsearch(&pid, o->tree, o->ntree, sizeof(pid), by_pid);
}

/* Of each descriptor, and what the process is called in the pid namespace of each level. */
enum { FD, INO, MODE, LEVEL, NUMBERS, LAST_NUMBER = NUMBERS + ITER_LEVELS - 1, LAST, FIELDS };
#define LEADER ITER_OF_TASK "group_leader->"
static const char *const paths[FIELDS] = {
	[FD] = ITER_FD, [INO] = "f_inode->i_ino", [MODE] = "f_inode->i_mode", [LEVEL] = LEADER "thread_pid->level",
	[NUMBERS] = ITER_EACH_LEVEL_OF(LEADER, "nr"), [LAST] = ITER_FD, /* no row ends with all bits set */
};
#define BIT(field) (1ull << (field))
#define NEEDED (BIT(FD) | BIT(INO) | BIT(MODE) | BIT(LEVEL) | BIT(NUMBERS) | BIT(LAST))

/*
 * The same from a BPF iterator. Its rows are of our pid namespace and those within it, so the one that is nearest to the first is ours:
 * we have descriptors ourselves. False: not with this kernel or these privileges, or in a namespace that is too far from the first.
 */
static bool rows_of_all(struct outside *o)
{
	struct iter_rows rows = { 0 };
	struct err ignore = ERR_INIT;
	uint64_t level = ITER_LEVELS;
	struct iter it;
	bool ok = !iter_load(ITER_ALL_FILES, paths, FIELDS, NEEDED, &it, &ignore) && !iter_read(&it, 0, &rows, &ignore);

	for (size_t i = 0; i < rows.n; i++)
		level = MIN(level, rows.v[i * FIELDS + LEVEL]);
	ok = ok && level < ITER_LEVELS && !(it.absent & BIT(NUMBERS + level));
	for (size_t i = 0; ok && i < rows.n; i++) {
		const uint64_t *row = rows.v + i * FIELDS;
		const pid_t pid = (pid_t)row[NUMBERS + level];

		if ((S_ISFIFO(row[MODE]) || S_ISSOCK(row[MODE])) && is_other(o, pid))
			add(o, &(struct held){ .kind = S_ISSOCK(row[MODE]) ? SOCKET : PIPE, .ino = row[INO], .pid = pid,
					       .fd = (int)row[FD] });
	}
	iter_rows_free(&rows);
	iter_close(&it);
	return ok;
}

static void look_in_proc(struct outside *o)
{
	struct dirent *e;
	DIR *proc = opendir("/proc");

	while (proc && !too_many(o) && (e = readdir(proc))) {
		uint64_t number;

		if (parse_u64(e->d_name, 10, &number) == 0 && is_other(o, (pid_t)number))
			look_at_process(o, dirfd(proc), e->d_name, (pid_t)number);
	}
	if (proc)
		closedir(proc);
}

static int look_at_all(void *arg, struct err *err)
{
	struct outside *o = arg;

	(void)err;
	/* A table of descriptors of our own: while two threads share one, each time that it grows costs the other one a grace period
	 * (expand_fdtable() in fs/file.c). Kernels before 5.9 cannot, and it costs that. */
	if (syscall(SYS_gettid) != getpid())
		syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_UNSHARE);
	o->may_ask = !o->fifos; /* whose file system only stat(2) tells for certain */
	look_in_proc(o);
	if (too_many(o)) {
		o->n = 0;
		o->may_ask = false;
		if (!rows_of_all(o))
			look_in_proc(o);
	}
	if (o->n)
		qsort(o->v, o->n, sizeof(*o->v), by_object);
	return 0;
}

void outside_look(struct dump *d)
{
	struct file_table *t = d->files;
	struct outside *o;
	bool any = false, fifos = false;

	for (size_t i = 0; i < t->ntables; i++)
		for (size_t k = 0; k < t->tables[i].n; k++) {
			const struct file_fd *f = &t->tables[i].fds[k];

			if (f->flags & O_PATH)
				continue;
			any |= S_ISSOCK(f->st.st_mode) || S_ISFIFO(f->st.st_mode);
			fifos |= S_ISFIFO(f->st.st_mode) && f->link[0] == '/';
		}
	if (!any || t->outside)
		return;
	o = t->outside = xzalloc(sizeof(*o));
	o->fifos = fifos;
	o->self = getpid();
	o->tree = xreallocarray(NULL, d->ntasks, sizeof(*o->tree));
	for (size_t i = 0; i < d->ntasks; i++)
		o->tree[o->ntree++] = d->tasks[i]->pid;
	qsort(o->tree, o->ntree, sizeof(*o->tree), by_pid);
	aside_start(&o->aside, look_at_all, o);
	o->started = true;
}

static void join(struct outside *o)
{
	struct err ignore = ERR_INIT;

	if (o->started && !o->joined)
		aside_join(&o->aside, &ignore);
	o->joined = true;
}

/* It may have let go since, or have only a path to it. A process of ours (a guard, say) is no holder. */
static bool still_holds(const struct outside *o, const struct held *h, const struct stat *st, char *who, size_t size)
{
	cleanup_free char *text = NULL;
	struct proc_stat holder = { .comm = "" };
	struct stat now;
	struct err ignore = ERR_INIT;
	char path[64];
	uint64_t flags;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", h->pid, h->fd);
	if (stat(path, &now) || now.st_ino != st->st_ino || (now.st_mode ^ st->st_mode) & S_IFMT)
		return false;
	if (S_ISFIFO(st->st_mode) && now.st_dev != st->st_dev)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", h->pid, h->fd);
	if (read_file_at(AT_FDCWD, path, FDINFO_MAX, &text, &len) || fdinfo_value(text, "flags", 8, &flags) || flags & O_PATH)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", h->pid);
	if (proc_stat(AT_FDCWD, path, &holder, &ignore) < 0 || holder.ppid == o->self)
		return false;
	snprintf(who, size, "pid %d (%s)", h->pid, holder.comm);
	return true;
}

int outside_refuse(struct dump *d, const struct stat *st, const char *link, const char *what, struct err *err)
{
	struct outside *o = d->files->outside;
	struct held key = { .kind = S_ISSOCK(st->st_mode) ? SOCKET : link[0] == '/' ? FIFO : PIPE, .ino = st->st_ino };
	const struct held *h;
	char who[96];

	if (!o)
		return 0;
	join(o);
	if (key.kind == FIFO)
		key.dev = st->st_dev;
	h = o->n ? bsearch(&key, o->v, o->n, sizeof(key), by_object) : NULL;
	while (h && h > o->v && !by_object(h - 1, &key))
		h--;
	for (; h && h < o->v + o->n && !by_object(h, &key); h++)
		if (still_holds(o, h, st, who, sizeof(who)))
			return err_refuse(err, "%s: %s, which is not dumped, holds it, too", what, who);
	return 0;
}

int outside_hint(int ret, struct err *err)
{
	return ret ? err_hint(err, ret, "dump a tree that has both processes, or let one of them close it") : 0;
}

int outside_refuse_socket(struct dump *d, const struct fd_source *src, const FileEntry *entry, bool later, struct err *err)
{
	const InetSkEntry *e = entry->isk;
	char what[300];

	if (!d->files->outside || !((e && (later || e->src_port || e->dst_port)) || (entry->nlsk && entry->nlsk->portid)))
		return 0;
	sock_describe(src->fd, what, sizeof(what));
	return outside_hint(outside_refuse(d, &src->st, src->link, what, err), err);
}

void outside_free(struct outside *o)
{
	if (!o)
		return;
	join(o);
	free(o->tree);
	free(o->v);
	free(o);
}
