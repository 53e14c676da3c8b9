// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/tty/tty_pairs.h"

#include <dirent.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "common/base/io.h"
#include "common/tty/pty.h"

struct tty_pair *tty_pair_of(struct dump *d, dev_t dev, uint32_t index)
{
	struct tty_table *t = d->files->ttys;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].index == index && t->v[i].dev == dev)
			return &t->v[i];
	if (t->n == t->cap) {
		struct tty_pair *old = t->v;
		t->cap = t->cap ? 2 * t->cap : 16;
		t->v = arena_alloc(d->arena, t->cap * sizeof(*t->v));
		if (t->n)
			memcpy(t->v, old, t->n * sizeof(*old));
	}
	t->v[t->n] = (struct tty_pair){ .dev = dev, .index = index };
	return &t->v[t->n++];
}

/* Seen from the task's root, or else from ours. */
static dev_t dev_of(const struct dump_task *task, const char *path)
{
	char below[PATH_MAX + 16];
	struct stat st;

	snprintf(below, sizeof(below), "root%s", path);
	return !fstatat(task->proc_fd, below, &st, 0) || !stat(path, &st) ? st.st_dev : 0;
}

dev_t tty_own_dev(const struct dump_task *task)
{
	return dev_of(task, "/dev/pts");
}

/* As devpts_acquire() in fs/devpts/inode.c: a node on devpts is of that instance, another leads to "pts" beside it. */
dev_t tty_master_dev(const struct dump_task *task, int proc, int fd)
{
	char link[32], path[PATH_MAX];
	struct statfs fs;
	struct stat st;
	ssize_t n;
	char *last;

	snprintf(link, sizeof(link), "fd/%d", fd);
	n = readlinkat(proc, link, path, sizeof(path) - sizeof("/pts"));
	cleanup_fd int node = openat(proc, link, O_PATH | O_CLOEXEC);
	if (n < 0 || node < 0 || fstatfs(node, &fs) || fstat(node, &st))
		return 0;
	if (fs.f_type == DEVPTS_SUPER_MAGIC)
		return st.st_dev;
	path[n] = 0;
	last = strrchr(path, '/');
	if (!last)
		return 0;
	memcpy(last, "/pts", sizeof("/pts"));
	return dev_of(task, path);
}

bool tty_has_master(const struct dump *d, uint32_t index)
{
	const struct tty_table *t = d->files->ttys;

	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].index == index && t->v[i].master_pid)
			return true;
	return false;
}

static int collect_task(struct dump *d, struct dump_task *task, struct err *err)
{
	const struct fd_stats *fds;
	int ret = file_stats(d, task, &fds, err);

	for (size_t i = 0; !ret && i < fds->n; i++) {
		const struct stat *st = &fds->st[i];
		struct proc_fdinfo info;
		uint64_t index;

		if (!S_ISCHR(st->st_mode))
			continue;
		if (tty_is_slave(st)) {
			tty_pair_of(d, st->st_dev, minor(st->st_rdev))->slave = true;
			continue;
		}
		if (!tty_is_master(st))
			continue;
		ret = proc_fdinfo(task->proc_fd, fds->numbers[i], d->arena, &info, err);
		if (ret || fdinfo_value(info.text, "tty-index", 10, &index) < 0 || index >= TTY_INDEX_MAX)
			continue; /* O_PATH of the node */
		struct tty_pair *p = tty_pair_of(d, tty_master_dev(task, task->proc_fd, fds->numbers[i]), (uint32_t)index);
		p->master_pid = task->pid;
		p->master_fd = fds->numbers[i];
	}
	return ret;
}

int tty_collect(struct dump *d, struct err *err)
{
	int ret = 0;

	if (d->files->ttys)
		return 0;
	d->files->ttys = arena_alloc(d->arena, sizeof(*d->files->ttys));
	for (size_t i = 0; !ret && i < d->ntasks; i++)
		ret = d->tasks[i]->zombie ? 0 : collect_task(d, d->tasks[i], err);
	return ret;
}

int tty_note_slave(struct dump *d, const struct stat *st, struct err *err)
{
	int ret = tty_is_slave(st) ? tty_collect(d, err) : 0;

	if (!ret && tty_is_slave(st))
		tty_pair_of(d, st->st_dev, minor(st->st_rdev))->slave = true;
	return ret;
}

/* ---- whose terminal it is, for messages ---- */

static bool stat_of(int proc, const char *name, struct proc_stat *st)
{
	struct err ignored = ERR_INIT;
	uint64_t pid;
	char path[300];

	snprintf(path, sizeof(path), "%s/stat", name);
	return parse_u64(name, 10, &pid) == 0 && proc_stat(proc, path, st, &ignored) == 0;
}

void tty_whose(const struct dump *d, const struct stat *st, char *out, size_t n)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int want = (int)(minor(st->st_rdev) & 0xff) | (int)major(st->st_rdev) << 8 |
		   (int)(minor(st->st_rdev) & ~0xffu) << 12; /* new_encode_dev() */

	snprintf(out, n, "a process that is not dumped");
	while (proc && (e = readdir(proc))) {
		struct proc_stat ps;
		if (!stat_of(dirfd(proc), e->d_name, &ps))
			continue;
		if (ps.tty_nr == want && ps.session == ps.pid && !dump_find_task(d, ps.pid)) {
			snprintf(out, n, "session %d (%s)", ps.pid, ps.comm);
			break;
		}
		if (tty_is_slave(st) && pty_holds_master(dirfd(proc), e->d_name, minor(st->st_rdev)))
			snprintf(out, n, "pid %d (%s)", ps.pid, ps.comm);
	}
	if (proc)
		closedir(proc);
}
