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
	    ioctl(STDIN_FILENO, TCGETS2, &j->ours))
		return;
	sigemptyset(&out);
	sigaddset(&out, SIGTTOU);
	sigprocmask(SIG_BLOCK, &out, &j->mask);
	j->group = getpgrp();
	j->known = true;
	j->lent = group == j->group;
}

static void take_back(const struct tty_job *j)
{
	ioctl(STDIN_FILENO, TIOCSPGRP, &j->group);
	ioctl(STDIN_FILENO, TCSETSW2, &j->ours); /* when what was written is out */
}

void tty_job_end(struct tty_job *j)
{
	if (!j->known)
		return;
	if (j->lent)
		take_back(j);
	sigprocmask(SIG_SETMASK, &j->mask, NULL);
	j->known = j->lent = false;
}

static pid_t foreground(void)
{
	pid_t group = -1;

	return ioctl(STDIN_FILENO, TIOCGPGRP, &group) ? -1 : group;
}

/*
 * The job has stopped. Who has the terminal at this moment had it, if that is not us: some group of the job. A job that was in the
 * background, or was stopped already when it was dumped, never had it, and is to have it when we are in the foreground.
 */
static void stopped(struct tty_job *j, pid_t root, int signum)
{
	const pid_t now = foreground(), job = getpgid(root);
	const bool had = j->lent && now > 0 && now != j->group, wants = signum == SIGTTIN || signum == SIGTTOU;
	struct termios2 theirs;
	const bool known = had && !ioctl(STDIN_FILENO, TCGETS2, &theirs);
	const pid_t group = had ? now : job;

	/* A shell puts a job that runs into the foreground without a word (fg): then only this tells us. */
	if (wants && !had && now == j->group && group != j->group && !ioctl(STDIN_FILENO, TIOCSPGRP, &group)) {
		ioctl(STDIN_FILENO, TCGETS2, &j->ours);
		j->lent = true;
		kill(-job, SIGCONT);
		return;
	}
	if (j->lent)
		take_back(j);
	kill(getpid(), SIGSTOP);
	/* A shell that continues us has put us in the foreground, or not (bg). */
	j->lent = foreground() == j->group;
	if (j->lent) {
		ioctl(STDIN_FILENO, TCGETS2, &j->ours);
		if (known)
			ioctl(STDIN_FILENO, TCSETSW2, &theirs);
		ioctl(STDIN_FILENO, TIOCSPGRP, &group);
	}
	kill(job == j->group ? root : -job, SIGCONT);
}

pid_t tty_job_wait(struct tty_job *j, pid_t root, int *status)
{
	const int options = j->known ? WUNTRACED : 0;

	for (;;) {
		pid_t ret = waitpid(root, status, options);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0 || !WIFSTOPPED(*status))
			return ret;
		stopped(j, root, WSTOPSIG(*status));
	}
}
