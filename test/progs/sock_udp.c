// SPDX-License-Identifier: GPL-2.0-or-later
/* UDP sockets of both families: fresh, bound, connected, shut down, in a reuseport group; they send and receive afterwards. */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

static union address { struct sockaddr sa; struct sockaddr_in in; struct sockaddr_in6 in6; } lo4, lo6;

static int bound(int family, const char *text, int port, bool share)
{
	int s = socket(family, SOCK_DGRAM, 0), one = 1;
	union address a = { .sa.sa_family = (sa_family_t)family };

	CHECK(s >= 0);
	CHECK(inet_pton(family, text, family == AF_INET ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr) == 1);
	a.in.sin_port = htons((uint16_t)port);
	if (share)
		CHECK(!setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	CHECK(!bind(s, &a.sa, family == AF_INET ? sizeof(a.in) : sizeof(a.in6)));
	return s;
}

static union address name(int s, bool peer)
{
	union address a = { 0 };
	socklen_t len = sizeof(a);
	if (peer ? getpeername(s, &a.sa, &len) : getsockname(s, &a.sa, &len))
		a.sa.sa_family = 0;
	return a;
}

static int option(int s, int level, int o)
{
	int v = -1;
	socklen_t len = sizeof(v);
	CHECK(!getsockopt(s, level, o, &v, &len));
	return v;
}

static void same(int s, bool peer, const union address *was)
{
	union address now = name(s, peer);
	CHECK(!memcmp(&now, was, sizeof(now)));
}

static void talk(int from, int to, const union address *where)
{
	char buf[16];
	if (where)
		CHECK_EQ(sendto(from, "talk", 4, 0, &where->sa, where->sa.sa_family == AF_INET ? sizeof(where->in) : sizeof(where->in6)), 4);
	else
		CHECK_EQ(send(from, "talk", 4, 0), 4);
	CHECK_EQ(recv(to, buf, sizeof(buf), 0), 4);
}

int main(void)
{
	int fresh = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int server = bound(AF_INET, "0.0.0.0", 5300, false), server6 = bound(AF_INET6, "::", 5400, false);
	int client = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), client6 = bound(AF_INET6, "::1", 0, false);
	int group[3], one = 1, half = bound(AF_INET, "127.0.0.1", 0, false), lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	int free_bound = socket(AF_INET, SOCK_DGRAM, 0), segment = 1200, ttl = 7, tos = 0x10, mapped;
	union address away = { .in = { AF_INET, htons(77), { htonl(0x0a010203) }, { 0 } } }, a;
	char c;

	lo4.in = (struct sockaddr_in){ AF_INET, htons(5300), { htonl(INADDR_LOOPBACK) }, { 0 } };
	lo6.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(5400), .sin6_addr = in6addr_loopback };
	CHECK(!connect(client, &lo4.sa, sizeof(lo4.in)) && !connect(client6, &lo6.sa, sizeof(lo6.in6)));
	mapped = bound(AF_INET6, "::ffff:127.0.0.1", 5500, false);
	for (int i = 0; i < 3; i++)
		group[i] = bound(AF_INET, "127.0.0.1", 5600, true);
	CHECK(!connect(half, &lo4.sa, sizeof(lo4.in)) && !shutdown(half, SHUT_RD));
	int mute = bound(AF_INET, "127.0.0.1", 5700, false);
	CHECK(!connect(mute, &lo4.sa, sizeof(lo4.in)) && !shutdown(mute, SHUT_WR));
	CHECK(!setsockopt(free_bound, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)));
	CHECK(!bind(free_bound, &away.sa, sizeof(away.in)));
	CHECK(!setsockopt(client, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)));
	CHECK(!setsockopt(server, IPPROTO_UDP, UDP_CORK, &one, sizeof(one)));
	CHECK(!setsockopt(server, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)));
	CHECK(!setsockopt(client6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof(ttl)));
	CHECK(!setsockopt(server, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)));
	int prio = option(server, SOL_SOCKET, SO_PRIORITY);
	union address client_name = name(client, false), client6_name = name(client6, false);

	test_ready();

	CHECK_EQ(fcntl(fresh, F_GETFD), FD_CLOEXEC);
	a = name(fresh, false);
	CHECK(a.sa.sa_family == AF_INET6 && !a.in6.sin6_port && !name(fresh, true).sa.sa_family);
	same(client, false, &client_name);
	same(client6, false, &client6_name);
	same(client, true, &lo4);
	same(client6, true, &lo6);
	CHECK_EQ(fcntl(client, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK(recv(client, &c, 1, 0) < 0 && errno == EAGAIN);
	CHECK(!name(server, true).sa.sa_family);
	CHECK_EQ(option(client, IPPROTO_UDP, UDP_SEGMENT), 1200);
	CHECK_EQ(option(server, IPPROTO_UDP, UDP_CORK), 1);
	CHECK_EQ(option(server, IPPROTO_IP, IP_TTL), 7);
	CHECK_EQ(option(server, IPPROTO_IP, IP_TOS), 0x10);
	CHECK_EQ(option(server, SOL_SOCKET, SO_PRIORITY), prio);
	CHECK_EQ(option(client6, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 7);
	CHECK(send(mute, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	CHECK(recv(mute, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	talk(client, server, NULL);
	talk(client6, server6, NULL);
	talk(server6, client6, &client6_name);
	away = (union address){ .in = { AF_INET, htons(5500), { htonl(INADDR_LOOPBACK) }, { 0 } } };
	int other = socket(AF_INET, SOCK_DGRAM, 0);
	talk(other, mapped, &away);
	away.in.sin_addr.s_addr = htonl(0x0a010203);
	away.in.sin_port = htons(77);
	same(free_bound, false, &away);
	/* The group shares what comes: many senders, and each member gets some of it. */
	away = (union address){ .in = { AF_INET, htons(5600), { htonl(INADDR_LOOPBACK) }, { 0 } } };
	for (int i = 0; i < 100; i++) {
		int s = socket(AF_INET, SOCK_DGRAM, 0);
		CHECK_EQ(sendto(s, "x", 1, 0, &away.sa, sizeof(away.in)), 1);
		close(s);
	}
	int all = 0;
	for (int i = 0; i < 3; i++) {
		int n = 0;
		while (recv(group[i], &c, 1, MSG_DONTWAIT) == 1)
			n++;
		CHECK(n > 0);
		all += n;
	}
	CHECK_EQ(all, 100);
	struct pollfd p = { half, POLLIN | POLLRDHUP, 0 };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLRDHUP && !(p.revents & POLLHUP));
	CHECK_EQ(option(lite, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDPLITE);
	pass();
}
