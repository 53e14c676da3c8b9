// SPDX-License-Identifier: GPL-2.0-or-later
/* The connection has ended, an urgent byte is read, and its mark is still ahead: it hides the second half of what waits to be read. */
/* test: net refused=TCP_connection_that_has_ended:_the_mark_of_urgent_data */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "urgent.h"

int main(void)
{
	int s = urgent_waits();
	char got[8] = "";
	int n = 0;

	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	urgent_ends(s);
	CHECK(!ioctl(s, FIONREAD, &n));
	CHECK_EQ(n, 3);

	test_ready();

	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "abc", 3));
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "def", 3));
	CHECK_EQ(read(s, got, sizeof(got)), 0);
	pass();
}
