// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Groups of sockets that share an address by SO_REUSEPORT, which came to it in another order than that of their descriptors, and one that
 * was among them has gone: each client comes to the same member as before, whether datagrams wait in the members or not. Where several
 * groups have the port, and where one is bound to a device, too.
 */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

#define MEMBERS 4
#define CLIENTS 24
#define FIRST_CLIENT 20000
#define EMPTY 5 /* this client says nothing */

struct group {
	const char *what;
	int family, type, protocol, port;
	const char *own; /* address; NULL: any */
	bool queued, v6only;
	const char *to; /* where clients say that they go */
	int fd[MEMBERS], came[CLIENTS];
};

static socklen_t address(int family, const char *text, int port, struct sockaddr_in6 *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	out->sin6_family = (sa_family_t)family;
	out->sin6_port = htons((uint16_t)port);
	if (text)
		CHECK_EQ(inet_pton(family, text, family == AF_INET ? (void *)&in->sin_addr : (void *)&out->sin6_addr), 1);
	return family == AF_INET ? sizeof(*in) : sizeof(*out);
}

static void set(int fd, int level, int name, int value)
{
	CHECK(!setsockopt(fd, level, name, &value, sizeof(value)));
}

static int get(int fd, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, SOL_SOCKET, name, &v, &len));
	return v;
}

static int member(const struct group *g)
{
	int fd = socket(g->family, g->type | SOCK_NONBLOCK, g->protocol);

	CHECK(fd >= 0);
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (g->v6only)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return fd;
}

static void join(const struct group *g, int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = address(g->family, g->own, g->port, &a);

	CHECK(!bind(fd, (struct sockaddr *)&a, len));
	if (g->type == SOCK_STREAM)
		CHECK(!listen(fd, CLIENTS));
}

static void make(struct group *g)
{
	int gone;

	for (int i = 0; i < MEMBERS; i++)
		g->fd[i] = member(g);
	gone = member(g);
	join(g, g->fd[2]);
	join(g, gone);
	join(g, g->fd[0]);
	join(g, g->fd[3]);
	join(g, g->fd[1]);
	close(gone); /* the last one has its place */
}

static int family_of(const char *text)
{
	return strchr(text, ':') ? AF_INET6 : AF_INET;
}

