// SPDX-License-Identifier: GPL-2.0-or-later
/* The byte is read, and its mark is still ahead: it parts what waits to be read, and hides the second half from who asks how much there is. */
/* test: net refused=TCP_connection.*the_mark_of_urgent_data dump=--tcp-established */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
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
	int n = 0;
	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	CHECK_EQ(got[0], 'X');
	CHECK(!ioctl(s, FIONREAD, &n));
	CHECK_EQ(n, 3);

	test_ready();

	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "abc", 3));
	CHECK_EQ(ioctl(s, SIOCATMARK, &n), 0);
	CHECK_EQ(n, 1);
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "def", 3));
	pass();
}
