// SPDX-License-Identifier: GPL-2.0-or-later
/* Events that were not read are refused by name, and are still there afterwards. */
/* test: refused=fd_9:.*inotify.*not_read */
#include <sys/inotify.h>

#include "test.h"

int main(void)
{
	char buf[512];
	int fd = inotify_init();

	CHECK(fd >= 0 && dup2(fd, 9) == 9);
	CHECK(!mkdir("dir", 0700) && inotify_add_watch(9, "dir", IN_CREATE) == 1);
	CHECK(!mkdir("dir/new", 0700));
	close(fd);
	test_ready();
	CHECK_EQ(read(9, buf, sizeof(buf)), (int)sizeof(struct inotify_event) + 16);
	pass();
}