/* A client with a port of its own that has gone to the group; its end. */
static int go(const struct group *g, int i, const char *text)
{
	const int family = family_of(g->to);
	int c = socket(family, g->type, g->protocol);
	struct linger reset = { 1, 0 };
	struct sockaddr_in6 a;
	socklen_t len = address(family, g->to, FIRST_CLIENT + i, &a);

	CHECK(c >= 0);
	set(c, SOL_SOCKET, SO_REUSEADDR, 1);
	if (g->type == SOCK_STREAM)
		CHECK(!setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	CHECK(!bind(c, (struct sockaddr *)&a, len));
	address(family, g->to, g->port, &a);
	CHECK(!connect(c, (struct sockaddr *)&a, len));
	if (g->type == SOCK_DGRAM)
		CHECK_EQ(send(c, text, strlen(text), 0), strlen(text));
	return c;
}

/* Who has got it. */
static int taken(const struct group *g)
{
	struct pollfd p[MEMBERS];
	int who = -1;

	for (int i = 0; i < MEMBERS; i++)
		p[i] = (struct pollfd){ g->fd[i], POLLIN, 0 };
	CHECK_EQ(poll(p, MEMBERS, 5000), 1);
	for (int i = 0; i < MEMBERS; i++)
		if (p[i].revents)
			who = i;
	if (g->type == SOCK_STREAM) {
		int s = accept(g->fd[who], NULL, NULL);
		CHECK(s >= 0);
		close(s);
	} else {
		char byte;
		CHECK_EQ(recv(g->fd[who], &byte, 1, 0), 1);
	}
	return who;
}

static int visit(const struct group *g, int i)
{
	int c = go(g, i, "x"), who = taken(g);

	close(c);
	return who;
}

static void before(struct group *g)
{
	int seen = 0;

	make(g);
	for (int i = 0; i < CLIENTS; i++) {
		g->came[i] = visit(g, i);
		seen |= 1 << g->came[i];
	}
	CHECK(seen & (seen - 1)); /* more than one has been chosen */
	for (int i = 0; g->queued && i < CLIENTS; i++)
		close(go(g, i, i == EMPTY ? "" : "waits"));
}

/* What waits is where its client would come today. */
static void take_queued(const struct group *g)
{
	char buf[16];

	for (int i = 0; i < CLIENTS; i++) {
		struct sockaddr_in6 from;
		socklen_t len = sizeof(from);
		CHECK_EQ(recvfrom(g->fd[g->came[i]], buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), i == EMPTY ? 0 : 5);
		CHECK_EQ(ntohs(from.sin6_port), FIRST_CLIENT + i);
	}
}

static void after(const struct group *g)
{
	if (g->queued)
		take_queued(g);
	for (int i = 0; i < MEMBERS; i++) {
		CHECK_EQ(get(g->fd[i], SO_INCOMING_CPU), -1);
		CHECK_EQ(get(g->fd[i], SO_REUSEPORT), 1);
	}
	for (int i = 0; i < CLIENTS; i++) {
		int who = visit(g, i);

		if (who != g->came[i])
			fail("%s: client %d came to member %d, and comes to %d", g->what, i, g->came[i], who);
	}
}

/* Two with one address, one of them with a device: only a peer leads there. What this sets comes back. */
static int on_device(int port, bool device)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in6 a;
	socklen_t len = address(AF_INET, "127.0.0.1", port, &a);

	CHECK(fd >= 0);
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (device)
		CHECK(!setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	CHECK(!bind(fd, (struct sockaddr *)&a, len));
	return fd;
}

static void check_device(int fd)
{
	char name[16] = "", buf[16];
	socklen_t len = sizeof(name);

	CHECK_EQ(get(fd, SO_INCOMING_CPU), -1);
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), 3);
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) && !strcmp(name, "lo"));
}

int main(void)
{
	struct group groups[] = {
		{ "UDP", AF_INET, SOCK_DGRAM, 0, 7000, "127.0.0.1", false, false, "127.0.0.1", {}, {} },
		{ "UDP, queued", AF_INET, SOCK_DGRAM, 0, 7001, "127.0.0.1", true, false, "127.0.0.1", {}, {} },
		{ "UDP, any address, queued", AF_INET, SOCK_DGRAM, 0, 7002, NULL, true, false, "127.0.0.1", {}, {} },
		{ "UDP of IPv6 on the same port", AF_INET6, SOCK_DGRAM, 0, 7002, NULL, true, true, "::1", {}, {} },
		{ "UDP of IPv6, queued", AF_INET6, SOCK_DGRAM, 0, 7003, "::1", true, false, "::1", {}, {} },
		{ "UDP of both, queued", AF_INET6, SOCK_DGRAM, 0, 7004, NULL, true, false, "127.0.0.1", {}, {} },
		{ "UDP of one address beside that", AF_INET, SOCK_DGRAM, 0, 7004, "127.0.0.2", true, false, "127.0.0.2", {}, {} },
		{ "TCP", AF_INET, SOCK_STREAM, 0, 7005, "127.0.0.1", false, false, "127.0.0.1", {}, {} },
		{ "TCP of IPv6", AF_INET6, SOCK_STREAM, 0, 7006, NULL, false, false, "::1", {}, {} },
		{ "UDP-Lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, 7007, "127.0.0.1", false, false, "127.0.0.1", {}, {} },
	};
	size_t n = sizeof(groups) / sizeof(groups[0]);
	int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), device, other;
	struct group one = { .family = AF_INET, .type = SOCK_DGRAM, .port = 7008, .to = "127.0.0.1" };

	if (lite < 0)
		n--; /* this kernel has none */
	else
		close(lite);
	for (size_t i = 0; i < n; i++)
		before(&groups[i]);
	other = on_device(7008, false);
	device = on_device(7008, true);
	close(go(&one, 0, "one"));
	test_ready();
	for (size_t i = 0; i < n; i++)
		after(&groups[i]);
	check_device(device);
	close(other);
	pass();
}
