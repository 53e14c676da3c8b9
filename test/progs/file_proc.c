// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of /proc and /sys: common ones, and entries of the process itself, which must lead to the restored process. */
#include "test.h"

int main(void)
{
	char path[64], text[4096], want[64];
	static volatile int secret = 4711;
	int value = 0;

	int common = open("/proc/meminfo", O_RDONLY), sys = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);
	int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC), mem = open("/proc/self/mem", O_RDWR);
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
	CHECK(common >= 0 && status >= 0 && mem >= 0 && dir >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", status);

	test_ready();

	secret = 815;
	CHECK_EQ(pread(mem, &value, sizeof(value), (off_t)(uintptr_t)&secret), sizeof(value));
	CHECK_EQ(value, 815);
	ssize_t n = pread(status, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = 0;
	snprintf(want, sizeof(want), "\nPid:\t%d\n", (int)getpid());
	CHECK(strstr(text, want));
	CHECK_EQ(fcntl(status, F_GETFD), FD_CLOEXEC);
	CHECK(pread(common, text, 100, 0) > 0);
	if (sys >= 0)
		CHECK(pread(sys, text, 100, 0) > 0);
	CHECK(!faccessat(dir, "fdinfo", F_OK, 0));
	pass();
}
