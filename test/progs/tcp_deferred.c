// SPDX-License-Identifier: GPL-2.0-or-later
/* A connection that waits for its first byte before the program may accept it (TCP_DEFER_ACCEPT) is refused, and told apart from others. */
/* test: net refused=listening_TCP_socket_127.0.0.1:.*_1_connection_that_waits_for_data.*--skip-in-flight dump=--tcp-established */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), seconds = 60;
	char got;

	CHECK(!setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)));
	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 1));
	CHECK(!getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(c, (struct sockaddr *)&in, len));
	test_ready();
	CHECK_EQ(write(c, "x", 1), 1);
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(read(s, &got, 1), 1);
	pass();
}
