// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A signal owner that another user has set, of a file that only the task itself can open again.
 * test: refused=signal_owner_was_set_with_uid_0.*nobody_else_can_open_it
 */
#include "test.h"

int main(void)
{
	int fd = open("/proc/self/status", O_RDONLY);

	CHECK(!chmod(".", 0777));
	CHECK(fd >= 0 && !fcntl(fd, F_SETOWN, getpid()));
	CHECK(!setresuid(65534, 65534, 65534));
	test_ready();
	pass();
}
