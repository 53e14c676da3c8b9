// SPDX-License-Identifier: GPL-2.0-or-later
/* connect(2) left the connection to the first data (TCP_FASTOPEN_CONNECT): refused by that name, and the data gets through. */
/* test: net refused=connection_begins_with_its_first_data_.TCP.FASTOPEN.CONNECT.*--skip-in-flight dump=--tcp-established */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), five = 5, one = 1;
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_fastopen", "w");
	char got[8];

	/* Client and server, neither of which needs a cookie. */
	CHECK(f && fputs("519\n", f) >= 0 && !fclose(f));
	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &five, sizeof(five)));
	CHECK(!listen(l, 5) && !getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!setsockopt(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)));
	CHECK(!connect(c, (struct sockaddr *)&in, len));

	test_ready();

	CHECK_EQ(write(c, "hello", 5), 5);
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
	CHECK_EQ(read(s, got, sizeof(got)), 5);
	pass();
}
