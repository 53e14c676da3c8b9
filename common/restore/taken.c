/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A number is in use as long as it is a process's or a thread's, or that of a session or process group which still has members:
 * all four are one struct pid, and clone3(2) gives none of them away. F_SETOWN tells whether there is one, by ESRCH (since Linux
 * 4.14; find_vpid() in fs/fcntl.c): one cheap call for each of thousands of threads. Who it is, /proc tells.
 */
#include "common/restore/taken.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "common/base/io.h"
#include "common/proc/proc.h"

#define ABOVE_ALL ((1 << 22) + 1) /* PID_MAX_LIMIT: nobody ever has it */
#define TRIES_DEAD 1000	 /* of 2 ms */
#define TRIES_UNSEEN 50

void taken_open(struct taken_probe *p)
{
	*p = (struct taken_probe){ eventfd(0, EFD_CLOEXEC), TRIES_DEAD, TRIES_UNSEEN };
	if (p->fd >= 0 && (!fcntl(p->fd, F_SETOWN, ABOVE_ALL) || errno != ESRCH)) {
		close(p->fd);
		p->fd = -1;
	}
}

void taken_close(struct taken_probe *p)
{
	if (p->fd >= 0)
		close(p->fd);
}

/* A process or thread with the number. */
static bool find_task(pid_t number, struct taken *t)
{
	cleanup_arena struct arena *arena = arena_new();
	struct proc_status st = { .comm = "" };
	struct err ignore = ERR_INIT;
	cleanup_fd int fd = -1;

	/* Threads answer too, although nobody lists them. */
	if ((kill(number, 0) < 0 && errno == ESRCH) || proc_open(number, &fd, &ignore))
		return false;
	if (proc_status(fd, "status", arena, &st, &ignore)) {
		*t = (struct taken){ .how = TAKEN_SOMEHOW };
		return true;
	}
	*t = (struct taken){ .how = st.tgid == number ? TAKEN_PROCESS : TAKEN_THREAD, .pid = st.tgid, .ppid = st.ppid,
			     .state = st.state };
	memcpy(t->comm, st.comm, sizeof(t->comm));
	return true;
}

/* Members of the session or group; one that lives, where there is one. */
static void find_member(pid_t number, struct taken *t)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	int *pids = NULL;
	size_t n = 0;

	*t = (struct taken){ .how = TAKEN_SOMEHOW };
	if (proc_numbers(AT_FDCWD, "/proc", arena, &pids, &n, &ignore))
		return;
	for (size_t i = 0; i < n && (t->how == TAKEN_SOMEHOW || t->state == 'Z'); i++) {
		struct proc_stat st;
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/stat", pids[i]);
		if (proc_stat(AT_FDCWD, path, &st, &ignore) || (st.session != number && st.pgrp != number))
			continue;
		*t = (struct taken){ .how = st.session == number ? TAKEN_SESSION : TAKEN_GROUP, .pid = pids[i], .ppid = st.ppid,
				     .state = st.state };
		memcpy(t->comm, st.comm, sizeof(t->comm));
	}
}

/* Who was just dumped is a corpse until its parent takes notice; and what nobody is seen to have is being given back. */
static bool may_go(struct taken_probe *p, const struct taken *t)
{
	if (t->state == 'Z')
		return p->dead-- > 0;
	if (t->how == TAKEN_SOMEHOW)
		return p->unseen-- > 0;
	p->dead = p->unseen = 0;
	return false;
}

struct taken taken_by(struct taken_probe *p, pid_t number)
{
	const struct timespec pause = { 0, 2000000 };

	for (;;) {
		struct taken t = { .how = TAKEN_NOT };

		if (p->fd >= 0 && fcntl(p->fd, F_SETOWN, number) && errno == ESRCH)
			return t;
		if (!find_task(number, &t)) {
			if (p->fd < 0)
				return t;
			find_member(number, &t);
		}
		if (!may_go(p, &t))
			return t;
		nanosleep(&pause, NULL);
	}
}
