// SPDX-License-Identifier: GPL-2.0-or-later
/* What lies behind a mark nobody can look at who must leave the place alone from which the program looks. */
/* test: net refused=TCP_connection.*urgent_data_and_SO.PEEK.OFF dump=--tcp-established */
#include "urgent.h"

int main(void)
{
	const int off = 1;
	int s = urgent_waits();
	char got[8] = "";

	if (setsockopt(s, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0)
		TEST_SKIP("no SO_PEEK_OFF for TCP");

	test_ready();

	CHECK_EQ(recv(s, got, sizeof(got), MSG_PEEK), 2);
	CHECK_EQ(recv(s, got, 1, MSG_OOB), 1);
	CHECK_EQ(got[0], 'X');
	pass();
}
