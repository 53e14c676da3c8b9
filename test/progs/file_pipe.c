// SPDX-License-Identifier: GPL-2.0-or-later
/* Pipes: queued data, capacity, flags of each end, duplicates, packet mode and its changes, single ends, further openings. */
#include <poll.h>
#include <sys/ioctl.h>

#include "test.h"

/* Packet mode came or went while something was queued: what was a packet stays one, and what was none does not become one. */
static int gone[2], came[2], one[2], byte[2];

static void make_changed(void)
{
	CHECK(!pipe2(gone, O_DIRECT | O_NONBLOCK));
	CHECK_EQ(write(gone[1], "one", 3), 3);
	CHECK_EQ(write(gone[1], "x", 1), 1);
	CHECK(!fcntl(gone[1], F_SETFL, O_NONBLOCK));
	CHECK_EQ(write(gone[1], "without ", 8), 8);
	CHECK_EQ(write(gone[1], "borders", 7), 7);
	CHECK(!pipe2(one, O_DIRECT | O_NONBLOCK));
	CHECK_EQ(write(one[1], "packet", 6), 6);
	CHECK(!fcntl(one[1], F_SETFL, O_NONBLOCK));
	CHECK(!pipe2(came, O_NONBLOCK));
	CHECK_EQ(write(came[1], "without ", 8), 8);
	CHECK_EQ(write(came[1], "borders", 7), 7);
	CHECK(!fcntl(came[1], F_SETFL, O_NONBLOCK | O_DIRECT));
	CHECK(!pipe2(byte, O_NONBLOCK));
	CHECK_EQ(write(byte[1], "+", 1), 1);
}

static void check_tail(int fd)
{
	char buf[64];

	CHECK_EQ(read(fd, buf, 3), 3); /* and nothing is lost of the rest */
	CHECK(!memcmp(buf, "wit", 3));
	CHECK_EQ(read(fd, buf, sizeof(buf)), 12);
	CHECK(!memcmp(buf, "hout borders", 12));
}

static void check_changed(void)
{
	char buf[64];

	CHECK_EQ(fcntl(gone[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	CHECK_EQ(read(gone[0], buf, 2), 2); /* a packet loses what is not read of it */
	CHECK_EQ(read(gone[0], buf, sizeof(buf)), 1);
	CHECK_EQ(buf[0], 'x');
	check_tail(gone[0]);
	CHECK_EQ(write(one[1], "more", 4), 4);
	CHECK_EQ(read(one[0], buf, 2), 2);
	CHECK_EQ(read(one[0], buf, sizeof(buf)), 4);
	CHECK_EQ(fcntl(came[1], F_GETFL), O_WRONLY | O_NONBLOCK | O_DIRECT);
	check_tail(came[0]);
	CHECK_EQ(write(came[1], "a", 1), 1);
	CHECK_EQ(write(came[1], "b", 1), 1);
	CHECK_EQ(read(came[0], buf, sizeof(buf)), 1);
	CHECK_EQ(write(byte[1], "+", 1), 1);
	CHECK_EQ(read(byte[0], buf, sizeof(buf)), 2);
}

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

	make_changed();

	test_ready();

	check_changed();

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
