// SPDX-License-Identifier: GPL-2.0-or-later
/* The byte is read, and its mark is still ahead: it parts what waits to be read, and hides the second half from who asks how much there is. */
/* test: net refused=TCP_connection.*the_mark_of_urgent_data dump=--tcp-established */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "urgent.h"

int main(void)
{
	int s = urgent_waits();
	char got[8] = "";
	int n = 0;

	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	CHECK_EQ(got[0], 'X');
	CHECK(!ioctl(s, FIONREAD, &n));
	CHECK_EQ(n, 3);

	test_ready();

	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "abc", 3));
	CHECK_EQ(ioctl(s, SIOCATMARK, &n), 0);
	CHECK_EQ(n, 1);
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK(!memcmp(got, "def", 3));
	pass();
}
