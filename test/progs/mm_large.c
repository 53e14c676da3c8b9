// SPDX-License-Identifier: GPL-2.0-or-later
/* So much memory that a restore has two readers: dense, scattered, read-only, in huge pages; and holes stay holes. */
#include <sys/mman.h>

#include "test.h"

#define PAGE 4096ul
#define PART (24ul << 20)

static uint64_t *area(unsigned long len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static uint64_t word(size_t part, size_t i)
{
	return (part * 0x100000000ull + i) * 0x9e3779b97f4a7c15ull | 1;
}

static void fill(uint64_t *p, size_t part, size_t every)
{
	for (size_t page = 0; page < PART / PAGE; page += every)
		for (size_t i = page * 512; i < (page + 1) * 512; i++)
			p[i] = word(part, i);
}

static void check(const uint64_t *p, size_t part, size_t every)
{
	for (size_t i = 0; i < PART / 8; i++)
		CHECK(p[i] == (i / 512 % every ? 0 : word(part, i)));
}

int main(void)
{
	uint64_t *dense = area(PART), *scattered = area(PART), *fixed = area(PART), *huge = area(PART);
	unsigned char before[PART / PAGE], in[PART / PAGE];

	CHECK(!madvise(huge, PART, MADV_HUGEPAGE) || errno == EINVAL);
	fill(dense, 1, 1);
	fill(scattered, 2, 3);
	fill(fixed, 3, 1);
	fill(huge, 4, 1);
	CHECK(!mprotect(fixed, PART, PROT_READ));
	CHECK(!mincore(scattered, PART, before));
	test_ready();
	CHECK(!mincore(scattered, PART, in));
	for (size_t i = 0; i < PART / PAGE; i++)
		/* Where huge pages are made unasked, pages of zeroes were there. */
		CHECK((in[i] & 1) == (before[i] & 1) || (i % 3 && before[i] & 1));
	check(dense, 1, 1);
	check(scattered, 2, 3);
	check(fixed, 3, 1);
	check(huge, 4, 1);
	pass();
}
