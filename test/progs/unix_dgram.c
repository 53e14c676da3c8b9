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

int main(void)
{
	int server = new_bound(SOCK_DGRAM, "server"), a = new_bound(SOCK_DGRAM, "@cr-utils a"), b = new_bound(SOCK_DGRAM, "b"),
	    nameless = socket(AF_UNIX, SOCK_DGRAM, 0), late = new_bound(SOCK_DGRAM, "late"), clients[5];
	int pair[2], gone[2], half[2], self = new_bound(SOCK_DGRAM, "@cr-utils self"), dead = new_bound(SOCK_DGRAM, "dead"),
	    widow = socket(AF_UNIX, SOCK_DGRAM, 0), named[2], shut = new_bound(SOCK_DGRAM, "shut");
	char big[40000];

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
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(send(pair[0], big, sizeof(big) - (size_t)i, MSG_DONTWAIT), (ssize_t)sizeof(big) - i);
	CHECK_EQ(send(pair[1], "back", 4, 0), 4);
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, gone));
	CHECK_EQ(send(gone[1], "last words", 10, 0), 10);
	close(gone[1]);
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, half));
	CHECK_EQ(send(half[1], "leaving", 7, 0), 7);
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	CHECK(!connect(half[1], &nobody, sizeof(nobody)));
	int v;
	socklen_t len = sizeof(v);
	CHECK_EQ(send(half[0], "still there", 11, 0), 11);
	CHECK(!link_to(self, "@cr-utils self"));
	CHECK_EQ(send(self, "to me", 5, 0), 5);
	CHECK(!link_to(widow, "dead"));
	close(dead);
	CHECK(!unlink("dead"));
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, named));
	struct sockaddr_un name;
	len = name_of("@cr-utils pair", &name);
	CHECK(!bind(named[0], (struct sockaddr *)&name, len));
	CHECK_EQ(send(named[0], "from a name", 11, 0), 11);
	CHECK(!shutdown(shut, SHUT_RD));

	test_ready();

	hears(server, "@cr-utils a", "one");
	hears(server, "late", "two");
	hears(server, "", "three");
	hears(server, "b", "");
	hears(server, "@cr-utils a", "four");
	CHECK(recv(server, big, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(send(clients[i], "client", 6, 0), 6);
		hears(server, "", "client");
		check_peer_name(clients[i], "server", "client");
	}
	say(server, "b", "answer");
	hears(b, "server", "answer");
	check_peer_name(a, "server", "a");
	CHECK(access("late", F_OK) < 0);
	for (int i = 0; i < 4; i++)
		check_message(pair[1], big, sizeof(big) - (size_t)i, "pair");
	check_message(pair[0], "back", 4, "pair");
	check_talk(pair[0], pair[1], "pair");
	check_message(gone[0], "last words", 10, "gone");
	CHECK(send(gone[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
	check_message(half[0], "leaving", 7, "half");
	check_message(half[1], "still there", 11, "half");
	CHECK_EQ(send(half[0], "x", 1, 0), 1);
	check_message(half[1], "x", 1, "half");
	CHECK(send(half[1], "x", 1, 0) < 0 && errno == ENOTCONN);
	len = sizeof(v);
	CHECK(!getsockopt(half[0], SOL_SOCKET, SO_ERROR, &v, &len) && !v);
	hears(self, "@cr-utils self", "to me");
	CHECK_EQ(send(self, "again", 5, 0), 5);
	hears(self, "@cr-utils self", "again");
	check_peer_name(widow, "dead", "widow");
	CHECK(send(widow, "x", 1, MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED);
	CHECK(access("dead", F_OK) < 0);
	hears(named[1], "@cr-utils pair", "from a name");
	check_talk(named[0], named[1], "named pair");
	CHECK_EQ(recv(shut, big, 1, 0), 0);
	CHECK(sendto(nameless, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&name, name_of("shut", &name)) < 0 &&
	      errno == EPIPE);
	pass();
}
