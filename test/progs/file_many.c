// SPDX-License-Identifier: GPL-2.0-or-later
/* Thousands of descriptors, with duplicates among them, and the highest number that the limit allows. */
#include <sys/eventfd.h>

#include "test.h"

#define MANY 3000

int main(void)
{
	static int fd[MANY], twin[MANY];
	struct rlimit lim;

	CHECK(!getrlimit(RLIMIT_NOFILE, &lim));
	lim.rlim_cur = lim.rlim_max;
	CHECK(!setrlimit(RLIMIT_NOFILE, &lim));
	if (lim.rlim_cur < 2 * MANY + 100)
		TEST_SKIP("only %llu open files are allowed", (unsigned long long)lim.rlim_cur);
	int data = open("data", O_RDWR | O_CREAT, 0600);
	CHECK(!ftruncate(data, 100000));
	for (int i = 0; i < MANY; i++) {
		fd[i] = i % 3 ? open("data", O_RDONLY) : eventfd((unsigned)i, EFD_NONBLOCK);
		CHECK(fd[i] >= 0);
		if (i % 3)
			CHECK_EQ(lseek(fd[i], i, SEEK_SET), i);
		if (i % 5 == 0)
			CHECK((twin[i] = dup(fd[i])) >= 0);
	}
	int last = (int)lim.rlim_cur - 1;
	if (last > 1048575)
		last = 1048575;
	CHECK_EQ(dup2(data, last), last);

	test_ready();

	for (int i = 0; i < MANY; i++) {
		uint64_t v = 0;
		if (i % 3 == 0) {
			CHECK_EQ(read(fd[i], &v, 8), i ? 8 : -1);
			CHECK_EQ(v, i);
			continue;
		}
		CHECK_EQ(lseek(fd[i], 0, SEEK_CUR), i);
		if (i % 5 == 0) {
			CHECK_EQ(lseek(twin[i], 50000, SEEK_SET), 50000);
			CHECK_EQ(lseek(fd[i], 0, SEEK_CUR), 50000);
		}
	}
	CHECK_EQ(lseek(data, 77, SEEK_SET), 77);
	CHECK_EQ(lseek(last, 0, SEEK_CUR), 77);
	pass();
}
