// SPDX-License-Identifier: GPL-2.0-or-later
/* cwd, root and umask. */
#include "test.h"

int main(void)
{
	char cwd[PATH_MAX];
	struct stat root, st;

	CHECK(!mkdir("root", 0755) && !mkdir("root/sub", 0755) && !mkdir("root/sub/dir", 0755));
	CHECK(!stat("root", &root));
	/* Where the runner's files are, seen from inside: out of reach by path, so by a descriptor that stays open. */
	int outside = open(".", O_RDONLY | O_DIRECTORY);
	CHECK_EQ(dup2(outside, 100), 100);
	close(outside);
	CHECK(!mkdir("root/proc", 0755));
	CHECK(!chroot("root") && !chdir("/sub/dir"));
	umask(0137);
	test_dir_is("../../../");
	int fd = openat(100, "ready", O_WRONLY | O_CREAT, 0666);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "ready\n", 6), 6);
	close(fd);
	while (faccessat(100, "go", F_OK, 0))
		test_sleep_ms(5);
	bool good = getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/sub/dir") && !stat("/", &st) && st.st_ino == root.st_ino &&
		    umask(0) == 0137 && !stat("/sub", &st);
	CHECK(!fchdir(100) && !chroot("."));
	test_dir_is("");
	CHECK(good);
	pass();
}
