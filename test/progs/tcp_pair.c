// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of TCP connections in one process, IPv4, IPv6 and one over the other: bytes unread and unsent in both directions,
 * with the sockets' options, and a conversation that goes on.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "test.h"

struct pair { int client, server; size_t to_server, to_client; };

static unsigned char byte_at(size_t i, int salt)
{
	return (unsigned char)(i * 2654435761u >> 13) ^ (unsigned char)salt;
}

static struct pair make(int listener_family, int client_family)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	int l = socket(listener_family, SOCK_STREAM, 0);
	struct pair p = { .client = socket(client_family, SOCK_STREAM, 0) };
	socklen_t len;

	if (listener_family == AF_INET6) {
		len = sizeof(in6);
		CHECK(!bind(l, (struct sockaddr *)&in6, len) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in6, &len));
		in.sin_port = in6.sin6_port;
		in6.sin6_addr = in6addr_loopback;
	} else {
		len = sizeof(in);
		CHECK(!bind(l, (struct sockaddr *)&in, len) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in, &len));
	}
	if (client_family == AF_INET)
		CHECK(!connect(p.client, (struct sockaddr *)&in, sizeof(in)));
	else
		CHECK(!connect(p.client, (struct sockaddr *)&in6, sizeof(in6)));
	p.server = accept(l, NULL, NULL);
	CHECK(p.server >= 0);
	close(l);
	return p;
}

/* Writes until nothing more goes in. */
static size_t stuff(int fd, size_t max, int salt)
{
	static unsigned char buf[65536];
	size_t done = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (done < max) {
		size_t n = max - done < sizeof(buf) ? max - done : sizeof(buf);
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(done + i, salt);
		ssize_t w = write(fd, buf, n);
		if (w < 0) {
			CHECK_EQ(errno, EAGAIN);
			break;
		}
		done += (size_t)w;
	}
	fcntl(fd, F_SETFL, 0);
	return done;
}

static void drain(int fd, size_t len, int salt)
{
	static unsigned char buf[65536];
	size_t done = 0;

	while (done < len) {
		struct pollfd p = { fd, POLLIN, 0 };
		CHECK_EQ(poll(&p, 1, 20000), 1);
		ssize_t n = read(fd, buf, len - done < sizeof(buf) ? len - done : sizeof(buf));
		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(done + (size_t)i, salt))
				fail("byte %zu of %zu is wrong", done + (size_t)i, len);
		done += (size_t)n;
	}
	int left = -1;
	CHECK(!ioctl(fd, FIONREAD, &left));
	CHECK_EQ(left, 0);
}

static void ping(int from, int to, char c)
{
	char got = 0;

	CHECK_EQ(write(from, &c, 1), 1);
	CHECK_EQ(read(to, &got, 1), 1);
	CHECK_EQ(got, c);
}

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, level, name, &v, &len));
	return v;
}

int main(void)
{
	struct pair p[5] = { make(AF_INET, AF_INET), make(AF_INET6, AF_INET6), make(AF_INET6, AF_INET), make(AF_INET, AF_INET),
			     make(AF_INET6, AF_INET6) };
	struct sockaddr_storage before[10], after;
	socklen_t len;
	int one = 1, idle = 77;

	/* Little in both directions; as much as goes in one and in both directions; nothing at all. */
	p[0].to_server = stuff(p[0].client, 1000, 1);
	p[0].to_client = stuff(p[0].server, 2000, 2);
	p[1].to_server = stuff(p[1].client, 64u << 20, 3);
	p[2].to_server = stuff(p[2].client, 64u << 20, 4);
	p[2].to_client = stuff(p[2].server, 64u << 20, 5);
	p[4].to_client = stuff(p[4].server, 70000, 6);
	CHECK(!setsockopt(p[0].client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	CHECK(!setsockopt(p[0].client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	CHECK(!setsockopt(p[0].client, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)));
	CHECK(!setsockopt(p[0].server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	for (int i = 0; i < 10; i++) {
		len = sizeof(before[i]);
		memset(&before[i], 0, len);
		CHECK(!getsockname(i & 1 ? p[i / 2].server : p[i / 2].client, (struct sockaddr *)&before[i], &len));
	}

	test_ready();

	for (int i = 0; i < 10; i++) {
		len = sizeof(after);
		memset(&after, 0, len);
		CHECK(!getpeername(i & 1 ? p[i / 2].client : p[i / 2].server, (struct sockaddr *)&after, &len));
		if (i >= 4 && i < 6)
			continue; /* one end sees the other's address in another family */
		CHECK(!memcmp(&after, &before[i], len));
	}
	CHECK_EQ(get(p[0].client, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(get(p[1].client, IPPROTO_TCP, TCP_NODELAY), 0);
	CHECK_EQ(get(p[0].client, IPPROTO_TCP, TCP_KEEPIDLE), idle);
	CHECK_EQ(get(p[0].client, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get(p[0].server, SOL_SOCKET, SO_REUSEADDR), 1);
	CHECK_EQ(get(p[0].client, SOL_SOCKET, SO_REUSEADDR), 0);
	drain(p[0].server, p[0].to_server, 1);
	drain(p[0].client, p[0].to_client, 2);
	drain(p[1].server, p[1].to_server, 3);
	drain(p[2].server, p[2].to_server, 4);
	drain(p[2].client, p[2].to_client, 5);
	drain(p[4].client, p[4].to_client, 6);
	for (int i = 0; i < 5; i++) {
		ping(p[i].client, p[i].server, 'a');
		ping(p[i].server, p[i].client, 'b');
	}
	/* The end is heard, too. */
	CHECK(!close(p[3].client));
	CHECK_EQ(read(p[3].server, &one, 1), 0);
	pass();
}
