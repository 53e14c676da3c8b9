// SPDX-License-Identifier: GPL-2.0-or-later
/* Listening TCP sockets of both families, in a reuseport group too, bound and fresh ones: they listen on, with their options. */
/* test: net */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

static int listener(int family, const char *address, int port, int backlog, bool reuseport)
{
	int fd = socket(family, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	CHECK(fd >= 0);
	if (reuseport)
		CHECK(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	if (family == AF_INET) {
		CHECK_EQ(inet_pton(AF_INET, address, &in.sin_addr), 1);
		CHECK(!bind(fd, (struct sockaddr *)&in, sizeof(in)));
	} else {
		CHECK_EQ(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
		CHECK(!bind(fd, (struct sockaddr *)&in6, sizeof(in6)));
	}
	if (backlog >= 0)
		CHECK(!listen(fd, backlog));
	return fd;
}

static int backlog_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_state, 10);
	return (int)info.tcpi_sacked;
}

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, level, name, &v, &len));
	return v;
}

/* A client gets through to this listener, and bytes too. */
static void talk(int listener_fd, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int c = socket(AF_INET, SOCK_STREAM, 0);
	char byte = 0;

	CHECK(!connect(c, (struct sockaddr *)&in, sizeof(in)));
	CHECK_EQ(write(c, "x", 1), 1);
	int s = accept(listener_fd, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(read(s, &byte, 1), 1);
	CHECK_EQ(byte, 'x');
	close(s);
	close(c);
}

int main(void)
{
	int fast = 7, defer = 7, freebind = 1, value;
	int a = listener(AF_INET, "127.0.0.1", 4001, 17, false);
	int b = listener(AF_INET6, "::", 4002, 5, false);	    /* both families */
	int g1 = listener(AF_INET, "127.0.0.1", 4003, 9, true), g2 = listener(AF_INET, "127.0.0.1", 4003, 9, true);
	int bound = listener(AF_INET, "127.0.0.1", 4004, -1, false);
	int fresh = socket(AF_INET6, SOCK_STREAM, 0);
	int deferred = listener(AF_INET, "127.0.0.1", 4005, -1, false);
	int elsewhere = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(4006) };
	socklen_t len = sizeof(in);

	CHECK(!setsockopt(deferred, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer)));
	CHECK(!setsockopt(deferred, IPPROTO_TCP, TCP_FASTOPEN, &fast, sizeof(fast)));
	CHECK(!listen(deferred, 3));
	defer = get(deferred, IPPROTO_TCP, TCP_DEFER_ACCEPT);
	/* An address that this host does not have. */
	CHECK(!setsockopt(elsewhere, IPPROTO_IP, IP_FREEBIND, &freebind, sizeof(freebind)));
	CHECK_EQ(inet_pton(AF_INET, "192.0.2.7", &in.sin_addr), 1);
	CHECK(!bind(elsewhere, (struct sockaddr *)&in, sizeof(in)) && !listen(elsewhere, 2));
	value = 1;
	CHECK(!setsockopt(fresh, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)));
	CHECK(!setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)));

	test_ready();

	CHECK_EQ(backlog_of(a), 17);
	CHECK_EQ(backlog_of(b), 5);
	CHECK_EQ(backlog_of(g1), 9);
	CHECK_EQ(backlog_of(deferred), 3);
	CHECK_EQ(get(deferred, IPPROTO_TCP, TCP_DEFER_ACCEPT), defer);
	CHECK_EQ(get(deferred, IPPROTO_TCP, TCP_FASTOPEN), 7);
	CHECK_EQ(get(g2, SOL_SOCKET, SO_REUSEPORT), 1);
	CHECK_EQ(get(a, SOL_SOCKET, SO_REUSEADDR), 0);
	CHECK_EQ(get(fresh, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CHECK_EQ(get(fresh, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(get(elsewhere, IPPROTO_IP, IP_FREEBIND), 1);
	len = sizeof(in);
	CHECK(!getsockname(elsewhere, (struct sockaddr *)&in, &len));
	CHECK_EQ(in.sin_addr.s_addr, inet_addr("192.0.2.7"));
	len = sizeof(in);
	CHECK(!getsockname(bound, (struct sockaddr *)&in, &len));
	CHECK_EQ(ntohs(in.sin_port), 4004);
	CHECK_EQ(get(bound, SOL_SOCKET, SO_ACCEPTCONN), 0);
	talk(a, 4001);
	talk(b, 4002);
	CHECK(!listen(bound, 1));
	talk(bound, 4004);
	/* The group is one: a third member may join it, a stranger may not. */
	listener(AF_INET, "127.0.0.1", 4003, 1, true);
	int stranger = socket(AF_INET, SOCK_STREAM, 0);
	in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(4003), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CHECK_EQ(bind(stranger, (struct sockaddr *)&in, sizeof(in)), -1);
	CHECK_EQ(errno, EADDRINUSE);
	pass();
}
