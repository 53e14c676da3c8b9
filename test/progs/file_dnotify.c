// SPDX-License-Identifier: GPL-2.0-or-later
/* A directory watched by F_NOTIFY, which nobody can see or ask, is known by the signal owner that this gives it. */
/* test: refused=F.NOTIFY */
#include "test.h"

int main(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	signal(SIGIO, SIG_IGN);
	CHECK(fd >= 0 && !fcntl(fd, F_NOTIFY, DN_RENAME | DN_MULTISHOT));
	test_ready();
	CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
	pass();
}
