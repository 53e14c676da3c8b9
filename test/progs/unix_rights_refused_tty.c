// SPDX-License-Identifier: GPL-2.0-or-later
/* /dev/tty in a message: it means the terminal of whoever opens it, and messages come back before processes do.
 * test: refused=/dev/tty.*_message */
#include <pty.h>
#include <sys/ioctl.h>

#include "unix.h"

int main(void)
{
	int s[2], master, slave, fd;

	CHECK(!openpty(&master, &slave, NULL, NULL, NULL));
	CHECK(!ioctl(slave, TIOCSCTTY, 0));
	fd = open("/dev/tty", O_RDWR | O_NOCTTY);
	CHECK(fd >= 0);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], "it", 2, &fd, 1);
	test_ready();
	check_fds(s[1], 2, "it", &fd, 1, "message");
	CHECK(write(fd, "x", 1) == 1);
	pass();
}
