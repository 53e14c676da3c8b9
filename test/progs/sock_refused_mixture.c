// SPDX-License-Identifier: GPL-2.0-or-later
/* A UDP socket that was connected to an IPv6 address, and then to an IPv4 one: its own address is still of the former kind. */
/* test: net refused=UDP.socket.*it.has.an.IPv6.address,.and.is.connected.to.an.IPv4.one */
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)))
		TEST_SKIP("no IPv6: %s", strerror(errno));
	to.sin6_addr = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };
	CHECK(!connect(s, (struct sockaddr *)&to, sizeof(to)));
	test_ready();
	CHECK(fcntl(s, F_GETFD) >= 0);
	pass();
}
