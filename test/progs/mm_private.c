// SPDX-License-Identifier: GPL-2.0-or-later
/* Private memory: anonymous in all protections, sparse, zero pages, heap and brk, private file mappings with changed pages. */
#include <setjmp.h>
#include <sys/mman.h>

#include "test.h"

#define PAGE 4096ul
#define PAGES 600ul

static unsigned char *anon(int prot, int flags)
{
	unsigned char *p = mmap(NULL, PAGES * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void fill(unsigned char *p, size_t from, size_t to, size_t step, unsigned seed)
{
	for (size_t i = from; i < to; i += step)
		memset(p + i * PAGE, (int)((i * 7 + seed) % 255 + 1), PAGE);
}

static void check(const unsigned char *p, size_t from, size_t to, size_t step, unsigned seed)
{
	for (size_t i = from; i < to; i++) {
		unsigned char want = (i - from) % step ? 0 : (unsigned char)((i * 7 + seed) % 255 + 1);

		for (size_t k = 0; k < PAGE; k++)
			if (p[i * PAGE + k] != want)
				fail("page %zu byte %zu is %u, not %u", i, k, p[i * PAGE + k], want);
	}
}

/* Is the page in memory, by the word of /proc/self/pagemap? */
static bool present(const unsigned char *p)
{
	uint64_t word;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(pread(fd, &word, 8, (off_t)((uintptr_t)p / PAGE * 8)) == 8);
	close(fd);
	return word >> 62;
}

static sigjmp_buf back;
static void on_fault(int sig)
{
	siglongjmp(back, sig);
}

static int fault(volatile unsigned char *p, bool write)
{
	int sig = sigsetjmp(back, 1);

	if (sig)
		return sig;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

int main(void)
{
	unsigned char *rw = anon(PROT_READ | PROT_WRITE, 0), *sparse = anon(PROT_READ | PROT_WRITE, MAP_NORESERVE);
	unsigned char *ro = anon(PROT_READ | PROT_WRITE, 0), *none = anon(PROT_READ | PROT_WRITE, 0);
	unsigned char *rx = anon(PROT_READ | PROT_WRITE, 0), *zero = anon(PROT_READ | PROT_WRITE, 0);
	unsigned char *heap = malloc(3 * PAGE), *file;
	void *top = sbrk(0);

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	fill(rw, 0, PAGES, 1, 1);
	fill(sparse, 0, PAGES, 3, 2);
	fill(ro, 0, PAGES, 2, 3);
	fill(none, 0, PAGES, 5, 4);
	fill(rx, 0, PAGES, 1, 5);
	CHECK(!mprotect(ro, PAGES * PAGE, PROT_READ));
	CHECK(!mprotect(none, PAGES * PAGE, PROT_NONE));
	CHECK(!mprotect(rx, PAGES * PAGE, PROT_READ | PROT_EXEC));
	memset(zero, 0, PAGES * PAGE); /* written, but with zeros: a dump stores none of it */
	zero[100 * PAGE + 4095] = 9;
	memset(heap, 0x5a, 3 * PAGE);
	CHECK(sbrk(5 * PAGE) == top);
	memset(top, 0x6b, 5 * PAGE);

	/* Three and a half pages of file in a mapping of six: page 1 changed, the last two have nothing behind them. */
	int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && !ftruncate(fd, 3 * PAGE + 100));
	CHECK(pwrite(fd, "zeroth", 6, 0) == 6 && pwrite(fd, "third", 5, 3 * PAGE) == 5);
	file = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(file != MAP_FAILED);
	memcpy(file + PAGE, "changed", 8);
	memset(file + 2 * PAGE, 0, PAGE);
	CHECK(!mprotect(file, 6 * PAGE, PROT_READ));
	close(fd);

	test_ready();

	check(rw, 0, PAGES, 1, 1);
	check(sparse, 0, PAGES, 3, 2);
	check(ro, 0, PAGES, 2, 3);
	check(rx, 0, PAGES, 1, 5);
	CHECK_EQ(fault(none, false), SIGSEGV);
	CHECK_EQ(fault(ro, true), SIGSEGV);
	CHECK_EQ(fault(rx, true), SIGSEGV);
	CHECK(!mprotect(none, PAGES * PAGE, PROT_READ));
	check(none, 0, PAGES, 5, 4);
	CHECK(!present(zero + 50 * PAGE) && present(zero + 100 * PAGE));
	for (size_t i = 0; i < PAGES * PAGE; i++)
		CHECK(zero[i] == (i == 100 * PAGE + 4095 ? 9 : 0));
	for (size_t i = 0; i < 3 * PAGE; i++)
		CHECK(heap[i] == 0x5a);
	for (size_t i = 0; i < 5 * PAGE; i++)
		CHECK(((unsigned char *)top)[i] == 0x6b);
	CHECK(sbrk(0) == (char *)top + 5 * PAGE);
	CHECK(sbrk(PAGE) == (char *)top + 5 * PAGE && *((char *)top + 5 * PAGE) == 0);
	free(heap);
	CHECK(!memcmp(file, "zeroth", 6) && !memcmp(file + PAGE, "changed", 8) && !memcmp(file + 3 * PAGE, "third", 5));
	CHECK_EQ(fault(file + 4 * PAGE, false), SIGBUS);
	CHECK_EQ(fault(file, true), SIGSEGV);
	/* Private still: the file never sees what is written. */
	CHECK(!mprotect(file, 6 * PAGE, PROT_READ | PROT_WRITE));
	memcpy(file, "mine!!", 6);
	char buf[6];
	fd = open("data", O_RDONLY);
	CHECK(fd >= 0 && pread(fd, buf, 6, 0) == 6 && !memcmp(buf, "zeroth", 6));
	pass();
}
