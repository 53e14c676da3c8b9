// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory devices: null, zero, full, random, urandom. */
#include "test.h"

int main(void)
{
	char buf[8] = "xxxxxxx";
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY), full = open("/dev/full", O_WRONLY);
	int urandom = open("/dev/urandom", O_RDONLY | O_CLOEXEC), rnd = open("/dev/random", O_RDONLY | O_NONBLOCK);

	CHECK(null >= 0 && zero >= 0 && full >= 0 && urandom >= 0 && rnd >= 0);
	int flags = fcntl(rnd, F_GETFL);
	test_ready();
	CHECK_EQ(read(null, buf, 8), 0);
	CHECK_EQ(write(null, buf, 8), 8);
	CHECK_EQ(read(zero, buf, 8), 8);
	CHECK(!memcmp(buf, "\0\0\0\0\0\0\0\0", 8));
	CHECK(write(full, "x", 1) < 0 && errno == ENOSPC);
	CHECK_EQ(read(urandom, buf, 8), 8);
	CHECK_EQ(fcntl(urandom, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(rnd, F_GETFL), flags);
	CHECK(write(zero, "x", 1) < 0 && errno == EBADF);
	pass();
}
