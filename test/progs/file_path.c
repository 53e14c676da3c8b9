// SPDX-License-Identifier: GPL-2.0-or-later
/* Directories with a position, O_PATH of files, directories and symbolic links. */
#include <dirent.h>
#include <sys/syscall.h>

#include "test.h"

/* Names in a buffer of getdents64, one after another; between them are bytes that mean nothing. */
static void names(const char *buf, long n, char *out)
{
	for (long at = 0; at < n;) {
		const struct dirent64 *e = (const struct dirent64 *)(const void *)(buf + at);
		out = stpcpy(out, e->d_name);
		at += e->d_reclen;
	}
}

int main(void)
{
	char name[32], buf[4096], rest[4096], rest2[4096], target[64], before[4096], after[4096];
	struct stat st;

	CHECK(!mkdir("dir", 0755));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "dir/entry-%03d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		CHECK(fd >= 0);
		close(fd);
	}
	CHECK(!symlink("dir/entry-000", "link"));
	int dir = open("dir", O_RDONLY | O_DIRECTORY);
	CHECK(syscall(SYS_getdents64, dir, buf, 1024) > 0);
	off_t at = lseek(dir, 0, SEEK_CUR);
	long n = syscall(SYS_getdents64, dir, rest, sizeof(rest));
	CHECK(n > 0);
	CHECK_EQ(lseek(dir, at, SEEK_SET), at);
	int pathdir = open("dir", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int pathfile = open("dir/entry-001", O_PATH);
	int pathlink = open("link", O_PATH | O_NOFOLLOW);
	CHECK(dir >= 0 && pathdir >= 0 && pathfile >= 0 && pathlink >= 0);
	int flags = fcntl(pathlink, F_GETFL);

	test_ready();

	CHECK_EQ(lseek(dir, 0, SEEK_CUR), at);
	CHECK_EQ(syscall(SYS_getdents64, dir, rest2, sizeof(rest2)), n);
	names(rest, n, before);
	names(rest2, n, after);
	CHECK(!strcmp(before, after));
	CHECK(fcntl(pathdir, F_GETFL) & O_PATH);
	CHECK_EQ(fcntl(pathdir, F_GETFD), FD_CLOEXEC);
	CHECK(!fstatat(pathdir, "entry-007", &st, 0));
	CHECK(read(pathfile, buf, 1) < 0 && errno == EBADF);
	CHECK(!fstat(pathfile, &st) && S_ISREG(st.st_mode));
	CHECK_EQ(fcntl(pathlink, F_GETFL), flags);
	CHECK_EQ(readlinkat(pathlink, "", target, sizeof(target)), 13);
	CHECK(!memcmp(target, "dir/entry-000", 13));
	pass();
}
