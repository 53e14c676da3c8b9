// SPDX-License-Identifier: GPL-2.0-or-later
/* A socket that sends with an IPv6 flow label of its own is refused with the label. */
/* test: net refused=UDP.socket.*it.has.the.IPv6.flow.label.0x12345 */
#include <linux/in6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				   .sin6_flowinfo = htonl(0x12345) };
	struct in6_flowlabel_req req = { .flr_label = htonl(0x12345), .flr_action = IPV6_FL_A_GET, .flr_share = IPV6_FL_S_ANY,
					 .flr_flags = IPV6_FL_F_CREATE };
	int s = socket(AF_INET6, SOCK_DGRAM, 0), one = 1;

	if (s < 0)
		TEST_SKIP("no IPv6: %s", strerror(errno));
	memcpy(&req.flr_dst, &to.sin6_addr, sizeof(req.flr_dst));
	if (setsockopt(s, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, &req, sizeof(req)))
		TEST_SKIP("no flow labels: %s", strerror(errno));
	CHECK(!setsockopt(s, IPPROTO_IPV6, 33 /* IPV6_FLOWINFO_SEND */, &one, sizeof(one)));
	CHECK(!connect(s, (struct sockaddr *)&to, sizeof(to)));
	test_ready();
	CHECK(fcntl(s, F_GETFD) >= 0);
	pass();
}
