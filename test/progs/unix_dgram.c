// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagram sockets: many clients of one server, messages of several senders with their names and in their order, pairs, a socket
 * connected to itself, peers that are gone, messages of no bytes, what somebody sent who is gone.
 */
#include "unix.h"

static void say(int s, const char *to, const char *text)
{
	struct sockaddr_un a;
	socklen_t len = name_of(to, &a);
	CHECK_EQ(sendto(s, text, strlen(text), MSG_DONTWAIT, (struct sockaddr *)&a, len), (ssize_t)strlen(text));
}

static void hears(int s, const char *from, const char *text)
{
	struct sockaddr_un a = { 0 };
	socklen_t len = sizeof(a);
	char buf[64];
	ssize_t n = recvfrom(s, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&a, &len);
	if (n != (ssize_t)strlen(text) || memcmp(buf, text, strlen(text)))
		fail("\"%.*s\", not \"%s\" (%s)", n > 0 ? (int)n : 0, buf, text, strerror(errno));
	check_address(&a, len, from, text);
}

/* One server: messages of several senders, and clients. One of them has no name; one is gone, and its name. */
static int server, a, b, nameless, clients[5];

static void make_server(void)
{
	int late = new_bound(SOCK_DGRAM, "late");

	server = new_bound(SOCK_DGRAM, "server");
	a = new_bound(SOCK_DGRAM, "@cr-utils a");
	b = new_bound(SOCK_DGRAM, "b");
	nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
	say(a, "server", "one");
	say(late, "server", "two");
	say(nameless, "server", "three");
	CHECK_EQ(sendto(b, NULL, 0, 0, NULL, 0), -1); /* nobody yet */
	CHECK(!link_to(b, "server"));
	CHECK_EQ(send(b, "", 0, 0), 0);
	say(a, "server", "four");
	close(late); /* its file stays, its message too */
	CHECK(!unlink("late"));
	for (int i = 0; i < 5; i++) {
		clients[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
		CHECK(!link_to(clients[i], "server"));
	}
	CHECK(!link_to(a, "server")); /* after it got nothing, and before it gets something */
}

static void check_server(void)
{
	char buf;

	hears(server, "@cr-utils a", "one");
	hears(server, "late", "two");
	hears(server, "", "three");
	hears(server, "b", "");
	hears(server, "@cr-utils a", "four");
	CHECK(recv(server, &buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(send(clients[i], "client", 6, 0), 6);
		hears(server, "", "client");
		check_peer_name(clients[i], "server", "client");
	}
	say(server, "b", "answer");
	hears(b, "server", "answer");
	check_peer_name(a, "server", "a");
	CHECK(access("late", F_OK) < 0);
}

/* A pair with large messages, and one on the way back. */
static int pair[2];
static char big[40000];

static void make_pair(void)
{
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(send(pair[0], big, sizeof(big) - (size_t)i, MSG_DONTWAIT), (ssize_t)sizeof(big) - i);
	CHECK_EQ(send(pair[1], "back", 4, 0), 4);
}

static void check_pair(void)
{
	for (int i = 0; i < 4; i++)
		check_message(pair[1], big, sizeof(big) - (size_t)i, "pair");
	check_message(pair[0], "back", 4, "pair");
	check_talk(pair[0], pair[1], "pair");
}

/* Half of a pair is closed. */
static int gone[2];

static void make_gone(void)
{
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, gone));
	CHECK_EQ(send(gone[1], "last words", 10, 0), 10);
	close(gone[1]);
}

static void check_gone(void)
{
	check_message(gone[0], "last words", 10, "gone");
	CHECK(send(gone[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
}

/* Half of a pair left it, and still hears the other. */
static int half[2];

static void make_half(void)
{
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, half));
	CHECK_EQ(send(half[1], "leaving", 7, 0), 7);
	CHECK(!connect(half[1], &nobody, sizeof(nobody)));
	CHECK_EQ(send(half[0], "still there", 11, 0), 11);
}

static void check_half(void)
{
	int v;
	socklen_t len = sizeof(v);

	check_message(half[0], "leaving", 7, "half");
	check_message(half[1], "still there", 11, "half");
	CHECK_EQ(send(half[0], "x", 1, 0), 1);
	check_message(half[1], "x", 1, "half");
	CHECK(send(half[1], "x", 1, 0) < 0 && errno == ENOTCONN);
	CHECK(!getsockopt(half[0], SOL_SOCKET, SO_ERROR, &v, &len) && !v);
}

/* Connected to itself. */
static int self;

static void make_self(void)
{
	self = new_bound(SOCK_DGRAM, "@cr-utils self");
	CHECK(!link_to(self, "@cr-utils self"));
	CHECK_EQ(send(self, "to me", 5, 0), 5);
}

static void check_self(void)
{
	hears(self, "@cr-utils self", "to me");
	CHECK_EQ(send(self, "again", 5, 0), 5);
	hears(self, "@cr-utils self", "again");
}

/* Connected to one with a name, which is gone. */
static int widow;

static void make_widow(void)
{
	int dead = new_bound(SOCK_DGRAM, "dead");

	widow = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(!link_to(widow, "dead"));
	close(dead);
	CHECK(!unlink("dead"));
}

static void check_widow(void)
{
	check_peer_name(widow, "dead", "widow");
	CHECK(send(widow, "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
	CHECK(access("dead", F_OK) < 0);
}

/* A pair, half of which got a name. */
static int named[2];

static void make_named_pair(void)
{
	struct sockaddr_un name;
	socklen_t len = name_of("@cr-utils pair", &name);

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, named));
	CHECK(!bind(named[0], (struct sockaddr *)&name, len));
	CHECK_EQ(send(named[0], "from a name", 11, 0), 11);
}

static void check_named_pair(void)
{
	hears(named[1], "@cr-utils pair", "from a name");
	check_talk(named[0], named[1], "named pair");
}

/* Shut down for reading: nothing comes, and nobody may send. */
static int shut;

static void make_shut(void)
{
	shut = new_bound(SOCK_DGRAM, "shut");
	CHECK(!shutdown(shut, SHUT_RD));
}

static void check_shut(void)
{
	struct sockaddr_un name;
	socklen_t len = name_of("shut", &name);
	char buf;

	CHECK_EQ(recv(shut, &buf, 1, 0), 0);
	CHECK(sendto(nameless, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&name, len) < 0 &&
	      errno == EPIPE);
}

int main(void)
{
	make_server();
	make_pair();
	make_gone();
	make_half();
	make_self();
	make_widow();
	make_named_pair();
	make_shut();

	test_ready();

	check_server();
	check_pair();
	check_gone();
	check_half();
	check_self();
	check_widow();
	check_named_pair();
	check_shut();
	pass();
}
