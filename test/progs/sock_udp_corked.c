// SPDX-License-Identifier: GPL-2.0-or-later
/* Data that a UDP socket holds back can be seen by nobody: refused. */
/* test: net refused=data_that_was_not_sent_yet */
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
	CHECK_EQ(send(s, "half", 4, MSG_MORE), 4);
	test_ready();
	CHECK_EQ(send(s, " and half", 9, 0), 9);
	CHECK_EQ(recv(r, buf, sizeof(buf), 0), 13);
	pass();
}
