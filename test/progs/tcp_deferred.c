// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that wait for their first byte before the program may accept them (TCP_DEFER_ACCEPT) can be accepted at once after a restore,
 * behind one that waits already, as if they had waited long enough; and go on.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"
#include "waiting.h"

static void talk(int a, int b)
{
	char got = 0;

	CHECK_EQ(write(a, "x", 1), 1);
	CHECK_EQ(read(b, &got, 1), 1);
	CHECK_EQ(got, 'x');
}

static int waiting(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	return (int)i.tcpi_unacked;
}

static int listener(struct sockaddr_in6 *at)
{
	socklen_t len = sizeof(*at);
	int l = socket(AF_INET6, SOCK_STREAM, 0), seconds = 60;

	CHECK(!setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)));
	CHECK(!bind(l, (struct sockaddr *)at, len) && !listen(l, 5) && !getsockname(l, (struct sockaddr *)at, &len));
	return l;
}

int main(void)
{
	needs_waiting();
	struct sockaddr_in6 both = { .sin6_family = AF_INET6 }, only = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, got;
	int l = listener(&both), o = listener(&only);
	int c[3] = { socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET6, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0) };
	int alone = socket(AF_INET6, SOCK_STREAM, 0);
	socklen_t len = sizeof(got);
	char byte;

	in.sin_port = both.sin6_port;
	both.sin6_addr = only.sin6_addr = in6addr_loopback;
	CHECK(!connect(c[0], (struct sockaddr *)&in, sizeof(in)) && !connect(c[1], (struct sockaddr *)&both, sizeof(both)));
	CHECK(!connect(c[2], (struct sockaddr *)&in, sizeof(in)) && !connect(alone, (struct sockaddr *)&only, sizeof(only)));
	CHECK_EQ(write(c[2], "2", 1), 1);
	while (waiting(l) != 1)
		usleep(1000);
	CHECK_EQ(waiting(o), 0);

	test_ready();

	CHECK_EQ(waiting(l), 3);
	CHECK_EQ(waiting(o), 1);
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(read(s, &byte, 1), 1);
	CHECK_EQ(byte, '2');
	talk(s, c[2]);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in6 peer, own;
		socklen_t plen = sizeof(peer), olen = sizeof(own);

		CHECK((s = accept(l, (struct sockaddr *)&peer, &plen)) >= 0);
		memset(&own, 0, sizeof(own));
		CHECK(!getsockname(c[0], (struct sockaddr *)&own, &olen));
		const int which = own.sin6_port == peer.sin6_port ? 0 : 1;
		talk(s, c[which]);
		talk(c[which], s);
		CHECK(!close(c[which]));
		CHECK_EQ(read(s, &byte, 1), 0);
	}
	CHECK((s = accept(o, NULL, NULL)) >= 0);
	talk(alone, s);
	talk(s, alone);
	/* Those that come wait for their first byte, as before. */
	int late = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(late, (struct sockaddr *)&in, sizeof(in)));
	CHECK_EQ(waiting(l), 0);
	CHECK_EQ(write(late, "x", 1), 1);
	CHECK((s = accept(l, (struct sockaddr *)&got, &len)) >= 0);
	CHECK_EQ(read(s, &byte, 1), 1);
	pass();
}
