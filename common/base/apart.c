/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/apart.h"
#include "common/base/fault.h"
#include "common/base/io.h"

#define LONGEST_MS 60000 /* a machine that hardly runs at all */

static int await(pid_t pid, int *status, struct err *err)
{
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* without one, it is waited for without a limit */
	struct pollfd p = { fd, POLLIN, 0 };

	if (fd >= 0 && poll(&p, 1, LONGEST_MS) == 0)
		return err_set(err, ERR_FAILED, ETIMEDOUT, "cannot wait any longer for process %d, which was to look at it", pid);
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for process %d, which looks at it", pid);
	return 0;
}

int apart(void (*work)(void *arg), void *arg, bool resumes, const char *point, struct err *err)
{
	sigset_t all, before;
	int ret, status = 0;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (!pid) {
		setsid();
		work(arg);
		_exit(0);
	}
	ret = pid < 0 ? err_sys(err, "cannot make a process that looks at it") : 0;
	fault(point);
	if (!ret)
		ret = await(pid, &status, err);
	if (!ret && status && resumes)
		work(arg);
	else if (!ret && status)
		ret = err_set(err, ERR_FAILED, 0, "the process that looks at it was killed");
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}
