// SPDX-License-Identifier: GPL-2.0-or-later
/* A deleted file above the limit is refused with the option that raises it. */
/* test: refused=--ghost-limit */
#include "test.h"

int main(void)
{
	static char block[1 << 20];
	int fd = open("big", O_RDWR | O_CREAT, 0600);

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(write(fd, block, sizeof(block)), sizeof(block));
	CHECK(!unlink("big"));
	test_ready();
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3 << 20);
	pass();
}
