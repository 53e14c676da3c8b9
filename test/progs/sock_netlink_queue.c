// SPDX-License-Identifier: GPL-2.0-or-later
/* A message in the queue of a netlink socket cannot come back from its sender: refused, and still there. */
/* test: net refused=netlink_socket_of_protocol_2:_what_waits_there */
#include <linux/netlink.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	int a = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK), b = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = 55 };
	char c = 0;

	CHECK(!bind(a, (struct sockaddr *)&nl, sizeof(nl)));
	CHECK_EQ(sendto(b, "x", 1, 0, (struct sockaddr *)&nl, sizeof(nl)), 1);
	test_ready();
	CHECK_EQ(recv(a, &c, 1, 0), 1);
	CHECK_EQ(c, 'x');
	pass();
}
