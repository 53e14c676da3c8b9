// SPDX-License-Identifier: GPL-2.0-or-later
/* Signal-driven I/O: F_SETOWN, F_SETSIG, O_ASYNC on a pipe. */
#include "test.h"

static volatile sig_atomic_t got, got_fd;

static void handler(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	got = sig;
	got_fd = si->si_fd;
}

int main(void)
{
	int p[2], reg = open("file", O_RDWR | O_CREAT, 0600);
	struct f_owner_ex ex = { .type = F_OWNER_TID, .pid = gettid() }, back;
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(SIGRTMIN + 3, &sa, NULL));
	CHECK(!pipe(p));
	CHECK(!fcntl(p[0], F_SETOWN, getpid()) && !fcntl(p[0], F_SETSIG, SIGRTMIN + 3));
	CHECK(!fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	CHECK(!fcntl(reg, F_SETOWN_EX, &ex) && !fcntl(reg, F_SETSIG, SIGUSR2));

	test_ready();

	CHECK_EQ(fcntl(p[0], F_GETOWN), getpid());
	CHECK_EQ(fcntl(p[0], F_GETSIG), SIGRTMIN + 3);
	CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY | O_ASYNC | O_NONBLOCK);
	CHECK_EQ(got, 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(got, SIGRTMIN + 3);
	CHECK_EQ(got_fd, p[0]);
	CHECK(!fcntl(reg, F_GETOWN_EX, &back));
	CHECK_EQ(back.type, F_OWNER_TID);
	CHECK_EQ(back.pid, gettid());
	CHECK_EQ(fcntl(reg, F_GETSIG), SIGUSR2);
	pass();
}
