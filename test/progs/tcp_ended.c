// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that have ended, by a FIN of each side or a reset that the program has heard of, with bytes unread and without: each
 * socket keeps its name, delivers what came and then the end, and cannot be connected again. None of them takes an option to be dumped.
 */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tcp_state.h"
#include "test.h"

enum who { FIRST, LAST, RESET }; /* who said its end first, and waits (TIME_WAIT); who said it last; who got a reset */

static struct {
	const char *what;
	int family;
	bool mapped;
	enum who who;
	size_t unread;
	bool bound; /* to a port of its own choice */
	int rcvbuf;
	int fd;
	/* What it was like. */
	struct sockaddr_storage name;
	short events;
	int options[10], inq;
} all[] = {
	{ "last", AF_INET, false, LAST, 5000, false, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "last, nothing unread", AF_INET, false, LAST, 0, false, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "first", AF_INET, false, FIRST, 100, false, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "first, nothing unread", AF_INET, false, FIRST, 0, true, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "IPv6", AF_INET6, false, LAST, 70000, false, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "IPv6, bound, nothing unread", AF_INET6, false, FIRST, 0, true, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "IPv4 in IPv6", AF_INET6, true, LAST, 1, false, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "IPv4 in IPv6, first", AF_INET6, true, FIRST, 65537, true, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "bound", AF_INET, false, LAST, 12, true, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "many bytes", AF_INET, false, LAST, 3u << 20, false, 8 << 20, -1, { 0 }, 0, { 0 }, 0 },
	{ "a small buffer", AF_INET, false, FIRST, 1500, false, 2048, -1, { 0 }, 0, { 0 }, 0 },
	{ "reset", AF_INET, false, RESET, 300, false, 0, -1, { 0 }, 0, { 0 }, 0 },
	{ "reset, nothing unread", AF_INET6, false, RESET, 0, false, 0, -1, { 0 }, 0, { 0 }, 0 },
};
#define N (sizeof(all) / sizeof(*all))

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 11);
}

static socklen_t loopback(int family, bool mapped, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };

	if (mapped)
		CHECK_EQ(inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr), 1);
	memset(out, 0, sizeof(*out));
	memcpy(out, family == AF_INET ? (void *)&in : (void *)&in6, family == AF_INET ? sizeof(in) : sizeof(in6));
	return family == AF_INET ? sizeof(in) : sizeof(in6);
}

static int inq(int fd)
{
	int n = -1;

	CHECK(!ioctl(fd, FIONREAD, &n));
	return n;
}

static void put(int fd, size_t n)
{
	static unsigned char buf[65536];

	for (size_t done = 0; done < n;) {
		size_t k = n - done < sizeof(buf) ? n - done : sizeof(buf);
		for (size_t i = 0; i < k; i++)
			buf[i] = byte_at(done + i);
		ssize_t w = write(fd, buf, k);
		CHECK(w > 0);
		done += (size_t)w;
	}
}

static void make(size_t i)
{
	struct sockaddr_storage ss;
	socklen_t len = loopback(all[i].family, all[i].mapped, &ss), rlen;
	int l = socket(all[i].family, SOCK_STREAM, 0), fd = socket(all[i].family, SOCK_STREAM, 0), peer;

	if (all[i].rcvbuf)
		CHECK(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &all[i].rcvbuf, sizeof(int)));
	if (all[i].bound)
		CHECK(!bind(fd, (struct sockaddr *)&ss, len));
	CHECK(!bind(l, (struct sockaddr *)&ss, len) && !listen(l, 1));
	rlen = sizeof(ss);
	CHECK(!getsockname(l, (struct sockaddr *)&ss, &rlen));
	CHECK(!connect(fd, (struct sockaddr *)&ss, len));
	peer = accept(l, NULL, NULL);
	CHECK(peer >= 0);
	close(l);
	put(peer, all[i].unread);
	for (int k = 0; k < 6000 && inq(fd) != (int)all[i].unread; k++)
		usleep(5000);
	CHECK_EQ(inq(fd), (int)all[i].unread);
	if (all[i].who == RESET) {
		struct linger now = { 1, 0 };
		int error;
		socklen_t elen = sizeof(error);

		CHECK(!setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(peer));
		wait_state(fd, CLOSED);
		CHECK(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &elen) && error == ECONNRESET);
	} else {
		CHECK(!shutdown(all[i].who == FIRST ? fd : peer, SHUT_WR));
		wait_state(all[i].who == FIRST ? peer : fd, CLOSE_WAIT);
		CHECK(!shutdown(all[i].who == FIRST ? peer : fd, SHUT_WR));
		wait_state(fd, CLOSED);
		close(peer);
	}
	all[i].fd = fd;
}

