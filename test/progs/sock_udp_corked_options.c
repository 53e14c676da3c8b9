// SPDX-License-Identifier: GPL-2.0-or-later
/* Data that a UDP socket holds back with options of IP, which were settled when its first part came, and can be changed since: refused. */
/* test: net refused=it_has_options_of_IP,_as_source_routes_are */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in lo = { AF_INET, htons(5000), { htonl(INADDR_LOOPBACK) }, { 0 } };
	int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
	char buf[16];

	CHECK(!bind(r, (struct sockaddr *)&lo, sizeof(lo)) && !connect(s, (struct sockaddr *)&lo, sizeof(lo)));
	CHECK(!setsockopt(s, IPPROTO_IP, IP_OPTIONS, "\1\1\1", 4));
	CHECK_EQ(send(s, "half", 4, MSG_MORE), 4);
	CHECK(!setsockopt(s, IPPROTO_IP, IP_OPTIONS, NULL, 0));
	test_ready();
	CHECK_EQ(send(s, " and half", 9, 0), 9);
	CHECK_EQ(recv(r, buf, sizeof(buf), 0), 13);
	CHECK(!memcmp(buf, "half and half", 13));
	pass();
}
