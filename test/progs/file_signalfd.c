// SPDX-License-Identifier: GPL-2.0-or-later
/* signalfd: its mask, pending signals read through it, and epoll on it. */
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "test.h"

int main(void)
{
	struct signalfd_siginfo si;
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 1 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 5);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), ep = epoll_create1(0);
	CHECK(fd >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	union sigval value = { .sival_int = 42 };
	CHECK(!sigqueue(getpid(), SIGRTMIN + 5, value));

	test_ready();

	CHECK_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	CHECK_EQ(si.ssi_signo, SIGRTMIN + 5);
	CHECK_EQ(si.ssi_int, 42);
	CHECK(read(fd, &si, sizeof(si)) < 0 && errno == EAGAIN);
	CHECK(!kill(getpid(), SIGUSR1));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 1000), 1);
	CHECK_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	CHECK_EQ(si.ssi_signo, SIGUSR1);
	pass();
}
