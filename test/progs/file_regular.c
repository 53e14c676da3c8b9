// SPDX-License-Identifier: GPL-2.0-or-later
/* Regular files: position, status flags, close-on-exec, duplicates that share a description, openings that do not. */
#include "test.h"

static int opened(const char *name, int flags, int at)
{
	int fd = open(name, flags | O_CREAT, 0640);
	CHECK(fd >= 0);
	if (at >= 0) {
		CHECK_EQ(dup2(fd, at), at);
		close(fd);
		fd = at;
	}
	return fd;
}

static int status(int fd)
{
	return fcntl(fd, F_GETFL);
}

int main(void)
{
	char buf[16] = "";
	int rw = opened("rw", O_RDWR, 10);
	CHECK_EQ(write(rw, "0123456789", 10), 10);
	CHECK_EQ(lseek(rw, 4, SEEK_SET), 4);
	int same = dup(rw);
	int again = opened("rw", O_RDONLY, 11);
	CHECK_EQ(lseek(again, 7, SEEK_SET), 7);
	int log = opened("log", O_WRONLY | O_APPEND, 12);
	CHECK_EQ(write(log, "abc", 3), 3);
	int sync = opened("sync", O_RDWR | O_DSYNC | O_NONBLOCK | O_NOATIME, 13);
	int direct = open("rw", O_RDONLY | O_DIRECT);
	int beyond = opened("empty", O_RDWR, 14);
	CHECK_EQ(lseek(beyond, 5000000000ll, SEEK_SET), 5000000000ll);
	int exec = open("rw", O_RDONLY | O_CLOEXEC);
	int status_sync = status(sync), status_direct = direct < 0 ? 0 : status(direct), status_log = status(log);

	test_ready();

	CHECK_EQ(lseek(rw, 0, SEEK_CUR), 4);
	CHECK_EQ(lseek(again, 0, SEEK_CUR), 7);
	CHECK_EQ(lseek(beyond, 0, SEEK_CUR), 5000000000ll);
	CHECK_EQ(read(rw, buf, 2), 2);
	CHECK(!memcmp(buf, "45", 2));
	CHECK_EQ(lseek(same, 0, SEEK_CUR), 6);
	CHECK_EQ(lseek(again, 0, SEEK_CUR), 7);
	CHECK_EQ(status(rw) & O_ACCMODE, O_RDWR);
	CHECK_EQ(status(again) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(status(log), status_log);
	CHECK_EQ(write(log, "def", 3), 3);
	CHECK_EQ(lseek(log, 0, SEEK_CUR), 6);
	CHECK_EQ(status(sync), status_sync);
	if (direct >= 0)
		CHECK_EQ(status(direct), status_direct);
	CHECK_EQ(fcntl(exec, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(rw, F_GETFD), 0);
	CHECK(fcntl(200, F_GETFD) == -1 && errno == EBADF);
	pass();
}
