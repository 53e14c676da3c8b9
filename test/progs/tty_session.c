// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A terminal emulator, a shell and its job: the pty controls the shell's session, the job's group is in the foreground. Keys reach
 * the right ones, /dev/tty leads to the terminal, and hanging up tells the session.
 */
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>

#include "test.h"

static int said; /* what happened to the shell and the job, as letters */

static void say(const char *what)
{
	if (write(said, what, 1) != 1)
		_exit(99);
}

static int job_tty; /* /dev/tty, which its parent has opened */

/* The terminal by the name that the job shares with the shell. */
static void job_int(int sig)
{
	(void)sig;
	say(tcgetsid(job_tty) == getppid() && tcgetpgrp(job_tty) == getpid() ? "j" : "?");
}
static void job_winch(int sig) { (void)sig; say("w"); }
static void shell_int(int sig) { (void)sig; say("s"); }
static void shell_hup(int sig) { (void)sig; say("h"); }

static int hear(int fd)
{
	char c;

	return read(fd, &c, 1) == 1 ? c : -1;
}

static void job(int tty)
{
	signal(SIGINT, job_int);
	signal(SIGWINCH, job_winch);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	setpgid(0, 0);
	job_tty = tty;
	if (tcsetpgrp(tty, getpgrp()))
		_exit(1);
	say("J");
	for (;;)
		pause();
}

static void shell(int slave, int orders)
{
	pid_t child;
	struct stat st;

	setsid();
	signal(SIGINT, shell_int);
	signal(SIGHUP, shell_hup);
	if (ioctl(slave, TIOCSCTTY, 0))
		_exit(1);
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC), second = dup(tty);
	if (tty < 0)
		_exit(2);
	child = fork();
	if (!child)
		job(tty);
	for (;;) {
		switch (hear(orders)) {
		case 't': /* the terminal of the session */
			if (fstat(second, &st) || st.st_rdev != makedev(5, 0) || tcgetsid(second) != getpid() ||
			    tcgetpgrp(tty) != child || fcntl(tty, F_GETFD) != FD_CLOEXEC ||
			    syscall(SYS_kcmp, getpid(), child, KCMP_FILE, tty, tty) || write(second, "T", 1) != 1)
				say("?");
			else
				say("t");
			break;
		case 'k':
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
			signal(SIGTTOU, SIG_IGN);
			tcsetpgrp(tty, getpgrp());
			say("k");
			break;
		case -1:
			if (errno == EINTR)
				break;
			_exit(3);
		}
	}
}

int main(void)
{
	int zero = 0, m = open("/dev/ptmx", O_RDWR | O_NOCTTY), s, said_pipe[2], orders[2], v;
	struct winsize ws = { 40, 40, 0, 0 };
	char buf[100];

	if (m < 0)
		TEST_SKIP("no ptys here: %s", strerror(errno));
	CHECK(!ioctl(m, TIOCSPTLCK, &zero));
	s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	CHECK(s >= 0);
	int named = open(ptsname(m), O_RDWR | O_NOCTTY); /* the other way to open it leaves another flag */
	CHECK(named >= 0);
	CHECK(!pipe(said_pipe) && !pipe(orders));
	said = said_pipe[1];
	pid_t leader = fork();
	CHECK(leader >= 0);
	if (!leader) {
		close(m);
		shell(s, orders[0]);
	}
	close(s);
	close(named);
	CHECK_EQ(hear(said_pipe[0]), 'J');
	CHECK(!ioctl(m, TIOCGPGRP, &v));
	const int group = v;

	test_ready();

	CHECK(!ioctl(m, TIOCGSID, &v));
	CHECK_EQ(v, leader);
	CHECK(!ioctl(m, TIOCGPGRP, &v));
	CHECK_EQ(v, group);
	CHECK_EQ(write(orders[1], "t", 1), 1);
	CHECK_EQ(hear(said_pipe[0]), 't');
	CHECK_EQ(read(m, buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], 'T');
	CHECK_EQ(write(m, "\x03", 1), 1);
	CHECK_EQ(hear(said_pipe[0]), 'j');
	CHECK(!ioctl(m, TIOCSWINSZ, &ws));
	CHECK_EQ(hear(said_pipe[0]), 'w');
	CHECK_EQ(write(orders[1], "k", 1), 1);
	CHECK_EQ(hear(said_pipe[0]), 'k');
	CHECK_EQ(write(m, "\x03", 1), 1);
	CHECK_EQ(hear(said_pipe[0]), 's');
	close(m);
	CHECK_EQ(hear(said_pipe[0]), 'h');
	kill(leader, SIGKILL);
	CHECK_EQ(waitpid(leader, NULL, 0), leader);
	pass();
}
