// SPDX-License-Identifier: GPL-2.0-or-later
/* An anonymous file of a kind that cannot come back yet is refused by its name. */
/* test: refused=fd_9:.*inotify */
#include <sys/inotify.h>

#include "test.h"

int main(void)
{
	int fd = inotify_init();

	CHECK(fd >= 0);
	CHECK_EQ(dup2(fd, 9), 9);
	close(fd);
	test_ready();
	CHECK(inotify_add_watch(9, ".", IN_CREATE) > 0);
	pass();
}
