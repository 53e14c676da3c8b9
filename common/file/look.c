// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names, inodes and fdinfo of the descriptors of a table. Of many, a second thread does half, and duplicates of them (pidfd_getfd)
 * are asked, which is cheaper than to walk through /proc; the duplicates stay until their descriptions are written.
 */
#include "common/file/look.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/base/halves.h"
#include "common/file/fdrows.h"

/* From so many descriptors on a second thread, and duplicates, are worth their start. */
#define MANY 64
#define AT_ONCE 32
#define SPARE 256 /* for descriptors of our own */

/* What one of the threads knows. */
struct look {
	struct table *t;
	const struct fd_stats *stats;
	const struct table *parent;
	struct arena *arena;
	int pidfd; /* -1: no duplicates */
	dev_t sock_device, pipe_device; /* st_dev of their inodes; 0 until the first was seen */
	dev_t eventfd_device;
};

/* Sockets and pipes have links of one form, each kind on its own device, which the first one of it tells. */
static bool link_follows(struct look *l, struct file_fd *f)
{
	const bool sock = S_ISSOCK(f->st.st_mode);
	const dev_t device = sock ? l->sock_device : l->pipe_device;

	if (l->eventfd_device && l->eventfd_device == f->st.st_dev && strstr(f->info.text, "\neventfd-count:")) {
		f->link = "anon_inode:[eventfd]"; /* nothing else there has such a line (eventfd_show_fdinfo() in fs/eventfd.c) */
		return true;
	}
	if ((!sock && !S_ISFIFO(f->st.st_mode)) || !device || device != f->st.st_dev)
		return false;
	f->link = arena_printf(l->arena, sock ? "socket:[%llu]" : "pipe:[%llu]", (unsigned long long)f->st.st_ino);
	return true;
}

static int read_link(struct look *l, struct file_fd *f, struct err *err)
{
	char path[32], link[4096];

	if (f->row && f->row->complete) {
		f->link = f->row->link;
		return 0;
	}
	if (link_follows(l, f))
		return 0;
	snprintf(path, sizeof(path), "fd/%d", f->number);
	ssize_t len = readlinkat(f->task->proc_fd, path, link, sizeof(link) - 1);
	if (len < 0)
		return file_link_error("cannot read its link", err);
	link[len] = 0;
	f->link = arena_strdup(l->arena, link);
	if (S_ISSOCK(f->st.st_mode) && !strncmp(link, "socket:[", 8))
		l->sock_device = f->st.st_dev;
	else if (S_ISFIFO(f->st.st_mode) && !strncmp(link, "pipe:[", 6))
		l->pipe_device = f->st.st_dev;
	else if (!strcmp(link, "anon_inode:[eventfd]"))
		l->eventfd_device = f->st.st_dev;
	return 0;
}

/* Where no duplicate can be had (a limit), /proc tells the same. */
static int read_stat(const struct look *l, struct file_fd *f, size_t i, struct err *err)
{
	if (f->row && f->row->complete) {
		f->st = (struct stat){ .st_dev = f->row->dev, .st_ino = f->row->info.ino, .st_mode = f->row->mode };
		return 0;
	}
	if (l->stats->known) {
		f->st = l->stats->st[i];
		return 0;
	}
	if (l->pidfd >= 0)
		f->dup = (int)syscall(SYS_pidfd_getfd, l->pidfd, f->number, 0);
	if (f->dup >= 0)
		return fstat(f->dup, &f->st) < 0 ? err_sys(err, "cannot stat") : 0;
	return file_stat(f->task, f->number, &f->st, err);
}

static const struct file_fd *find(const struct table *t, int number)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->fds[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &t->fds[lo];
}

static int read_info(struct look *l, struct file_fd *f, size_t i, struct err *err)
{
	f->row = l->stats->rows ? &l->stats->rows[i] : NULL;
	if (!f->row || !f->row->known)
		return proc_fdinfo(f->task->proc_fd, f->number, l->arena, &f->info, err);
	f->info = f->row->info;
	return 0;
}

static int look_at(void *view, size_t i, struct err *err)
{
	struct look *l = view;
	struct file_fd *f = &l->t->fds[i];
	int ret = read_info(l, f, i, err);

	f->flags = f->info.flags;
	if (!ret && l->stats->inherited[i]) { /* the same description */
		const struct file_fd *parents = find(l->parent, f->number);

		f->st = parents->st;
		f->link = parents->link;
		f->origin = parents->origin;
		f->duplicate = true;
		return 0;
	}
	if (!ret)
		ret = read_stat(l, f, i, err);
	if (!ret)
		ret = read_link(l, f, err);
	return ret ? err_task(err, f->task->pid, f->task->stat.comm, err_object(err, ret, "fd %d", f->number)) : 0;
}

/*
 * While threads, and the guard of connections, share our table of descriptors, each time it grows costs a grace period (fs/file.c,
 * expand_fdtable()): now, then; and far enough for a duplicate and an image of each, as connections have.
 */
static void make_room(size_t n)
{
	struct rlimit lim;
	int far;

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	far = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)(2 * n) + SPARE);
	if (far >= 0)
		close(far);
}

int table_look(struct dump *d, struct table *t, uint32_t order, const struct table *parent, struct err *err)
{
	struct look mine = { .t = t, .parent = parent, .arena = d->arena, .pidfd = -1 }, other;
	struct fd_stats *stats;
	int ret = file_numbers(d, t->task, parent ? parent->task : NULL, &stats, err);

	if (ret < 0)
		return err_task(err, t->task->pid, t->task->stat.comm, ret);
	t->n = stats->n;
	t->fds = arena_alloc(d->arena, t->n * sizeof(*t->fds));
	for (size_t i = 0; i < t->n; i++)
		t->fds[i] = (struct file_fd){ .task = t->task, .number = stats->numbers[i], .order = order, .origin = &t->fds[i],
					      .dup = -1 };
	mine.stats = stats;
	if (t->n - stats->ninherited >= MANY) {
		mine.pidfd = dump_task_pidfd(t->task);
		make_room(t->n);
	}
	other = mine;
	other.arena = d->beside;
	ret = halves_run(&(struct halves){ .n = t->n, .at_once = t->n < MANY ? MANY : AT_ONCE, .one = look_at, .mine = &mine,
					   .other = &other }, err);
	if (mine.pidfd >= 0)
		close(mine.pidfd);
	if (ret || stats->known)
		return ret;
	for (size_t i = 0; i < t->n; i++)
		stats->st[i] = t->fds[i].st;
	stats->known = true;
	return 0;
}
