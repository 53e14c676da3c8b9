// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections in every state of closing that a descriptor can show, with unread and unsent bytes where there may be any: they come back
 * in their state, deliver what was queued, and end as they would have.
 */
/* test: net dump=--tcp-established restore=--tcp-established timeout=120 */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "test.h"

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING };

static int listener(int family, struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int l = socket(family, SOCK_STREAM, 0);

	*len = family == AF_INET ? sizeof(in) : sizeof(in6);
	CHECK(!bind(l, family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6, *len) && !listen(l, 8));
	CHECK(!getsockname(l, (struct sockaddr *)ss, len));
	return l;
}

static void make(int family, int *a, int *b)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int l = listener(family, &ss, &len);

	*a = socket(family, SOCK_STREAM, 0);
	CHECK(!connect(*a, (struct sockaddr *)&ss, len));
	*b = accept(l, NULL, NULL);
	CHECK(*b >= 0);
	close(l);
}

static int state(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

static void wait_state(int fd, int want)
{
	for (int i = 0; i < 6000 && state(fd) != want; i++)
		usleep(5000);
	CHECK_EQ(state(fd), want);
}

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 11);
}

static size_t stuff(int fd, size_t max)
{
	static unsigned char buf[65536];
	size_t done = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (done < max) {
		size_t n = max - done < sizeof(buf) ? max - done : sizeof(buf);
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(done + i);
		ssize_t w = write(fd, buf, n);
		if (w < 0)
			break;
		done += (size_t)w;
	}
	fcntl(fd, F_SETFL, 0);
	return done;
}

/* Exactly these bytes, then the end. */
static void drain_to_end(int fd, size_t len, const char *what)
{
	static unsigned char buf[65536];
	size_t done = 0;

	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		if (poll(&p, 1, 30000) != 1)
			fail("%s: nothing comes after byte %zu of %zu", what, done, len);
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n < 0)
			fail("%s: %s after byte %zu of %zu", what, strerror(errno), done, len);
		if (!n)
			break;
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(done + (size_t)i))
				fail("%s: byte %zu is wrong", what, done + (size_t)i);
		done += (size_t)n;
	}
	if (done != len)
		fail("%s: %zu of %zu bytes", what, done, len);
}

static void expect(const char *what, int a, int b)
{
	if (a != b)
		fail("%s: state %d and not %d", what, a, b);
}

