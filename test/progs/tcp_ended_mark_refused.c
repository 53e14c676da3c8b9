// SPDX-License-Identifier: GPL-2.0-or-later
/* A reset has ended the connection, and neither that nor the urgent data has been read: a restore can make one of them only. */
/* test: net refused=TCP_connection_that_has_ended:_(urgent_data_waits|an_error_that_waits) */
#include "urgent.h"

int main(void)
{
	const struct linger at_once = { .l_onoff = 1 };
	int s = urgent_waits();
	struct pollfd p = { s, 0, 0 };
	char got[8];

	CHECK(!setsockopt(urgent_peer_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) && !close(urgent_peer_));
	CHECK(poll(&p, 1, 30000) == 1 && p.revents & POLLERR);

	test_ready();

	CHECK_EQ(read(s, got, sizeof(got)), 3);
	pass();
}
