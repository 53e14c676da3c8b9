// SPDX-License-Identifier: GPL-2.0-or-later
/* The connection has ended, and everything is read up to the mark of urgent data: then nobody counts what lies behind it. */
/* test: net refused=TCP_connection_that_has_ended:_the_mark_of_urgent_data */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "urgent.h"

int main(void)
{
	int s = urgent_waits();
	char got[8] = "";
	int n = 1;

	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	urgent_ends(s);
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "abc", 3));
	CHECK(!ioctl(s, FIONREAD, &n));
	CHECK_EQ(n, 0);

	test_ready();

	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "def", 3));
	CHECK_EQ(read(s, got, sizeof(got)), 0);
	pass();
}