int main(void)
{
	int a[6], b[6], v6[2], last[2], half[2], rd[2], both[2];
	size_t n5, nl, nc;

	/* 0: FIN_WAIT2 and CLOSE_WAIT. */
	make(AF_INET, &a[0], &b[0]);
	CHECK(!shutdown(a[0], SHUT_WR));
	wait_state(a[0], FIN_WAIT2);
	expect("made", state(b[0]), CLOSE_WAIT);
	/* 1: the same with unread bytes in front of the end, and some on the way back. */
	make(AF_INET, &a[1], &b[1]);
	CHECK_EQ(stuff(a[1], 5000), 5000);
	CHECK_EQ(stuff(b[1], 3000), 3000);
	CHECK(!shutdown(a[1], SHUT_WR));
	wait_state(a[1], FIN_WAIT2);
	/* 2: IPv6. */
	make(AF_INET6, &v6[0], &v6[1]);
	CHECK_EQ(stuff(v6[0], 100), 100);
	CHECK(!shutdown(v6[0], SHUT_WR));
	wait_state(v6[1], CLOSE_WAIT);
	wait_state(v6[0], FIN_WAIT2);
	/* 3: FIN_WAIT1: the end waits behind bytes for which the peer has no room. */
	make(AF_INET, &a[5], &b[5]);
	n5 = stuff(a[5], 64u << 20);
	CHECK(!shutdown(a[5], SHUT_WR));
	expect("made", state(a[5]), FIN_WAIT1);
	/* 4: LAST_ACK, likewise: the peer has shut down, but reads nothing. */
	make(AF_INET, &last[0], &last[1]);
	CHECK(!shutdown(last[1], SHUT_WR));
	wait_state(last[0], CLOSE_WAIT);
	wait_state(last[1], FIN_WAIT2);
	nl = stuff(last[0], 64u << 20);
	CHECK(!shutdown(last[0], SHUT_WR));
	expect("made", state(last[0]), LAST_ACK);
	/* 5: only reading was shut down, here. */
	make(AF_INET, &rd[0], &rd[1]);
	CHECK(!shutdown(rd[0], SHUT_RD));
	/* 6: over on both sides, read to the end. */
	make(AF_INET, &half[0], &half[1]);
	CHECK(!shutdown(half[0], SHUT_WR));
	wait_state(half[1], CLOSE_WAIT);
	CHECK(!shutdown(half[1], SHUT_WR));
	wait_state(half[1], CLOSED);
	wait_state(half[0], CLOSED);
	/* 7: CLOSING: the peer's end comes while our own waits behind bytes. */
	make(AF_INET6, &both[0], &both[1]);
	nc = stuff(both[0], 64u << 20);
	CHECK(!shutdown(both[0], SHUT_WR) && !shutdown(both[1], SHUT_WR));
	wait_state(both[0], CLOSING);
	wait_state(both[1], FIN_WAIT2);

	test_ready();

	signal(SIGPIPE, SIG_IGN);
	expect("FIN_WAIT2", state(a[0]), FIN_WAIT2);
	expect("CLOSE_WAIT", state(b[0]), CLOSE_WAIT);
	drain_to_end(b[0], 0, "CLOSE_WAIT");
	CHECK_EQ(write(b[0], "late", 4), 4);
	char got[8];
	CHECK_EQ(read(a[0], got, sizeof(got)), 4);
	CHECK_EQ(write(a[0], "x", 1), -1);
	CHECK_EQ(errno, EPIPE);
	CHECK(!close(b[0]));
	drain_to_end(a[0], 0, "FIN_WAIT2");

	expect("FIN_WAIT2", state(a[1]), FIN_WAIT2);
	drain_to_end(b[1], 5000, "CLOSE_WAIT with bytes");
	CHECK(!close(b[1]));
	drain_to_end(a[1], 3000, "FIN_WAIT2 with bytes");

	expect("FIN_WAIT2, IPv6", state(v6[0]), FIN_WAIT2);
	expect("CLOSE_WAIT, IPv6", state(v6[1]), CLOSE_WAIT);
	drain_to_end(v6[1], 100, "CLOSE_WAIT, IPv6");

	expect("FIN_WAIT1", state(a[5]), FIN_WAIT1);
	CHECK_EQ(write(a[5], "x", 1), -1);
	expect("its peer", state(b[5]), ESTABLISHED);
	drain_to_end(b[5], n5, "behind FIN_WAIT1");
	wait_state(a[5], FIN_WAIT2);

	expect("LAST_ACK", state(last[0]), LAST_ACK);
	expect("its peer", state(last[1]), FIN_WAIT2);
	drain_to_end(last[1], nl, "behind LAST_ACK");
	wait_state(last[0], CLOSED);

	expect("CLOSING", state(both[0]), CLOSING);
	expect("its peer", state(both[1]), FIN_WAIT2);
	drain_to_end(both[1], nc, "behind CLOSING");
	drain_to_end(both[0], 0, "CLOSING");

	expect("SHUT_RD", state(rd[0]), ESTABLISHED);
	CHECK_EQ(read(rd[0], got, sizeof(got)), 0);
	CHECK_EQ(write(rd[0], "y", 1), 1);
	CHECK_EQ(read(rd[1], got, 1), 1);

	for (int i = 0; i < 2; i++) {
		expect("over", state(half[i]), CLOSED);
		CHECK_EQ(read(half[i], got, 1), 0);
		CHECK_EQ(write(half[i], "z", 1), -1);
		CHECK_EQ(errno, EPIPE);
	}
	pass();
}
