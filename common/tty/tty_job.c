// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/tty/tty_job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

void tty_job_begin(struct tty_job *j)
{
	pid_t group, session;
	sigset_t out;

	memset(j, 0, sizeof(*j));
	/* Only to who has it as the controlling terminal, which is what lending takes. */
	if (ioctl(STDIN_FILENO, TIOCGPGRP, &group) || ioctl(STDIN_FILENO, TIOCGSID, &session) || session != getsid(0) ||
	    group != getpgrp() || ioctl(STDIN_FILENO, TCGETS2, &j->ours))
		return;
	sigemptyset(&out);
	sigaddset(&out, SIGTTOU);
	sigprocmask(SIG_BLOCK, &out, &j->mask);
	j->group = group;
	j->lent = true;
}

static void take_back(const struct tty_job *j)
{
	ioctl(STDIN_FILENO, TIOCSPGRP, &j->group);
	ioctl(STDIN_FILENO, TCSETSW2, &j->ours); /* when what was written is out */
}

void tty_job_end(struct tty_job *j)
{
	if (!j->lent)
		return;
	take_back(j);
	sigprocmask(SIG_SETMASK, &j->mask, NULL);
	j->lent = false;
}

pid_t tty_job_wait(struct tty_job *j, pid_t root, int *status)
{
	const int options = j->lent ? WUNTRACED : 0;
	struct termios2 theirs;
	pid_t ret, group;

	for (;;) {
		ret = waitpid(root, status, options);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0 || !WIFSTOPPED(*status))
			return ret;
		bool known = !ioctl(STDIN_FILENO, TCGETS2, &theirs);
		if (ioctl(STDIN_FILENO, TIOCGPGRP, &group))
			group = getpgid(root);
		take_back(j);
		kill(getpid(), SIGSTOP);
		/* A shell that continues us has put us in the foreground, or not (bg). */
		pid_t now = -1;
		ioctl(STDIN_FILENO, TIOCGPGRP, &now);
		if (now == j->group) {
			ioctl(STDIN_FILENO, TCGETS2, &j->ours);
			if (known)
				ioctl(STDIN_FILENO, TCSETSW2, &theirs);
			ioctl(STDIN_FILENO, TIOCSPGRP, &group);
		}
		kill(group == j->group ? root : -getpgid(root), SIGCONT);
	}
}
