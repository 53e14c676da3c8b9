// SPDX-License-Identifier: GPL-2.0-or-later
/* A file of /proc that means a process of the tree, in a message: what only that process can open comes back after the message.
 * test: refused=/proc/[0-9]+/maps.*message */
#include "unix.h"

int main(void)
{
	int s[2], fd = open("/proc/self/maps", O_RDONLY);
	struct stat a, b;

	CHECK(fd >= 0 && !fstat(fd, &a));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], "it", 2, &fd, 1);
	close(fd);
	test_ready();
	check_fds(s[1], 2, "it", &fd, 1, "message");
	CHECK(!fstat(fd, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	pass();
}
