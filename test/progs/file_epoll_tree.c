/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/* A set of epoll that a parent made and its child filled, with a pipe that the parent does not have. */
#include "test.h"

#include <sys/epoll.h>
#include <sys/wait.h>

enum { EFD = 40, TARGET = 50, GO = 60 };

int main(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = 0x1122334455667788 };
	int go[2], up[2], ep = epoll_create1(0);
	pid_t pid;
	char c;

	CHECK(ep >= 0 && dup2(ep, EFD) == EFD && !close(ep));
	CHECK(!pipe(go) && !pipe(up));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		int target[2];

		CHECK(!pipe(target));
		CHECK_EQ(dup2(target[0], TARGET), TARGET);
		close(target[0]);
		CHECK(!epoll_ctl(EFD, EPOLL_CTL_ADD, TARGET, &ev));
		CHECK_EQ(write(up[1], "", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_EQ(write(target[1], "x", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(up[0], &c, 1), 1);
	CHECK_EQ(fcntl(TARGET, F_GETFD), -1);
	CHECK_EQ(epoll_wait(EFD, &ev, 1, 0), 0);

	test_ready();

	CHECK_EQ(fcntl(TARGET, F_GETFD), -1);
	CHECK_EQ(epoll_wait(EFD, &ev, 1, 0), 0);
	CHECK_EQ(write(go[1], "", 1), 1);
	ev.data.u64 = 0;
	CHECK_EQ(epoll_wait(EFD, &ev, 1, 5000), 1);
	CHECK(ev.data.u64 == 0x1122334455667788);
	/* The edge was seen. */
	CHECK_EQ(epoll_wait(EFD, &ev, 1, 0), 0);
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	pass();
}
