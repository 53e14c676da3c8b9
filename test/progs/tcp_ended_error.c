// SPDX-License-Identifier: GPL-2.0-or-later
/* The peer has reset the connection, and the program has not heard of it: the error waits, and is still there after a refused dump. */
/* test: net refused=TCP_connection_that_has_ended:_an_error_that_waits */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger now = { 1, 0 };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	char got;

	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(c, (struct sockaddr *)&in, len));
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0 && !setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(s));
	struct pollfd p = { c, 0, 0 };
	CHECK(poll(&p, 1, 30000) == 1 && p.revents & POLLERR);

	test_ready();

	CHECK_EQ(read(c, &got, 1), -1);
	CHECK_EQ(errno, ECONNRESET);
	CHECK_EQ(read(c, &got, 1), 0);
	pass();
}
