// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of huge pages of 2 MiB: private, shared anonymous with several views, a memfd with a private view of it, a file
 * of hugetlbfs, no reservation. Run by test/live/hugetlb.sh, which sees to it that there are such pages.
 * test: helper
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "test.h"

#define HUGE (2ul << 20)
#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4u
#endif

static char *map(size_t n, int flags, int fd)
{
	char *p = mmap(NULL, n * HUGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* VmFlags of the mapping at p have these two words, and its pages are huge. */
static void check_flags(const char *p, bool shared)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	char line[400];
	bool here = false, seen = false;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && line[0] != 'V')
			here = start == (unsigned long)p;
		if (here && !strncmp(line, "KernelPageSize:", 15))
			CHECK(strstr(line, " 2048 kB"));
		if (here && !strncmp(line, "VmFlags:", 8)) {
			CHECK(strstr(line, " ht") && !strstr(line, " sh") == !shared);
			seen = true;
		}
	}
	fclose(f);
	CHECK(seen);
}

int main(void)
{
	char *private = map(2, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1), *readonly, *part;
	char *shared = map(2, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1), *file, *own;
	char *none = mmap(NULL, 64 * HUGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
	int mfd = memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	struct statfs fs;

	CHECK(none != MAP_FAILED && mfd >= 0 && !ftruncate(mfd, (off_t)(2 * HUGE)));
	for (size_t i = 0; i < 2 * HUGE; i += 4096)
		*(size_t *)(void *)(private + i) = i + 1;
	readonly = private + HUGE;
	CHECK(!mprotect(readonly, HUGE, PROT_READ));
	strcpy(shared + HUGE + 12345, "of two views");
	part = shared;
	shared += HUGE;
	CHECK(!munmap(part, HUGE)); /* what stays begins in the middle */
	file = map(2, MAP_SHARED, mfd);
	strcpy(file + 5, "in the memfd");
	strcpy(file + HUGE + 4096, "and behind");
	own = map(1, MAP_PRIVATE, mfd);
	strcpy(own + 8192, "mine");
	CHECK(!fcntl(mfd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
	CHECK(lseek(mfd, 4711, SEEK_SET) == 4711);

	CHECK(!mkdir("huge", 0755) && !mount("none", "huge", "hugetlbfs", 0, "pagesize=2M"));
	int hfd = open("huge/file", O_RDWR | O_CREAT, 0600);
	CHECK(hfd >= 0 && !ftruncate(hfd, (off_t)HUGE));
	char *named = map(1, MAP_SHARED, hfd), *copy = map(1, MAP_PRIVATE, hfd);
	close(hfd);
	strcpy(named, "of hugetlbfs");
	strcpy(copy + 4096, "a copy");

	test_ready();

	check_flags(private, false);
	check_flags(readonly, false);
	check_flags(shared, true);
	check_flags(file, true);
	check_flags(own, false);
	check_flags(none, false);
	for (size_t i = 0; i < 2 * HUGE; i += 4096)
		CHECK_EQ(*(size_t *)(void *)(private + i), i + 1);
	CHECK(!strcmp(shared + 12345, "of two views"));
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		strcpy(shared, "child");
		_exit(0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid && !strcmp(shared, "child"));
	CHECK(!strcmp(file + 5, "in the memfd") && !strcmp(file + HUGE + 4096, "and behind"));
	CHECK(!strcmp(own + 5, "in the memfd") && !strcmp(own + 8192, "mine") && !file[8192]);
	file[7] = 'X';
	char buf[16] = "";
	CHECK(pread(mfd, buf, 12, 5) == 12 && !strcmp(buf, "inXthe memfd"));
	CHECK(!fstatfs(mfd, &fs));
	CHECK_EQ(fs.f_bsize, HUGE);
	CHECK_EQ(fcntl(mfd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
	CHECK_EQ(lseek(mfd, 0, SEEK_CUR), 4711);
	check_flags(named, true);
	check_flags(copy, false);
	CHECK(!strcmp(named, "of hugetlbfs") && !strcmp(copy, "of hugetlbfs") && !strcmp(copy + 4096, "a copy"));
	CHECK(!named[4096] && (hfd = open("huge/file", O_RDONLY)) >= 0);
	named[1] = 'x';
	CHECK(pread(hfd, buf, 4, 0) == 4 && !strncmp(buf, "ox h", 4));
	CHECK_EQ(none[3 * HUGE], 0);
	pass();
}
