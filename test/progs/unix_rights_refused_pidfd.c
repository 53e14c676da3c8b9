// SPDX-License-Identifier: GPL-2.0-or-later
/* A pidfd of a living process of the tree that is in a message, though a table has it, too: messages come back before processes do.
 * test: refused=pidfd_.*_message */
#include <sys/syscall.h>

#include "unix.h"

int main(void)
{
	int s[2], fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct stat a, b;

	CHECK(fd >= 0 && !fstat(fd, &a));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], "it", 2, &fd, 1);
	test_ready();
	check_fds(s[1], 2, "it", &fd, 1, "message");
	CHECK(!fstat(fd, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	pass();
}
