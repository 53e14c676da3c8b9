/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: refused=pipe:.*opened_with_O.PATH */
/* A pipe that has a descriptor by which it can be neither read nor written. */
#include "test.h"

int main(void)
{
	char name[64];
	int p[2], path;

	CHECK(!pipe(p));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", p[0]);
	path = open(name, O_PATH);
	CHECK(path >= 0);
	test_ready();
	CHECK(fcntl(path, F_GETFL) & O_PATH);
	CHECK(write(p[1], "x", 1) == 1 && read(path, name, 1) < 0 && errno == EBADF);
	CHECK(read(p[0], name, 1) == 1 && *name == 'x');
	pass();
}
