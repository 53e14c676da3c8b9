// SPDX-License-Identifier: GPL-2.0-or-later
/* Signal owners that a daemon has set before it gave up being root: whom they may signal goes by who has set them. */
#include <sys/socket.h>

#include "test.h"

#define NOBODY 65534

static volatile sig_atomic_t got;

static void handler(int sig)
{
	got = sig;
}

static void check_ids(int fd, uint32_t uid, uint32_t euid)
{
	uint32_t ids[2];

	CHECK(!fcntl(fd, 17 /* F_GETOWNER_UIDS */, ids));
	CHECK_EQ(ids[0], uid);
	CHECK_EQ(ids[1], euid);
}

int main(void)
{
	struct f_owner_ex group = { .type = F_OWNER_PGRP, .pid = getpgrp() }, back;
	int root[2], pair[2], both[2];

	CHECK(signal(SIGUSR1, handler) != SIG_ERR && !chmod(".", 0777));
	CHECK(!pipe(root) && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !pipe(both));
	CHECK(!fcntl(root[0], F_SETOWN, getpid()) && !fcntl(root[0], F_SETSIG, SIGUSR1) && !fcntl(root[0], F_SETFL, O_ASYNC));
	CHECK(!seteuid(NOBODY) && !fcntl(pair[0], F_SETOWN_EX, &group));
	CHECK(!setresuid(0, 0, 0) && !setresuid(NOBODY, NOBODY, NOBODY));
	CHECK(!fcntl(both[0], F_SETOWN, getpid()));

	test_ready();

	check_ids(root[0], 0, 0);
	check_ids(pair[0], 0, NOBODY);
	check_ids(both[0], NOBODY, NOBODY);
	CHECK_EQ(fcntl(root[0], F_GETOWN), getpid());
	CHECK(!fcntl(pair[0], F_GETOWN_EX, &back));
	CHECK_EQ(back.type, F_OWNER_PGRP);
	CHECK_EQ(back.pid, getpgrp());
	CHECK_EQ(got, 0);
	CHECK_EQ(write(root[1], "x", 1), 1);
	CHECK_EQ(got, SIGUSR1);
	CHECK_EQ(getuid(), NOBODY);
	CHECK(setuid(0) < 0);
	pass();
}
