// SPDX-License-Identifier: GPL-2.0-or-later
/* A deleted file that can only be appended to (chattr +a).
 * test: refused=deleted,_and_open_to_appending_only */
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "test.h"

int main(void)
{
	int fd = open("file", O_RDWR | O_CREAT, 0600), flags = 0, back = 0;

	CHECK(fd >= 0 && !unlink("file"));
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		TEST_SKIP("no such attributes here: %s", strerror(errno));
	flags |= FS_APPEND_FL;
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
		TEST_SKIP("no such attribute here: %s", strerror(errno));
	test_ready();
	CHECK(!ioctl(fd, FS_IOC_GETFLAGS, &back));
	CHECK(back & FS_APPEND_FL);
	pass();
}
