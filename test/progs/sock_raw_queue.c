// SPDX-License-Identifier: GPL-2.0-or-later
/* What waits in a raw socket would come to all raw sockets of the host: refused. */
/* test: net refused=what_waits_there_to_be_read_cannot_come_back */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in lo = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
	int s = socket(AF_INET, SOCK_RAW, 253);
	char buf[64];

	CHECK_EQ(sendto(s, "x", 1, 0, (struct sockaddr *)&lo, sizeof(lo)), 1);
	test_ready();
	CHECK_EQ(recv(s, buf, sizeof(buf), 0), 21);
	pass();
}