static void look(size_t i, struct sockaddr_storage *name, short *events, int *waits, int *options)
{
	static const struct { int level, name; } asked[] = {
		{ SOL_SOCKET, SO_RCVBUF }, { SOL_SOCKET, SO_SNDBUF }, { SOL_SOCKET, SO_REUSEADDR }, { SOL_SOCKET, SO_KEEPALIVE },
		{ SOL_SOCKET, SO_OOBINLINE }, { SOL_SOCKET, SO_ERROR }, { IPPROTO_TCP, TCP_NODELAY }, { IPPROTO_TCP, TCP_KEEPIDLE },
		{ SOL_SOCKET, SO_BUF_LOCK }, { SOL_SOCKET, SO_BINDTOIFINDEX },
	};
	struct pollfd p = { all[i].fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 };
	struct sockaddr_storage peer;
	socklen_t len = sizeof(*name);

	memset(name, 0, sizeof(*name));
	CHECK(!getsockname(all[i].fd, (struct sockaddr *)name, &len));
	len = sizeof(peer);
	CHECK(getpeername(all[i].fd, (struct sockaddr *)&peer, &len) == -1 && errno == ENOTCONN);
	CHECK_EQ(poll(&p, 1, 0), 1);
	*events = p.revents;
	*waits = inq(all[i].fd);
	for (size_t k = 0; k < sizeof(asked) / sizeof(*asked); k++) {
		len = sizeof(int);
		CHECK(!getsockopt(all[i].fd, asked[k].level, asked[k].name, &options[k], &len));
	}
	CHECK_EQ(state(all[i].fd), CLOSED);
}

static void check(size_t i)
{
	static unsigned char buf[65536];
	struct sockaddr_storage name;
	int options[10] = { 0 }, waits;
	short events;
	size_t done = 0;
	ssize_t n;

	look(i, &name, &events, &waits, options);
	if (memcmp(&name, &all[i].name, sizeof(name)))
		fail("%s: another name", all[i].what);
	if (events != all[i].events || waits != all[i].inq)
		fail("%s: events %x, were %x; %d bytes, were %d", all[i].what, events, all[i].events, waits, all[i].inq);
	for (size_t k = 0; k < 10; k++)
		if (options[k] != all[i].options[k])
			fail("%s: option %zu is %d, was %d", all[i].what, k, options[k], all[i].options[k]);
	while ((n = read(all[i].fd, buf, sizeof(buf))) > 0)
		for (ssize_t k = 0; k < n; k++, done++)
			if (buf[k] != byte_at(done))
				fail("%s: byte %zu is wrong", all[i].what, done);
	if (n < 0 || done != all[i].unread)
		fail("%s: %zu of %zu bytes, then %zd (%s)", all[i].what, done, all[i].unread, n, strerror(errno));
	CHECK(write(all[i].fd, "x", 1) == -1 && errno == EPIPE);
	CHECK(shutdown(all[i].fd, SHUT_WR) == -1 && errno == ENOTCONN);
	if (connect(all[i].fd, (struct sockaddr *)&name, all[i].family == AF_INET ? sizeof(struct sockaddr_in) :
									      sizeof(struct sockaddr_in6)) != -1 || errno != EISCONN)
		fail("%s: it can be connected again (%s)", all[i].what, strerror(errno));
	CHECK(!close(all[i].fd));
}

int main(void)
{
	const int one = 1, idle = 77;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < N; i++) {
		make(i);
		if (i % 2 == 0)
			CHECK(!setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) &&
			      !setsockopt(all[i].fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) &&
			      !setsockopt(all[i].fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)));
		if (i % 3 == 0)
			CHECK(!setsockopt(all[i].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
		if (i % 4 == 0)
			CHECK(!setsockopt(all[i].fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
		look(i, &all[i].name, &all[i].events, &all[i].inq, all[i].options);
	}
	test_ready();
	for (size_t i = 0; i < N; i++)
		check(i);
	pass();
}
