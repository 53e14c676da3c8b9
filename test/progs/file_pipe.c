// SPDX-License-Identifier: GPL-2.0-or-later
/* Pipes: queued data, capacity, flags of each end, duplicates, packet mode, single ends, further openings. */
#include <poll.h>
#include <sys/ioctl.h>

#include "test.h"

int main(void)
{
	static char big[300000], got[300000];
	char buf[64];
	int p[2], q[2], pk[2], eof[2], broken[2], more[2], queued;
	struct stat a, b;

	CHECK(!pipe2(p, O_CLOEXEC));
	CHECK_EQ(write(p[1], "queued data", 11), 11);
	int dupw = dup(p[1]);
	CHECK(!fcntl(p[0], F_SETFL, O_NONBLOCK));

	CHECK(!pipe(q));
	CHECK(fcntl(q[1], F_SETPIPE_SZ, 512 << 10) >= 512 << 10);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 999);
	CHECK_EQ(write(q[1], big, sizeof(big)), sizeof(big));

	CHECK(!pipe2(pk, O_DIRECT | O_NONBLOCK));
	CHECK_EQ(write(pk[1], "one", 3), 3);
	CHECK_EQ(write(pk[1], "three", 5), 5);

	CHECK(!pipe(eof));
	CHECK_EQ(write(eof[1], "last", 4), 4);
	close(eof[1]);
	CHECK(!pipe(broken));
	close(broken[0]);
	signal(SIGPIPE, SIG_IGN);

	CHECK(!pipe(more));
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", more[0]);
	int both = open(buf, O_RDWR | O_CLOEXEC), second = open(buf, O_RDONLY | O_NONBLOCK);
	CHECK(both >= 0 && second >= 0);
	int both_flags = fcntl(both, F_GETFL), second_flags = fcntl(second, F_GETFL);

	test_ready();

	CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	CHECK_EQ(fcntl(p[1], F_GETFL), O_WRONLY);
	CHECK_EQ(fcntl(p[1], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(dupw, F_GETFD), 0);
	CHECK_EQ(write(dupw, "!", 1), 1);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 12);
	CHECK(!memcmp(buf, "queued data!", 12));
	CHECK(read(p[0], buf, 1) < 0 && errno == EAGAIN);

	CHECK_EQ(fcntl(q[0], F_GETPIPE_SZ), 512 << 10);
	CHECK(!ioctl(q[0], FIONREAD, &queued));
	CHECK_EQ(queued, sizeof(big));
	CHECK_EQ(read(q[0], got, sizeof(got)), sizeof(got));
	CHECK(!memcmp(big, got, sizeof(big)));

	CHECK_EQ(fcntl(pk[1], F_GETFL), O_WRONLY | O_DIRECT | O_NONBLOCK);
	CHECK_EQ(read(pk[0], buf, sizeof(buf)), 3);
	CHECK_EQ(read(pk[0], buf, sizeof(buf)), 5);
	CHECK(!memcmp(buf, "three", 5));

	CHECK_EQ(read(eof[0], buf, sizeof(buf)), 4);
	CHECK_EQ(read(eof[0], buf, sizeof(buf)), 0);
	CHECK(write(broken[1], "x", 1) < 0 && errno == EPIPE);

	CHECK_EQ(fcntl(both, F_GETFL), both_flags);
	CHECK_EQ(fcntl(second, F_GETFL), second_flags);
	CHECK(!fstat(both, &a) && !fstat(more[1], &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(write(more[1], "via", 3), 3);
	CHECK_EQ(read(second, buf, 2), 2);
	CHECK_EQ(read(both, buf, 8), 1);
	CHECK_EQ(buf[0], 'a');
	pass();
}
