// SPDX-License-Identifier: GPL-2.0-or-later
/* A connection that the program has not accepted yet is refused without the option that keeps it. Its peer has reset it already. */
/* test: net refused=listening_TCP_socket_127.0.0.1:.*_1_connection_that_the_program_has_not_accepted.*--tcp-established_to_keep.*--skip-in-flight */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger now = { 1, 0 };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), error = 0;

	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 1));
	CHECK(!getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(c, (struct sockaddr *)&in, len));
	CHECK(!setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(c));
	test_ready();
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	len = sizeof(error);
	CHECK(!getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len));
	CHECK_EQ(error, ECONNRESET);
	pass();
}
