// SPDX-License-Identifier: GPL-2.0-or-later
/* A file that lost the name by which it was opened and has another one in another directory, opened twice: the same file again under the other
 * name, and the name that the dump gave it is gone.
 * test: dump=--link-remap restore=--link-remap */
#include <dirent.h>

#include "test.h"

int main(void)
{
	int fd = open("one", O_RDWR | O_CREAT, 0600), again = open("one", O_RDONLY);
	struct stat a, b, other;
	struct dirent *e;
	DIR *dir;

	CHECK(fd >= 0 && again >= 0 && write(fd, "0123", 4) == 4);
	CHECK(!mkdir("far", 0700) && !link("one", "far/two") && !unlink("one"));
	test_ready();
	CHECK(!fstat(fd, &a) && !fstat(again, &b) && !stat("far/two", &other));
	CHECK(a.st_ino == other.st_ino && b.st_ino == other.st_ino && a.st_dev == other.st_dev);
	CHECK_EQ(other.st_nlink, 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(lseek(again, 0, SEEK_CUR), 0);
	CHECK_EQ(access("one", F_OK), -1);
	dir = opendir(".");
	while ((e = readdir(dir)))
		CHECK(strncmp(e->d_name, "link_remap", 10) != 0);
	pass();
}
