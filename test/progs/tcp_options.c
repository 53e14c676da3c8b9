// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every option of SOL_SOCKET, IP, IPv6 and TCP that getsockopt(2) shows is the same afterwards: of a fresh socket, a listening one, and both ends of
 * a connection, with many of them set to what no socket has by itself.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>

#include "sock_look.h"

#define SOCKETS 6
static struct value before[SOCKETS][LEVELS][NAMES];
static int fds[SOCKETS];
static const char *const names[SOCKETS] = { "fresh", "fresh IPv6", "listening", "client", "server", "client IPv6" };

/* Any value that goes in. */
static void change(int i)
{
	static const struct { int level, name, value; } all[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 1 }, { SOL_SOCKET, SO_KEEPALIVE, 1 }, { SOL_SOCKET, SO_OOBINLINE, 1 },
		{ SOL_SOCKET, SO_PRIORITY, 5 }, { SOL_SOCKET, SO_RCVLOWAT, 3 }, { SOL_SOCKET, SO_MARK, 77 },
		{ SOL_SOCKET, SO_SNDBUF, 50000 }, { SOL_SOCKET, SO_RCVBUF, 60000 }, { SOL_SOCKET, SO_ZEROCOPY, 1 },
		{ IPPROTO_IP, IP_TOS, 0x10 }, { IPPROTO_IP, IP_TTL, 33 }, { IPPROTO_IP, IP_FREEBIND, 1 },
		{ IPPROTO_IP, IP_RECVERR, 1 }, { IPPROTO_IP, IP_RECVTTL, 1 }, { IPPROTO_IP, IP_RECVTOS, 1 },
		{ IPPROTO_IP, IP_MTU_DISCOVER, 0 }, { IPPROTO_IP, IP_MINTTL, 1 }, { IPPROTO_IP, IP_PKTINFO, 1 },
		{ IPPROTO_IP, IP_TRANSPARENT, 1 }, { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1 }, { IPPROTO_IP, 51, 0x50004000 },
		{ IPPROTO_IP, IP_RECVORIGDSTADDR, 1 }, { IPPROTO_IP, IP_MULTICAST_ALL, 0 }, { IPPROTO_IP, IP_MULTICAST_LOOP, 0 },
		{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44 }, { IPPROTO_IPV6, IPV6_TCLASS, 0x20 }, { IPPROTO_IPV6, IPV6_RECVPKTINFO, 1 },
		{ IPPROTO_IPV6, IPV6_RECVERR, 1 }, { IPPROTO_IPV6, IPV6_RECVTCLASS, 1 }, { IPPROTO_IPV6, IPV6_MTU_DISCOVER, 0 },
		{ IPPROTO_IPV6, IPV6_DONTFRAG, 1 }, { IPPROTO_IPV6, 33 /* FLOWINFO_SEND */, 1 }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 },
		{ IPPROTO_IPV6, 70 /* AUTOFLOWLABEL */, 0 }, { IPPROTO_IPV6, 72 /* ADDR_PREFERENCES */, 2 },
		{ IPPROTO_IPV6, 73 /* MINHOPCOUNT */, 1 }, { IPPROTO_IPV6, 75 /* TRANSPARENT */, 1 }, { IPPROTO_IPV6, 78 /* FREEBIND */, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 }, { IPPROTO_TCP, TCP_CORK, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 71 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 72 }, { IPPROTO_TCP, TCP_KEEPCNT, 3 }, { IPPROTO_TCP, TCP_SYNCNT, 4 },
		{ IPPROTO_TCP, TCP_LINGER2, 17 }, { IPPROTO_TCP, TCP_DEFER_ACCEPT, 3 }, { IPPROTO_TCP, TCP_WINDOW_CLAMP, 50000 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 98765 }, { IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1 },
		{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4711 }, { IPPROTO_TCP, TCP_SAVE_SYN, 1 }, { IPPROTO_TCP, TCP_INQ, 1 },
		{ IPPROTO_TCP, TCP_MAXSEG, 1000 }, { IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1 }, { IPPROTO_TCP, 44 /* RTO_MAX_MS */, 20000 },
		{ IPPROTO_TCP, 45 /* RTO_MIN_US */, 300000 }, { IPPROTO_TCP, 46 /* DELACK_MAX_US */, 50000 },
	};

	for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
		setsockopt(fds[i], all[k].level, all[k].name, &all[k].value, sizeof(all[k].value));
	setsockopt(fds[i], IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

static int connect_to(int family, const void *address, socklen_t len, int l, int *server)
{
	int c = socket(family, SOCK_STREAM, 0);

	CHECK(!connect(c, address, len));
	*server = accept(l, NULL, NULL);
	CHECK(*server >= 0);
	return c;
}

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	socklen_t len = sizeof(in), len6 = sizeof(in6);
	int l = socket(AF_INET, SOCK_STREAM, 0), l6 = socket(AF_INET6, SOCK_STREAM, 0), other;

	CHECK(!bind(l, (struct sockaddr *)&in, len) && !listen(l, 3) && !getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!bind(l6, (struct sockaddr *)&in6, len6) && !listen(l6, 3) && !getsockname(l6, (struct sockaddr *)&in6, &len6));
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	fds[1] = socket(AF_INET6, SOCK_STREAM, 0);
	fds[2] = l6;
	fds[3] = connect_to(AF_INET, &in, len, l, &fds[4]);
	fds[5] = connect_to(AF_INET6, &in6, len6, l6, &other);
	for (int i = 0; i < SOCKETS; i++)
		if (i != 4)
			change(i);
	for (int i = 0; i < SOCKETS; i++)
		look(fds[i], i >= 3, before[i]);
	/* The changes did something. */
	CHECK_EQ(*(int *)(void *)before[3][2][TCP_USER_TIMEOUT].bytes, 98765);
	CHECK(!strcmp((char *)before[3][2][TCP_CONGESTION].bytes, "reno"));

	test_ready();

	static struct value now[LEVELS][NAMES];
	char wrong[600] = "";
	for (int i = 0; i < SOCKETS; i++) {
		look(fds[i], i >= 3, now);
		compare(names[i], before[i], now, wrong, sizeof(wrong));
	}
	if (*wrong)
		fail("%s", wrong);
	pass();
}
