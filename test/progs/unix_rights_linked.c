// SPDX-License-Identifier: GPL-2.0-or-later
/* A file in a message that lost the name by which it was opened and has one in another directory, while other files stand under all low
 * numbers: the very same file comes out of the message.
 * test: dump=--link-remap restore=--link-remap */
#include "unix.h"

int main(void)
{
	int s[2], fd = open("one", O_RDWR | O_CREAT, 0600);
	struct stat a, b;
	char name[32];

	CHECK(fd >= 0 && write(fd, "right", 5) == 5);
	CHECK(!mkdir("far", 0700) && !link("one", "far/two") && !unlink("one"));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], "one", 3, &fd, 1);
	close(fd);
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "decoy.%d", i);
		CHECK(open(name, O_RDWR | O_CREAT, 0600) >= 0);
	}
	test_ready();
	check_fds(s[1], 3, "one", &fd, 1, "message");
	CHECK(!fstat(fd, &a) && !stat("far/two", &b));
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_nlink == 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
	pass();
}
