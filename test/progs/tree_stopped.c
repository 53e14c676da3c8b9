/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/* Stopped children: one whose stop its parent knows of, one whose stop it has still to learn, and no SIGCHLD more than that. */
#include "test.h"

#include <sys/wait.h>

static volatile sig_atomic_t told;

static void on_chld(int sig)
{
	told += sig == SIGCHLD;
}

static pid_t stopped(void)
{
	siginfo_t si;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		for (;;)
			pause();
	CHECK(!kill(pid, SIGSTOP));
	while (waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOWAIT))
		CHECK_EQ(errno, EINTR);
	return pid;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_chld };
	pid_t known, news;
	sigset_t chld, pending;
	siginfo_t si;

	CHECK(!sigaction(SIGCHLD, &sa, NULL));
	known = stopped();
	while (waitid(P_PID, (id_t)known, &si, WSTOPPED))
		CHECK_EQ(errno, EINTR);
	news = stopped();
	told = 0;

	test_ready();

	CHECK_EQ(told, 0);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	CHECK(!sigprocmask(SIG_BLOCK, &chld, NULL));
	CHECK(!sigpending(&pending) && !sigismember(&pending, SIGCHLD));
	si.si_pid = 0;
	CHECK(!waitid(P_PID, (id_t)known, &si, WSTOPPED | WNOHANG));
	CHECK_EQ(si.si_pid, 0);
	CHECK(!waitid(P_PID, (id_t)news, &si, WSTOPPED | WNOHANG));
	CHECK_EQ(si.si_pid, news);
	CHECK_EQ(si.si_status, SIGSTOP);
	/* Both are stopped indeed, and go on when told. */
	CHECK(!kill(known, SIGCONT) && !kill(news, SIGCONT));
	CHECK(!waitid(P_PID, (id_t)known, &si, WCONTINUED));
	CHECK(!waitid(P_PID, (id_t)news, &si, WCONTINUED));
	CHECK(!kill(known, SIGKILL) && !kill(news, SIGKILL));
	pass();
}
