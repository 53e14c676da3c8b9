// SPDX-License-Identifier: GPL-2.0-or-later
/* Urgent data that waits to be read is refused. */
/* test: net refused=TCP_connection.*urgent_data_waits_to_be_read dump=--tcp-established */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	char got[8] = "";

	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(c, (struct sockaddr *)&in, len));
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(write(c, "abc", 3), 3);
	CHECK_EQ(send(c, "X", 1, MSG_OOB), 1);
	CHECK_EQ(write(c, "def", 3), 3);
	struct pollfd p = { s, POLLPRI, 0 };
	CHECK_EQ(poll(&p, 1, 30000), 1);

	test_ready();

	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	CHECK_EQ(got[0], 'X');
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	pass();
}
