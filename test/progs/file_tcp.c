// SPDX-License-Identifier: GPL-2.0-or-later
/* An established TCP connection is refused with its addresses and the option that it needs. */
/* test: refused=established_TCP_connection_127.0.0.1:.*--tcp-established */
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 1));
	CHECK(!getsockname(l, (struct sockaddr *)&in, &len));
	if (connect(c, (struct sockaddr *)&in, sizeof(in)))
		TEST_SKIP("no loopback interface is up: %s", strerror(errno));
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	close(l);
	test_ready();
	CHECK_EQ(write(c, "x", 1), 1);
	pass();
}
