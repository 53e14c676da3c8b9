// SPDX-License-Identifier: GPL-2.0-or-later
/* eventfd: counter, semaphore mode, flags. */
#include <sys/eventfd.h>

#include "test.h"

int main(void)
{
	uint64_t v = 0xfffffffffffffffeull;
	int plain = eventfd(7, EFD_CLOEXEC), sem = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK), full = eventfd(0, EFD_NONBLOCK);

	CHECK_EQ(write(full, &v, 8), 8);
	int flags = fcntl(sem, F_GETFL);
	test_ready();
	CHECK_EQ(read(plain, &v, 8), 8);
	CHECK_EQ(v, 7);
	CHECK_EQ(fcntl(plain, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(plain, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(fcntl(sem, F_GETFL), flags);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(read(sem, &v, 8), 8);
		CHECK_EQ(v, 1);
	}
	CHECK(read(sem, &v, 8) < 0 && errno == EAGAIN);
	v = 1;
	CHECK(write(full, &v, 8) < 0 && errno == EAGAIN);
	CHECK_EQ(read(full, &v, 8), 8);
	CHECK(v == 0xfffffffffffffffeull);
	pass();
}
