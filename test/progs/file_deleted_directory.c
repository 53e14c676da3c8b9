// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of a directory that was removed with all above it, and a task that stands in there: they come back, where there is a directory.
 * test: busy */
#include "test.h"

int main(void)
{
	char buf[16] = "", cwd[256];
	struct stat st;

	CHECK(!mkdir("a", 0700) && !mkdir("a/b", 0700) && !mkdir("a/c", 0700));
	int one = open("a/b/file", O_RDWR | O_CREAT, 0640), again = open("a/b/file", O_RDONLY);
	int two = open("a/c/file", O_RDWR | O_CREAT, 0600);
	int dir = open("a/c", O_RDONLY | O_DIRECTORY), mine = open("file", O_RDWR | O_CREAT, 0600);
	CHECK(one >= 0 && two >= 0 && again >= 0 && dir >= 0 && mine >= 0);
	CHECK(write(one, "one", 3) == 3 && write(two, "two", 3) == 3 && write(mine, "mine", 4) == 4);
	CHECK(!unlink("a/b/file") && !unlink("a/c/file") && !chdir("a/b"));
	CHECK(!rmdir("../../a/c") && !rmdir("../../a/b") && !rmdir("../../a"));
	test_ready();
	CHECK(!getcwd(cwd, sizeof(cwd)) && errno == ENOENT);
	CHECK(open("new", O_RDWR | O_CREAT, 0600) < 0 && errno == ENOENT);
	CHECK(!fstat(dir, &st) && S_ISDIR(st.st_mode) && st.st_nlink == 0);
	CHECK(pread(one, buf, sizeof(buf), 0) == 3 && !memcmp(buf, "one", 3));
	CHECK(pread(two, buf, sizeof(buf), 0) == 3 && !memcmp(buf, "two", 3));
	CHECK(pwrite(one, "O", 1, 0) == 1 && read(again, buf, sizeof(buf)) == 3 && !memcmp(buf, "One", 3));
	CHECK(!fstat(one, &st) && (st.st_mode & 07777) == 0640 && st.st_nlink == 0);
	CHECK(pread(mine, buf, sizeof(buf), 0) == 4 && !memcmp(buf, "mine", 4));
	CHECK(!fstat(mine, &st) && st.st_nlink == 1); /* what has the same name was left alone */
	pass();
}
