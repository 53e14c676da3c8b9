// SPDX-License-Identifier: GPL-2.0-or-later
/* Fifos: named pipes, also one that is deleted. */
#include <sys/ioctl.h>

#include "test.h"

int main(void)
{
	char buf[32];
	struct stat st;

	CHECK(!mkfifo("fifo", 0640) && !mkfifo("gone", 0600));
	int rd = open("fifo", O_RDONLY | O_NONBLOCK), wr = open("fifo", O_WRONLY), both = open("fifo", O_RDWR | O_CLOEXEC);
	CHECK(rd >= 0 && wr >= 0 && both >= 0);
	CHECK_EQ(write(wr, "in the fifo", 11), 11);
	CHECK(fcntl(wr, F_SETPIPE_SZ, 128 << 10) == 128 << 10);
	int gone = open("gone", O_RDWR);
	CHECK(gone >= 0 && !unlink("gone"));
	CHECK_EQ(write(gone, "deleted", 7), 7);
	int f[3] = { fcntl(rd, F_GETFL), fcntl(wr, F_GETFL), fcntl(both, F_GETFL) };

	test_ready();

	CHECK_EQ(fcntl(rd, F_GETFL), f[0]);
	CHECK_EQ(fcntl(wr, F_GETFL), f[1]);
	CHECK_EQ(fcntl(both, F_GETFL), f[2]);
	CHECK_EQ(fcntl(both, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(rd, F_GETPIPE_SZ), 128 << 10);
	CHECK_EQ(write(both, ".", 1), 1);
	CHECK_EQ(read(rd, buf, sizeof(buf)), 12);
	CHECK(!memcmp(buf, "in the fifo.", 12));
	CHECK(!stat("fifo", &st) && S_ISFIFO(st.st_mode));
	CHECK_EQ(read(gone, buf, sizeof(buf)), 7);
	CHECK(!memcmp(buf, "deleted", 7));
	CHECK(!fstat(gone, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK(access("gone", F_OK));
	pass();
}
