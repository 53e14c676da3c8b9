// SPDX-License-Identifier: GPL-2.0-or-later
/* A socket of a family that no checkpoint can hold is refused with family and protocol. */
/* test: net refused=IPv4_stream_socket_of_protocol_262_.MPTCP */
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);

	if (s < 0)
		TEST_SKIP("no MPTCP: %s", strerror(errno));
	test_ready();
	CHECK(fcntl(s, F_GETFD) >= 0);
	pass();
}
