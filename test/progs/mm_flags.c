// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Everything that the kernel says of every mapping stays the same: range, permissions, offset, name, and VmFlags, with all kinds of
 * advice, locks, seals, guard regions, droppable and growing memory.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

#define PAGE 4096ul
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif

static char *anon(size_t pages)
{
	/* A page of another kind on each side keeps the kernel from merging. */
	char *p = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED && !mprotect(p + PAGE, pages * PAGE, PROT_READ | PROT_WRITE));
	return p + PAGE;
}

/* Lines of smaps that are state, not statistics, into memory that is there anyway. */
static char looks[2][1 << 20];
static char *snapshot(char *out)
{
	static char line[4096];
	size_t len = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		bool range = (*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f');

		if (!range && strncmp(line, "VmFlags:", 8) && strncmp(line, "Locked:", 7))
			continue;
		char *written = strstr(line, " sd"); /* since somebody cleared that bit */

		if (written && !range)
			memmove(written, written + 3, strlen(written + 3) + 1);
		CHECK(len + strlen(line) < sizeof(looks[0]));
		len += (size_t)sprintf(out + len, "%s", line);
	}
	fclose(f);
	return out;
}

static void *kids[64];
static size_t nkids;
static void keep(void *p)
{
	kids[nkids++] = p;
}

static const int advice[] = { MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP,
			      MADV_WIPEONFORK, MADV_MERGEABLE };

static bool guarded(char *p)
{
	int fd[2];
	bool ok;

	/* write(2) fails with EFAULT where an access would be a SIGSEGV. */
	CHECK(!pipe(fd));
	ok = write(fd[1], p, 1) < 0 && errno == EFAULT;
	close(fd[0]);
	close(fd[1]);
	return ok;
}

int main(void)
{
	char *guard = anon(16), *locked = anon(4), *onfault = anon(4), *sealed = anon(4), *huge;
	bool have_guard, have_seal, have_drop;
	char *before, *after, *grows, *drop;

	for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		char *p = anon(4);

		*p = (char)(i + 1);
		if (!madvise(p, 4 * PAGE, advice[i]))
			keep(p);
	}
	memset(guard, 7, 16 * PAGE);
	have_guard = !madvise(guard + 4 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL);
	CHECK(!mlock(locked, 4 * PAGE));
	CHECK(!syscall(SYS_mlock2, onfault, 4 * PAGE, 1));
	onfault[PAGE] = 3;
	strcpy(sealed, "sealed");
	have_seal = !mprotect(sealed, 4 * PAGE, PROT_READ) && !syscall(462, sealed, 4 * PAGE, 0);
	/* Far from everything: it grows only where nothing is within the stack guard gap. */
	grows = mmap((void *)0x200000000000, 8 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(grows != MAP_FAILED);
	strcpy(grows, "grows");
	drop = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	have_drop = drop != MAP_FAILED;
	huge = mmap(NULL, 8ul << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(huge != MAP_FAILED && !madvise(huge, 8ul << 20, MADV_HUGEPAGE));
	memset(huge, 0x11, 8ul << 20);
	snapshot(looks[0]); /* the heap and all pages of our own exist from the first look on */
	before = snapshot(looks[0]);

	test_ready();

	after = snapshot(looks[1]);
	for (const char *a = before, *b = after; *a || *b;) {
		int n = (int)strcspn(a, "\n"), m = (int)strcspn(b, "\n");

		if (n != m || memcmp(a, b, (size_t)n))
			fail("before: %.*s; after: %.*s", n, a, m, b);
		a += n + (a[n] == '\n');
		b += m + (b[m] == '\n');
	}
	for (size_t i = 0; i < nkids; i++)
		CHECK(*(char *)kids[i] > 0);
	for (size_t i = 0; i < 16; i++)
		if (have_guard && (i == 4 || i == 5))
			CHECK(guarded(guard + i * PAGE));
		else
			CHECK(guard[i * PAGE] == 7);
	CHECK(onfault[PAGE] == 3);
	if (have_seal)
		CHECK(!strcmp(sealed, "sealed") && munmap(sealed, PAGE) < 0 && errno == EPERM);
	CHECK(!strcmp(grows, "grows"));
	grows[-(long)PAGE] = 1;
	if (have_drop)
		drop[0] = 1;
	for (size_t i = 0; i < 8ul << 20; i++)
		CHECK(huge[i] == 0x11);
	pass();
}
