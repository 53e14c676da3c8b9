// SPDX-License-Identifier: GPL-2.0-or-later
/* A pipe with packets behind bytes that are none: one read gives both, and nobody can tell where the packet begins.
 * test: refused=packets_.*behind_bytes_that_are_none */
#include "test.h"

int main(void)
{
	static char page[4096], buf[8192];
	int p[2];

	CHECK(!pipe2(p, O_NONBLOCK));
	CHECK_EQ(write(p[1], page, sizeof(page)), sizeof(page)); /* what follows finds no room behind it */
	CHECK(!fcntl(p[1], F_SETFL, O_NONBLOCK | O_DIRECT));
	CHECK_EQ(write(p[1], "packet", 6), 6);
	test_ready();
	CHECK_EQ(read(p[0], buf, 4097), 4097);
	CHECK(read(p[0], buf, 1) < 0 && errno == EAGAIN);
	pass();
}
