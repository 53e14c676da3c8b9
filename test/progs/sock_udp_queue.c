// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagrams wait in UDP sockets: several, empty ones, large ones, from senders on this host and from strangers, for connected sockets, for
 * one of a group, with what the socket asks to be told. All come back in order, from the same senders.
 */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "test.h"

static int server(int family, int port, bool share)
{
	int s = socket(family, SOCK_DGRAM, 0), one = 1;
	struct sockaddr_in6 a = { .sin6_family = (sa_family_t)family, .sin6_port = htons((uint16_t)port) };

	CHECK(s >= 0);
	if (share)
		CHECK(!setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	CHECK(!bind(s, (struct sockaddr *)&a, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(a)));
	return s;
}

static void send4(int from_port, int port, const char *text, size_t n)
{
	struct sockaddr_in own = { AF_INET, htons((uint16_t)from_port), { htonl(INADDR_LOOPBACK) }, { 0 } }, to = own;
	int s = socket(AF_INET, SOCK_DGRAM, 0), tos = 0x28;

	to.sin_port = htons((uint16_t)port);
	CHECK(!bind(s, (struct sockaddr *)&own, sizeof(own)) && !setsockopt(s, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
	CHECK_EQ(sendto(s, text, n, 0, (struct sockaddr *)&to, sizeof(to)), n);
	close(s);
}

static void send6(int from_port, int port, const char *text)
{
	struct sockaddr_in6 own = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)from_port),
				    .sin6_addr = in6addr_loopback }, to = own;
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	to.sin6_port = htons((uint16_t)port);
	CHECK(!bind(s, (struct sockaddr *)&own, sizeof(own)));
	CHECK_EQ(sendto(s, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)), strlen(text));
	close(s);
}

/* From somewhere else, as a router would bring it. */
static void stranger(const char *from, int from_port, int port, const char *text)
{
	struct { struct iphdr ip; struct udphdr udp; char text[64]; } p = { 0 };
	struct sockaddr_in to = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
	size_t n = strlen(text);
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	p.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 9, .protocol = IPPROTO_UDP, .daddr = to.sin_addr.s_addr };
	CHECK_EQ(inet_pton(AF_INET, from, &p.ip.saddr), 1);
	p.udp = (struct udphdr){ .source = htons((uint16_t)from_port), .dest = htons((uint16_t)port), .len = htons((uint16_t)(n + 8)) };
	memcpy(p.text, text, n);
	CHECK_EQ(sendto(s, &p, 28 + n, 0, (struct sockaddr *)&to, sizeof(to)), 28 + n);
	close(s);
}

static char buf[70000];

static void expect4(int s, const char *from, int port, const char *text, size_t n)
{
	struct sockaddr_in in = { 0 };
	struct in_addr want;
	socklen_t len = sizeof(in);

	CHECK_EQ(recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&in, &len), n);
	CHECK(!memcmp(buf, text, n));
	CHECK_EQ(inet_pton(AF_INET, from, &want), 1);
	CHECK_EQ(in.sin_addr.s_addr, want.s_addr);
	CHECK_EQ(ntohs(in.sin_port), port);
}

static void expect6(int s, const char *from, int port, const char *text)
{
	struct sockaddr_in6 in = { 0 };
	struct in6_addr want;
	socklen_t len = sizeof(in);

	CHECK_EQ(recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&in, &len), strlen(text));
	CHECK(!memcmp(buf, text, strlen(text)));
	CHECK_EQ(inet_pton(AF_INET6, from, &want), 1);
	CHECK(!memcmp(&in.sin6_addr, &want, 16));
	CHECK_EQ(ntohs(in.sin6_port), port);
}

