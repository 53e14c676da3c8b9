// SPDX-License-Identifier: GPL-2.0-or-later
/* Urgent data that waits to be read is refused. */
/* test: net refused=TCP_connection.*urgent_data_waits_to_be_read dump=--tcp-established */
#include <sys/socket.h>

#include "urgent.h"

int main(void)
{
	int s = urgent_waits();
	char got[8] = "";

	test_ready();

	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	CHECK_EQ(got[0], 'X');
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	CHECK_EQ(read(s, got, sizeof(got)), 3);
	pass();
}
