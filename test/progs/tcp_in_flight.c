// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * With --skip-in-flight, connections that nobody has accepted yet are dropped, and those that are being opened come back closed: the client
 * of the former hears of it, the listening socket takes others, and the latter may be opened again.
 */
/* test: net dump=--tcp-established dump=--skip-in-flight restore=--tcp-established once */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(4200) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), waits = socket(AF_INET, SOCK_STREAM, 0), old = socket(AF_INET, SOCK_STREAM, 0);
	int opening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct tcp_info info;
	char got[4];

	signal(SIGPIPE, SIG_IGN);
	if (system("exec ip route add 192.0.2.0/24 dev lo src 127.0.0.1"))
		TEST_SKIP("no route can be made");
	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 7));
	CHECK(!getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(old, (struct sockaddr *)&in, len));
	int server = accept(l, NULL, NULL);
	CHECK(server >= 0);
	CHECK(!connect(waits, (struct sockaddr *)&in, len));
	CHECK_EQ(write(waits, "lost", 4), 4);
	CHECK_EQ(inet_pton(AF_INET, "192.0.2.9", &nowhere.sin_addr), 1);
	CHECK(connect(opening, (struct sockaddr *)&nowhere, sizeof(nowhere)) < 0 && errno == EINPROGRESS);

	test_ready();

	/* The accepted one goes on. */
	CHECK_EQ(write(server, "on", 2), 2);
	CHECK_EQ(read(old, got, sizeof(got)), 2);
	/* Nobody has heard of the other: its next word is answered with a reset. */
	ssize_t n = write(waits, "?", 1);
	CHECK(n == 1 || errno == ECONNRESET || errno == EPIPE);
	struct pollfd p = { waits, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 30000), 1);
	n = read(waits, got, sizeof(got));
	if (n > 0 || (n < 0 && errno != ECONNRESET))
		fail("the dropped connection gives %zd, errno %d", n, errno);
	/* The queue is empty, as long as before, and takes others. */
	len = sizeof(info);
	CHECK(!getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_unacked, 0);
	CHECK_EQ(info.tcpi_sacked, 7);
	int another = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(another, (struct sockaddr *)&in, sizeof(in)));
	int accepted = accept(l, NULL, NULL);
	CHECK(accepted >= 0);
	CHECK_EQ(write(another, "new", 3), 3);
	CHECK_EQ(read(accepted, got, sizeof(got)), 3);
	/* What was being opened is not any more. */
	len = sizeof(info);
	CHECK(!getsockopt(opening, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_state, 7);
	CHECK(connect(opening, (struct sockaddr *)&nowhere, sizeof(nowhere)) < 0);
	CHECK_EQ(errno, EINPROGRESS);
	pass();
}
