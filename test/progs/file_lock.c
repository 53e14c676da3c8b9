// SPDX-License-Identifier: GPL-2.0-or-later
/* Without the option, a file lock is refused with its kind and the option that locks need. */
/* test: refused=flock.*--file-locks */
#include <sys/file.h>

#include "test.h"

int main(void)
{
	int fd = open("locked", O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0 && !flock(fd, LOCK_EX));
	test_ready();
	CHECK(!flock(fd, LOCK_UN));
	pass();
}
