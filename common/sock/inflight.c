// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptions that are on their way inside of messages (SCM_RIGHTS): those of a table of the tree, and those that nothing
 * but the message holds, which get ids and entries like all others.
 */
#include <errno.h>
#include <linux/kcmp.h>
#include <linux/major.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "common/file/file.h"

static bool same(pid_t pid, int number, int fd)
{
	return syscall(SYS_kcmp, pid, getpid(), KCMP_FILE, number, fd) == 0;
}

/* What /proc tells of our own descriptor, in the words of a task's. */
static int look(struct dump *d, struct file_fd *f, struct err *err)
{
	char path[32], link[4096];
	cleanup_fd int self = -1;
	int ret = proc_open(getpid(), &self, err);

	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "fd/%d", f->number);
	ssize_t n = readlinkat(self, path, link, sizeof(link) - 1);
	if (n < 0)
		return err_sys(err, "cannot read the link of a descriptor on its way");
	link[n] = 0;
	f->link = arena_strdup(d->arena, link);
	ret = proc_fdinfo(self, f->number, d->arena, &f->info, err);
	if (!ret && (!strncmp(f->info.text, "lock:", 5) || strstr(f->info.text, "\nlock:")))
		return err_refuse(err, "%s: a file lock is held through a descriptor on its way in a message", f->link);
	if (!ret && fsnotify_name(f->link))
		ret = fsnotify_refuse_queue(f->number, fsnotify_name(f->link), err);
	f->flags = f->info.flags & ~(uint32_t)O_CLOEXEC; /* ours has it */
	return ret;
}

/*
 * What means a task of the tree, or its terminal, only a task can open, when it is there (file_opened_late()); messages are sent
 * before. So it cannot be in one, whoever else has it.
 */
static int refuse_late(struct dump *d, const struct file_fd *f, struct err *err)
{
	const char *pid = strstr(f->info.text, "\nPid:"), *what = NULL;

	if (pid)
		pid += strlen("\nPid:") + strspn(pid + strlen("\nPid:"), " \t");
	if (!strcmp(f->link, "anon_inode:[pidfd]") || !strncmp(f->link, "pidfd:[", 7))
		what = pid && !strncmp(pid, "-1", 2) ? NULL : "a pidfd of a process that is not dead";
	else if (dump_find_task(d, reg_proc_pid(f->link)))
		what = "an entry of a process of the tree in /proc";
	else if (S_ISCHR(f->st.st_mode) && f->st.st_rdev == makedev(TTYAUX_MAJOR, 0) && !(f->flags & O_PATH))
		what = "/dev/tty";
	if (!what)
		return 0;
	err_refuse(err, "%s (%s) is on its way in a message, which comes back before what that means", what, f->link);
	return err_hint(err, -EINVAL, "let the program receive it, and try again");
}

/* So many messages may hold more descriptors than we may have by default. */
static void raise_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

int inflight_id(struct dump *d, int fd, uint32_t *id, struct err *err)
{
	struct file_table *t = d->files;
	cleanup_fd int ours = fd;
	struct stat st;
	size_t n;

	if (fstat(ours, &st) < 0)
		return err_sys(err, "cannot stat a descriptor on its way");
	const struct file_fd *f = file_same_inode(d, &st, &n);
	for (size_t i = 0; i < n; i++)
		if (!f[i].duplicate && same(f[i].task->tid, f[i].number, ours)) {
			*id = f[i].id;
			return refuse_late(d, &f[i], err);
		}
	for (size_t i = 0; i < t->ninflight; i++)
		if (t->inflight[i].st.st_ino == st.st_ino && t->inflight[i].st.st_dev == st.st_dev &&
		    same(getpid(), t->inflight[i].number, ours)) {
			*id = t->inflight[i].id;
			return 0;
		}
	if (!t->ninflight)
		raise_limit();
	array_reserve(&t->inflight, &t->inflight_cap, t->ninflight, sizeof(*t->inflight));
	struct file_fd *new = &t->inflight[t->ninflight];
	*new = (struct file_fd){ .task = d->task, .number = ours, .sent = true, .order = UINT32_MAX, .st = st };
	int ret = look(d, new, err);
	if (!ret)
		ret = refuse_late(d, new, err);
	if (!ret && S_ISCHR(st.st_mode) && !(new->flags & O_PATH))
		ret = tty_note_slave(d, &st, err);
	if (ret < 0)
		return ret;
	*id = new->id = file_new_id(d);
	ours = -1;
	t->ninflight++;
	return 0;
}

static int by_inode(const void *va, const void *vb)
{
	const struct file_fd *a = va, *b = vb;

	if (a->st.st_dev != b->st.st_dev)
		return a->st.st_dev < b->st.st_dev ? -1 : 1;
	if (a->st.st_ino != b->st.st_ino)
		return a->st.st_ino < b->st.st_ino ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

void inflight_merge(struct dump *d)
{
	struct file_table *t = d->files;
	size_t n = t->nfds + t->ninflight;

	if (!t->ninflight)
		return;
	struct file_fd *all = arena_alloc(d->arena, n * sizeof(*all));
	memcpy(all, t->fds, t->nfds * sizeof(*all));
	memcpy(all + t->nfds, t->inflight, t->ninflight * sizeof(*all));
	qsort(all, n, sizeof(*all), by_inode);
	t->fds = all;
	t->nfds = n;
}

/* Only a task that has a descriptor of it could make it whole (check_in_table() in unixsk_queue.c). */
static int check_alone(const struct file_fd *f, struct err *err)
{
	struct f_owner_ex owner = { .type = F_OWNER_PID };
	const char *what = !strcmp(f->link, "anon_inode:[eventpoll]") ? "an epoll instance" :
			   !strcmp(f->link, "anon_inode:[timerfd]")   ? "a timer" :
									NULL;

	if (!what && !(f->flags & O_PATH) &&
	    ((fcntl(f->number, F_GETOWN_EX, &owner) == 0 && owner.pid) || f->flags & O_ASYNC))
		what = "a file with a signal owner";
	if (!what)
		return 0;
	return err_hint(err, err_refuse(err, "%s is nowhere but in a message, and cannot be made without a task that has it", what),
			"let the program receive it, and try again");
}

int inflight_dump(struct dump *d, struct err *err)
{
	struct file_table *t = d->files;

	for (size_t i = 0; i < t->ninflight; i++) {
		struct file_fd *f = &t->inflight[i];
		d->task = f->task;
		int ret = check_alone(f, err);
		if (!ret)
			ret = file_describe(d, f->number, NULL, f, err);
		err_object(err, ret, "descriptor on its way in a message (%s)", f->link);
		ret = dump_note(d, ret, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

void inflight_free(struct file_table *t)
{
	for (size_t i = 0; i < t->ninflight; i++)
		close(t->inflight[i].number);
	free(t->inflight);
}
