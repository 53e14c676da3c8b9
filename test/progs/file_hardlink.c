// SPDX-License-Identifier: GPL-2.0-or-later
/* A removed name of a file that has another one elsewhere: refused with the option that such files need. */
/* test: refused=--link-remap */
#include "test.h"

int main(void)
{
	int fd = open("one", O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0 && !mkdir("far", 0700) && !link("one", "far/two") && !unlink("one"));
	test_ready();
	CHECK_EQ(write(fd, "x", 1), 1);
	pass();
}