static void expect_told(int s, const char *text, int want_tos, int want_ttl)
{
	char control[256];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int tos = -1, ttl = -1;
	struct in_pktinfo info = { 0 };

	CHECK_EQ(recvmsg(s, &m, MSG_DONTWAIT), strlen(text));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == IP_PKTINFO)
			memcpy(&info, CMSG_DATA(c), sizeof(info));
		if (c->cmsg_type == IP_TOS)
			tos = *(unsigned char *)CMSG_DATA(c);
		if (c->cmsg_type == IP_TTL)
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
	}
	CHECK_EQ(info.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(info.ipi_spec_dst.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(info.ipi_ifindex, 1);
	CHECK_EQ(tos, want_tos);
	CHECK_EQ(ttl, want_ttl);
}

static void empty(int s)
{
	CHECK(recv(s, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

/* Several in one queue: empty ones, a large one, one of a stranger. */
static int several;
static char big[65507];

static void make_several(void)
{
	int room = 1 << 20;

	several = server(AF_INET, 6000, false);
	for (int i = 0; i < (int)sizeof(big); i++)
		big[i] = (char)(i * 7);
	CHECK(!setsockopt(several, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	send4(7000, 6000, "first", 5);
	send4(7001, 6000, "", 0);
	stranger("203.0.113.9", 53, 6000, "from afar");
	send4(7002, 6000, big, sizeof(big));
	send4(7003, 6000, "", 0);
	send4(7004, 6000, "last", 4);
}

static void check_several(void)
{
	int off = -2;
	socklen_t len = sizeof(off);

	CHECK(!getsockopt(several, SOL_SOCKET, SO_PEEK_OFF, &off, &len));
	CHECK_EQ(off, -1);
	expect4(several, "127.0.0.1", 7000, "first", 5);
	expect4(several, "127.0.0.1", 7001, "", 0);
	expect4(several, "203.0.113.9", 53, "from afar", 9);
	expect4(several, "127.0.0.1", 7002, big, sizeof(big));
	expect4(several, "127.0.0.1", 7003, "", 0);
	expect4(several, "127.0.0.1", 7004, "last", 4);
	empty(several);
	CHECK_EQ(fcntl(several, F_GETFL), O_RDWR);
	send4(7000, 6000, "anew", 4);
	expect4(several, "127.0.0.1", 7000, "anew", 4);
}

/* With what the socket asks to be told. */
static int told;

static void make_told(void)
{
	int one = 1;

	told = server(AF_INET, 6001, false);
	CHECK(!setsockopt(told, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
	CHECK(!setsockopt(told, IPPROTO_IP, IP_RECVTOS, &one, sizeof(one)));
	CHECK(!setsockopt(told, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one)));
	send4(7005, 6001, "told", 4);
	stranger("198.51.100.1", 5353, 6001, "told too");
}

static void check_told(void)
{
	expect_told(told, "told", 0x28, 64);
	expect_told(told, "told too", 0, 9);
	empty(told);
}

/* IPv6, and IPv4 that comes to it. */
static int six;

static void make_six(void)
{
	six = server(AF_INET6, 6002, false);
	send6(7006, 6002, "six");
	send4(7006, 6002, "mapped", 6);
}

static void check_six(void)
{
	expect6(six, "::1", 7006, "six");
	expect6(six, "::ffff:127.0.0.1", 7006, "mapped");
	empty(six);
}

/* An empty one before all others. */
static int void_first;

static void make_void_first(void)
{
	void_first = server(AF_INET, 6006, false);
	send4(7300, 6006, "", 0);
	send4(7301, 6006, "then", 4);
}

static void check_void_first(void)
{
	expect4(void_first, "127.0.0.1", 7300, "", 0);
	expect4(void_first, "127.0.0.1", 7301, "then", 4);
}

/* A connected socket: one from its peer, and one from somebody before that was its peer. */
static int con;

static void make_connected(void)
{
	struct sockaddr_in peer = { AF_INET, htons(7007), { htonl(INADDR_LOOPBACK) }, { 0 } };

	con = server(AF_INET, 6003, false);
	send4(7008, 6003, "before", 6);
	CHECK(!connect(con, (struct sockaddr *)&peer, sizeof(peer)));
	send4(7007, 6003, "peer", 4);
	send4(7008, 6003, "nobody", 6);
}

static void check_connected(void)
{
	expect4(con, "127.0.0.1", 7008, "before", 6);
	expect4(con, "127.0.0.1", 7007, "peer", 4);
	empty(con);
}

/* A group that shares a port: whose message went to whom is known by peeking. */
static struct { int s, had, from[12]; } group[3];

static void make_group(void)
{
	int zero = 0, all = 0;

	for (int i = 0; i < 3; i++)
		group[i].s = server(AF_INET, 6004, true);
	for (int i = 0; i < 12; i++)
		send4(7100 + i, 6004, "group", 5);
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in in;
		socklen_t len = sizeof(in);
		int s = group[i].s;

		CHECK(!setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)));
		for (; recvfrom(s, buf, 5, MSG_PEEK | MSG_DONTWAIT, (struct sockaddr *)&in, &len) == 5; len = sizeof(in))
			group[i].from[group[i].had++] = ntohs(in.sin_port);
		all += group[i].had;
	}
	CHECK_EQ(all, 12);
}

static void check_group(void)
{
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < group[i].had; k++)
			expect4(group[i].s, "127.0.0.1", group[i].from[k], "group", 5);
		empty(group[i].s);
	}
}

/* As full as it can be, and peeked into. */
static struct { int s, filled, size; } full;

static void make_full(void)
{
	int size = 5000, off = 0;
	socklen_t len = sizeof(full.size);

	full.s = server(AF_INET, 6005, false);
	CHECK(!setsockopt(full.s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	for (int i = 0; i < 100; i++)
		send4(7200 + i, 6005, "fill", 4);
	CHECK(!setsockopt(full.s, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	while (recv(full.s, buf, 4, MSG_PEEK | MSG_DONTWAIT) == 4)
		full.filled++;
	off = 4;
	CHECK(!setsockopt(full.s, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)));
	CHECK(!getsockopt(full.s, SOL_SOCKET, SO_RCVBUF, &full.size, &len));
}

static void check_full(void)
{
	int v;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(full.s, SOL_SOCKET, SO_PEEK_OFF, &v, &len));
	CHECK_EQ(v, 4);
	CHECK(!getsockopt(full.s, SOL_SOCKET, SO_RCVBUF, &v, &len));
	CHECK_EQ(v, full.size);
	for (int i = 0; i < full.filled; i++)
		expect4(full.s, "127.0.0.1", 7200 + i, "fill", 4);
	empty(full.s);
}

int main(void)
{
	make_several();
	make_told();
	make_six();
	make_void_first();
	make_connected();
	make_group();
	make_full();

	test_ready();

	check_several();
	check_told();
	check_six();
	check_void_first();
	check_connected();
	check_group();
	check_full();
	pass();
}
