// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POSIX message queues (ipc/mqueue.c): files of a file system that each IPC namespace has, mounted or not. A message can be
 * read only by taking it, so a queue that holds some is refused.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <mqueue.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/file/file.h"
#include "common/ipc/ipcns.h"

static int open_all(int *dir, struct err *err)
{
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "mqueue", FSOPEN_CLOEXEC), root = -1;

	*dir = -1;
	if (fs < 0 && errno == ENODEV)
		return 0; /* a kernel without */
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return err_sys(err, "cannot look at POSIX message queues (fsopen)");
	root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	*dir = root < 0 ? -1 : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir < 0 ? err_sys(err, "cannot look at POSIX message queues (fsmount)") : 0;
}

static int dump_one(struct dump *d, int dir, const char *name, MqueueEntry **out, struct err *err)
{
	MqueueEntry *e = *out = arena_msg(d->arena, MqueueEntry, mqueue_entry__init);
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint64_t pid = 0;
	char text[256] = "";
	struct mq_attr attr;
	const char *notify;
	struct stat st;

	/* An opened file of that file system is a queue's descriptor. */
	if (fd < 0 || fstat(fd, &st) || syscall(SYS_mq_getsetattr, fd, NULL, &attr) || read(fd, text, sizeof(text) - 1) < 0)
		return err_sys(err, "cannot look at POSIX message queue /%s", name);
	if (attr.mq_curmsgs)
		return err_refuse(err, "POSIX message queue /%s holds %ld messages, which nobody can read without taking them", name,
				  attr.mq_curmsgs);
	notify = strstr(text, "NOTIFY_PID:");
	if (notify)
		notify += strlen("NOTIFY_PID:");
	if (notify && !fdinfo_number(&notify, 10, &pid) && pid)
		return err_refuse(err, "POSIX message queue /%s is to notify pid %d (mq_notify)", name, (int)pid);
	e->name = arena_strdup(d->arena, name);
	e->uid = st.st_uid;
	e->gid = st.st_gid;
	e->mode = st.st_mode & 07777;
	e->maxmsg = (uint64_t)attr.mq_maxmsg;
	e->msgsize = (uint64_t)attr.mq_msgsize;
	return 0;
}

int mqueues_dump(struct dump *d, IpcVarEntry *var, struct err *err)
{
	struct dirent *e;
	DIR *all = NULL;
	size_t cap = 0;
	int dir, ret = open_all(&dir, err);

	if (dir >= 0)
		all = fdopendir(dir);
	while (all && !ret && (e = readdir(all))) {
		MqueueEntry *entry, **old = var->mqueues;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		ret = dump_note(d, dump_one(d, dirfd(all), e->d_name, &entry, err), err);
		if (var->n_mqueues == cap) {
			cap = cap ? 2 * cap : 8;
			var->mqueues = arena_alloc(d->arena, cap * sizeof(*var->mqueues));
			if (old)
				memcpy(var->mqueues, old, var->n_mqueues * sizeof(*old));
		}
		var->mqueues[var->n_mqueues++] = entry;
	}
	if (all)
		closedir(all);
	return ret;
}
