// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies of pages of files that are equal to the file's: they are in no image, come back as copies, and do not change when the file
 * does. Between them are pages that were changed, zeroed, or never written to; behind them what a file has a part of, or nothing.
 *
 *   mm_file_copies [watch]	watch: and the file is watched; that a dump reads it must not be seen
 */
#include <sys/inotify.h>
#include <sys/mman.h>

#include "test.h"

#define PAGE 4096ul
#define PAGES 600ul

enum what { FILES, SAME, CHANGED, ZEROED };

static uint64_t word(size_t page, size_t i)
{
	return (page + 1) * 0x9e3779b97f4a7c15ull ^ i * 0x2545f4914f6cdd1dull;
}

static void fill(uint64_t *p, size_t page, uint64_t mask)
{
	for (size_t i = 0; i < PAGE / 8; i++)
		p[i] = word(page, i) ^ mask;
}

static void write_file(int fd, size_t pages, uint64_t mask)
{
	uint64_t buf[PAGE / 8];

	for (size_t i = 0; i < pages; i++) {
		fill(buf, i, mask);
		CHECK(pwrite(fd, buf, PAGE, (off_t)(i * PAGE)) == (ssize_t)PAGE);
	}
}

/* Is the page the task's own, by the word of /proc/self/pagemap? */
static bool is_own(const void *p)
{
	static int fd = -1;
	uint64_t w;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && pread(fd, &w, 8, (off_t)((uintptr_t)p / PAGE * 8)) == 8);
	return w >> 62 && !(w >> 61 & 1);
}

/* What becomes of each page of a mapping; step: one kind after the other, so many pages of each. */
static enum what kind(size_t i, size_t step)
{
	return step ? (enum what)(i / step % 4) : SAME;
}

static void touch(unsigned char *at, size_t first, size_t pages, size_t step)
{
	for (size_t i = 0; i < pages; i++) {
		volatile unsigned char *p = at + i * PAGE;

		switch (kind(i, step)) {
		case FILES:
			break;
		case SAME:
			p[i % PAGE] = p[i % PAGE];
			break;
		case CHANGED:
			fill((uint64_t *)(void *)(at + i * PAGE), first + i, 0x55);
			break;
		case ZEROED:
			memset(at + i * PAGE, 0, PAGE);
		}
	}
}

/* mask: what the file has now. */
static void check(const unsigned char *at, size_t first, size_t pages, size_t step, uint64_t mask)
{
	for (size_t i = 0; i < pages; i++) {
		const uint64_t *p = (const uint64_t *)(const void *)(at + i * PAGE);
		enum what k = kind(i, step);

		if (is_own(p) != (k != FILES))
			fail("page %zu of kind %d: own is %d", i, k, is_own(p));
		for (size_t n = 0; n < PAGE / 8; n++) {
			uint64_t same = word(first + i, n);
			uint64_t want = k == FILES ? same ^ mask : k == SAME ? same : k == CHANGED ? same ^ 0x55 : 0;

			if (p[n] != want)
				fail("page %zu of kind %d: word %zu is %lx, not %lx", i, k, n, (long)p[n], (long)want);
		}
	}
}

static unsigned char *map(int fd, size_t first, size_t pages)
{
	unsigned char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, (off_t)(first * PAGE));

	CHECK(p != MAP_FAILED);
	return p;
}

int main(int argc, char **argv)
{
	const bool watch = argc > 1 && !strcmp(argv[1], "watch");
	int watcher = -1;
	char event[512];
	int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0644);
	unsigned char *all, *single, *runs, *hidden, *locked, *end;

	CHECK(fd >= 0);
	write_file(fd, PAGES, 0);
	CHECK(pwrite(fd, "the end", 7, PAGES * PAGE) == 7);
	all = map(fd, 0, PAGES);
	single = map(fd, 100, PAGES - 100);
	runs = map(fd, 0, PAGES);
	hidden = map(fd, 3, 50);
	locked = map(fd, 7, 20);
	end = map(fd, PAGES - 10, 14);
	touch(all, 0, PAGES, 0);
	touch(single, 100, PAGES - 100, 1);
	touch(runs, 0, PAGES, 37);
	touch(hidden, 3, 50, 0);
	CHECK(!mprotect(hidden, 50 * PAGE, PROT_NONE));
	CHECK(!mlock(locked, 20 * PAGE)); /* that makes copies where it may be written to */
	touch(end, PAGES - 10, 11, 0); /* the last one of these begins in the file and ends behind it */
	close(fd);
	if (watch)
		CHECK((watcher = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) >= 0 && inotify_add_watch(watcher, "data", IN_ALL_EVENTS) > 0);

	test_ready();

	if (watch)
		CHECK(read(watcher, event, sizeof(event)) < 0 && errno == EAGAIN);

	/* Twice: the second time of another file. */
	for (uint64_t mask = 0; mask < 2; mask++) {
		if (mask) {
			fd = open("data", O_RDWR);
			CHECK(fd >= 0);
			write_file(fd, PAGES, mask);
			CHECK(pwrite(fd, "begins", 6, PAGES * PAGE) == 6);
		}
		check(all, 0, PAGES, 0, mask);
		check(single, 100, PAGES - 100, 1, mask);
		check(runs, 0, PAGES, 37, mask);
		check(locked, 7, 20, 0, mask);
		check(end, PAGES - 10, 10, 0, mask);
		CHECK(is_own(end + 10 * PAGE) && !memcmp(end + 10 * PAGE, "the end", 8));
		CHECK(!mprotect(hidden, 50 * PAGE, mask ? PROT_NONE : PROT_READ));
		if (!mask)
			check(hidden, 3, 50, 0, mask);
	}
	pass();
}
