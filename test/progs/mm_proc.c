// SPDX-License-Identifier: GPL-2.0-or-later
/* What /proc tells of the address space as a whole: auxv, argv, environ, exe, comm, addresses in stat, THP and dumpable. */
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "test.h"

static const char *const names[] = { "auxv", "cmdline", "environ", "comm" };
static char text[4][65536], link_[PATH_MAX];
static ssize_t len[4];

static ssize_t slurp(const char *name, char *buf, size_t n)
{
	char path[64];
	ssize_t got = 0, r;

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	while ((r = read(fd, buf + got, n - (size_t)got)) > 0)
		got += r;
	close(fd);
	return got;
}

/* Fields 26-28 (code, stack) and 45-51 (data, brk, argv, environ) of stat. */
static void addresses(unsigned long out[10])
{
	static char buf[4096];
	ssize_t n = slurp("stat", buf, sizeof(buf) - 1);
	char *p;
	int field = 2, k = 0;

	buf[n] = 0;
	p = strrchr(buf, ')');
	CHECK(p);
	while ((p = strchr(p, ' '))) {
		p++;
		field++;
		if ((field >= 26 && field <= 28) || (field >= 45 && field <= 51))
			out[k++] = strtoul(p, NULL, 10);
	}
	CHECK_EQ(k, 10);
}

int main(void)
{
	static char buf[65536], now[PATH_MAX];
	unsigned long before[10], after[10];

	CHECK(!prctl(PR_SET_NAME, "odd ) name"));
	CHECK(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_DUMPABLE, 1));
	CHECK(!mlockall(MCL_FUTURE));
	for (int i = 0; i < 4; i++)
		len[i] = slurp(names[i], text[i], sizeof(text[i]));
	CHECK(readlink("/proc/self/exe", link_, sizeof(link_) - 1) > 0);
	addresses(before);

	test_ready();

	for (int i = 0; i < 4; i++) {
		ssize_t n = slurp(names[i], buf, sizeof(buf));
		CHECK_EQ(n, len[i]);
		CHECK(!memcmp(buf, text[i], (size_t)n));
	}
	CHECK(readlink("/proc/self/exe", now, sizeof(now) - 1) > 0 && !strcmp(now, link_));
	addresses(after);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(after[i], before[i]);
	CHECK_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	/* The vdso is where auxv says, and works. */
	CHECK(!memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4));
	struct timespec ts;
	for (int i = 0; i < 1000; i++)
		CHECK(!clock_gettime(CLOCK_MONOTONIC, &ts) && ts.tv_sec > 0);
	/* MCL_FUTURE: a new mapping is present at once. */
	unsigned char in[4];
	void *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED && !mincore(p, 4 * 4096, in) && in[0] & in[3] & 1);
	pass();
}
