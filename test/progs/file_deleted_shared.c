// SPDX-License-Identifier: GPL-2.0-or-later
/* A deleted file and one that never had a name, each opened twice and held by a parent and its child: still one file each,
 * whoever writes. The child stands in a directory that is gone. */
#include <sys/wait.h>

#include "test.h"

static char at(int fd, off_t off)
{
	char c = 0;

	CHECK_EQ(pread(fd, &c, 1, off), 1);
	return c;
}

int main(void)
{
	int gone = open("gone", O_RDWR | O_CREAT, 0600), again = open("gone", O_RDWR);
	int tmp = open(".", O_RDWR | O_TMPFILE, 0600), to[2], from[2], status;
	char path[64], c = 0, cwd[256];
	pid_t pid;

	if (tmp < 0)
		TEST_SKIP("no O_TMPFILE here");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tmp);
	int tmp2 = open(path, O_RDWR);

	CHECK(gone >= 0 && again >= 0 && tmp2 >= 0 && !unlink("gone"));
	CHECK(write(gone, "abc", 3) == 3 && write(tmp, "xyz", 3) == 3 && !pipe(to) && !pipe(from));
	CHECK(!mkdir("home", 0700));
	pid = fork();
	if (!pid) {
		CHECK(!chdir("home"));
		CHECK(write(from[1], "r", 1) == 1 && read(to[0], &c, 1) == 1);
		CHECK(at(again, 1) == 'b' && at(gone, 0) == 'P' && at(tmp2, 0) == 'Q');
		CHECK(pwrite(gone, "C", 1, 2) == 1 && pwrite(tmp, "Z", 1, 2) == 1);
		CHECK(!getcwd(cwd, sizeof(cwd)) && errno == ENOENT);
		_exit(0);
	}
	CHECK(pid > 0 && read(from[0], &c, 1) == 1 && !rmdir("home"));
	test_ready();
	CHECK(pwrite(again, "P", 1, 0) == 1 && pwrite(tmp2, "Q", 1, 0) == 1);
	CHECK(write(to[1], "g", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(at(gone, 2) == 'C' && at(again, 2) == 'C' && at(tmp, 2) == 'Z' && at(tmp2, 2) == 'Z');
	CHECK_EQ(lseek(gone, 0, SEEK_CUR), 3);
	CHECK_EQ(lseek(again, 0, SEEK_CUR), 0);
	pass();
}
