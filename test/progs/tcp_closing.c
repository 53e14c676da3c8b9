// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections in every state of closing that a descriptor can show, with unread and unsent bytes where there may be any: they come back
 * in their state, deliver what was queued, and end as they would have.
 */
/* test: net dump=--tcp-established restore=--tcp-established timeout=120 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tcp_state.h"
#include "test.h"

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

/* No more can be written: EPIPE, and no byte. */
static void is_shut(int fd)
{
	CHECK_EQ(write(fd, "x", 1), -1);
	CHECK_EQ(errno, EPIPE);
}

/* FIN_WAIT2 and CLOSE_WAIT, with nothing unread. */
static int half[2];

static void make_half_closed(void)
{
	make(AF_INET, &half[0], &half[1]);
	CHECK(!shutdown(half[0], SHUT_WR));
	wait_state(half[0], FIN_WAIT2);
	expect("made", state(half[1]), CLOSE_WAIT);
}

static void check_half_closed(void)
{
	char got[8];

	expect("FIN_WAIT2", state(half[0]), FIN_WAIT2);
	expect("CLOSE_WAIT", state(half[1]), CLOSE_WAIT);
	drain_to_end(half[1], 0, "CLOSE_WAIT");
	CHECK_EQ(write(half[1], "late", 4), 4);
	CHECK_EQ(read(half[0], got, sizeof(got)), 4);
	is_shut(half[0]);
	CHECK(!close(half[1]));
	drain_to_end(half[0], 0, "FIN_WAIT2");
}

/* The same with unread bytes in front of the end, and some on the way back. */
static int bytes[2];

static void make_half_closed_bytes(void)
{
	make(AF_INET, &bytes[0], &bytes[1]);
	CHECK_EQ(stuff(bytes[0], 5000), 5000);
	CHECK_EQ(stuff(bytes[1], 3000), 3000);
	CHECK(!shutdown(bytes[0], SHUT_WR));
	wait_state(bytes[0], FIN_WAIT2);
}

static void check_half_closed_bytes(void)
{
	expect("FIN_WAIT2", state(bytes[0]), FIN_WAIT2);
	drain_to_end(bytes[1], 5000, "CLOSE_WAIT with bytes");
	CHECK(!close(bytes[1]));
	drain_to_end(bytes[0], 3000, "FIN_WAIT2 with bytes");
}

/* The same over IPv6. */
static int v6[2];

static void make_half_closed_v6(void)
{
	make(AF_INET6, &v6[0], &v6[1]);
	CHECK_EQ(stuff(v6[0], 100), 100);
	CHECK(!shutdown(v6[0], SHUT_WR));
	wait_state(v6[1], CLOSE_WAIT);
	wait_state(v6[0], FIN_WAIT2);
}

static void check_half_closed_v6(void)
{
	expect("FIN_WAIT2, IPv6", state(v6[0]), FIN_WAIT2);
	expect("CLOSE_WAIT, IPv6", state(v6[1]), CLOSE_WAIT);
	drain_to_end(v6[1], 100, "CLOSE_WAIT, IPv6");
}

/* FIN_WAIT1: the end waits behind bytes for which the peer has no room. */
static struct { int s[2]; size_t n; } first;

static void make_fin_wait1(void)
{
	make(AF_INET, &first.s[0], &first.s[1]);
	first.n = stuff(first.s[0], 64u << 20);
	CHECK(!shutdown(first.s[0], SHUT_WR));
	expect("made", state(first.s[0]), FIN_WAIT1);
}

static void check_fin_wait1(void)
{
	expect("FIN_WAIT1", state(first.s[0]), FIN_WAIT1);
	is_shut(first.s[0]);
	expect("its peer", state(first.s[1]), ESTABLISHED);
	drain_to_end(first.s[1], first.n, "behind FIN_WAIT1");
	wait_state(first.s[0], FIN_WAIT2);
}

/* LAST_ACK, likewise: the peer has shut down, but reads nothing. */
static struct { int s[2]; size_t n; } last;

static void make_last_ack(void)
{
	make(AF_INET, &last.s[0], &last.s[1]);
	CHECK(!shutdown(last.s[1], SHUT_WR));
	wait_state(last.s[0], CLOSE_WAIT);
	wait_state(last.s[1], FIN_WAIT2);
	last.n = stuff(last.s[0], 64u << 20);
	CHECK(!shutdown(last.s[0], SHUT_WR));
	expect("made", state(last.s[0]), LAST_ACK);
}

static void check_last_ack(void)
{
	expect("LAST_ACK", state(last.s[0]), LAST_ACK);
	expect("its peer", state(last.s[1]), FIN_WAIT2);
	drain_to_end(last.s[1], last.n, "behind LAST_ACK");
	wait_state(last.s[0], CLOSED);
}

/* CLOSING: the peer's end comes while our own waits behind bytes. */
static struct { int s[2]; size_t n; } both;

static void make_closing(void)
{
	make(AF_INET6, &both.s[0], &both.s[1]);
	both.n = stuff(both.s[0], 64u << 20);
	CHECK(!shutdown(both.s[0], SHUT_WR) && !shutdown(both.s[1], SHUT_WR));
	wait_state(both.s[0], CLOSING);
	wait_state(both.s[1], FIN_WAIT2);
}

static void check_closing(void)
{
	expect("CLOSING", state(both.s[0]), CLOSING);
	expect("its peer", state(both.s[1]), FIN_WAIT2);
	drain_to_end(both.s[1], both.n, "behind CLOSING");
	drain_to_end(both.s[0], 0, "CLOSING");
}

/* Only reading was shut down, here. */
static int rd[2];

static void make_shut_for_reading(void)
{
	make(AF_INET, &rd[0], &rd[1]);
	CHECK(!shutdown(rd[0], SHUT_RD));
}

static void check_shut_for_reading(void)
{
	char got[8];

	expect("SHUT_RD", state(rd[0]), ESTABLISHED);
	CHECK_EQ(read(rd[0], got, sizeof(got)), 0);
	CHECK_EQ(write(rd[0], "y", 1), 1);
	CHECK_EQ(read(rd[1], got, 1), 1);
}

/* Over on both sides, read to the end. */
static int over[2];

static void make_over(void)
{
	make(AF_INET, &over[0], &over[1]);
	CHECK(!shutdown(over[0], SHUT_WR));
	wait_state(over[1], CLOSE_WAIT);
	CHECK(!shutdown(over[1], SHUT_WR));
	wait_state(over[1], CLOSED);
	wait_state(over[0], CLOSED);
}

static void check_over(void)
{
	char got;

	for (int i = 0; i < 2; i++) {
		expect("over", state(over[i]), CLOSED);
		CHECK_EQ(read(over[i], &got, 1), 0);
		is_shut(over[i]);
	}
}

int main(void)
{
	make_half_closed();
	make_half_closed_bytes();
	make_half_closed_v6();
	make_fin_wait1();
	make_last_ack();
	make_closing();
	make_shut_for_reading();
	make_over();

	test_ready();

	signal(SIGPIPE, SIG_IGN);
	check_half_closed();
	check_half_closed_bytes();
	check_half_closed_v6();
	check_fin_wait1();
	check_last_ack();
	check_closing();
	check_shut_for_reading();
	check_over();
	pass();
}
