// SPDX-License-Identifier: GPL-2.0-or-later
/* test: net refused=vsock_stream_socket_of_protocol_0 */
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (s < 0)
		TEST_SKIP("no vsock: %s", strerror(errno));
	test_ready();
	CHECK(fcntl(s, F_GETFD) >= 0);
	pass();
}
