// SPDX-License-Identifier: GPL-2.0-or-later
/* The stack keeps its content when it was deep, and grows further afterwards. */
#include "test.h"

static int deep(int n)
{
	volatile char room[8192];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = (char)(n + 1);
	if (n == 100)
		test_ready();
	int sum = n == 400 ? 0 : deep(n + 1);
	for (size_t i = 0; i < sizeof(room); i++)
		if (room[i] != (char)(n + 1))
			fail("frame %d lost byte %zu", n, i);
	return sum + 1;
}

int main(void)
{
	CHECK_EQ(deep(0), 401);
	pass();
}
