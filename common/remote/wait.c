/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/remote/wait.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/util.h"
#include "common/proc/proc.h"

/* Most answers take a few microseconds: less than going to sleep and being woken. */
#define LOOKS_BEFORE_SLEEP 40
#define CORPSE_LOOK_NS 3000000u

/*
 * A leader that was killed says nothing to its tracer until all other threads are reaped (delay_group_leader() in
 * kernel/exit.c), and those may be ours to reap: waiting for it alone would be for ever.
 */
static bool is_corpse(pid_t tid)
{
	struct err ignore = ERR_INIT;
	struct proc_stat st;
	cleanup_fd int fd = -1;
	char path[32];

	if (proc_open(tid, &fd, &ignore))
		return true;
	/* Of it alone: else the kernel adds up the times of all threads. */
	snprintf(path, sizeof(path), "task/%d/stat", tid);
	return proc_stat(fd, path, &st, &ignore) || st.state == 'Z' || st.state == 'X';
}

int wait_tracee(pid_t tid, uint64_t deadline_ns, int *status)
{
	uint64_t suspect_ns = 0;

	for (int looks = 0;;) {
		pid_t got = waitpid(tid, status, __WALL | WNOHANG);
		uint64_t now;
		sigset_t chld;

		if (!got && looks++ < LOOKS_BEFORE_SLEEP)
			continue;

		if (got == tid)
			return 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		now = now_ns();
		if (suspect_ns && now >= suspect_ns && is_corpse(tid))
			return -ECHILD;
		if (now >= suspect_ns)
			suspect_ns = now + CORPSE_LOOK_NS;
		if (deadline_ns && now >= deadline_ns)
			return -ETIMEDOUT;
		/* A SIGCHLD may belong to another tracee, and several melt into one: look again after 1 ms at the
		 * latest. */
		uint64_t ns = deadline_ns ? MIN(deadline_ns - now, (uint64_t)1000000) : 1000000;
		struct timespec ts = { 0, (long)ns };

		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		sigtimedwait(&chld, NULL, &ts);
	}
}
