// SPDX-License-Identifier: GPL-2.0-or-later
/* Unix socket pairs: queued data in both directions, shutdown, a closed end, options, unconnected sockets. */
#include <sys/socket.h>
#include <sys/time.h>

#include "test.h"

int main(void)
{
	char buf[64];
	int s[2], dg[2], seq[2], half[2], gone[2], size = 100000, v;
	struct timeval tv = { 3, 0 }, back;
	socklen_t len = sizeof(v);

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	CHECK_EQ(write(s[0], "to ", 3), 3);
	CHECK_EQ(write(s[0], "one", 3), 3);
	CHECK_EQ(write(s[1], "to zero", 7), 7);
	CHECK(!setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	CHECK(!setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, dg));
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seq));
	CHECK_EQ(write(seq[0], "a message", 9), 9);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, half));
	CHECK_EQ(write(half[0], "bye", 3), 3);
	CHECK(!shutdown(half[0], SHUT_WR));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, gone));
	CHECK_EQ(write(gone[1], "left", 4), 4);
	close(gone[1]);
	int lone = socket(AF_UNIX, SOCK_DGRAM, 0);
	signal(SIGPIPE, SIG_IGN);
	CHECK(!getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len));

	test_ready();

	CHECK_EQ(read(s[1], buf, sizeof(buf)), 6);
	CHECK(!memcmp(buf, "to one", 6));
	CHECK_EQ(read(s[0], buf, sizeof(buf)), 7);
	CHECK_EQ(write(s[1], "!", 1), 1);
	CHECK_EQ(read(s[0], buf, sizeof(buf)), 1);
	CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(s[0], F_GETFL), O_RDWR);
	CHECK(!getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, &len));
	CHECK_EQ(v, size);
	len = sizeof(back);
	CHECK(!getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &back, &len));
	CHECK_EQ(back.tv_sec, 3);
	CHECK(read(dg[0], buf, 1) < 0 && errno == EAGAIN);
	CHECK_EQ(write(dg[1], "datagram", 8), 8);
	CHECK_EQ(read(dg[0], buf, sizeof(buf)), 8);
	CHECK_EQ(read(seq[1], buf, sizeof(buf)), 9);
	CHECK_EQ(read(half[1], buf, sizeof(buf)), 3);
	CHECK_EQ(read(half[1], buf, sizeof(buf)), 0);
	CHECK_EQ(write(half[1], "y", 1), 1);
	CHECK(write(half[0], "x", 1) < 0 && errno == EPIPE);
	CHECK_EQ(read(gone[0], buf, sizeof(buf)), 4);
	CHECK_EQ(read(gone[0], buf, sizeof(buf)), 0);
	CHECK(write(gone[0], "x", 1) < 0 && errno == EPIPE);
	CHECK(send(lone, "x", 1, 0) < 0 && errno == ENOTCONN);
	pass();
}
