/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process whose memory changes all the time, at random and known places: what each page holds follows from its number
 * and from how often it was written. SIGUSR1: checks every page, and appends a line to "verdict".
 *
 *   changing MEBIBYTES [PAUSE_US]
 *
 * Memory: private anonymous pages, a private mapping of a file (some pages of it are written to, and equal to the file's), shared anonymous memory, a memfd; mappings move
 * (mremap), grow, go and come back; a child made by fork changes its own copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define WORDS (PAGE / 8)
#define AS_FILE 0x80000000u

struct area {
	const char *name;
	uint64_t *at;
	size_t pages;
	uint32_t *written; /* how often each page was; 0: it is zeros, or the file's; AS_FILE: written with what the file has */
	bool file;
};

static volatile sig_atomic_t asked;
static uint64_t seed = 88172645463325252ull;

static void on_usr1(int sig)
{
	(void)sig;
	asked = 1;
}

static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static uint64_t word(size_t page, uint32_t written, size_t i)
{
	written = written & AS_FILE ? 0 : written;
	uint64_t s = (page * 0x9e3779b97f4a7c15ull + 1) ^ ((uint64_t)written << 32) ^ (i * 0x2545f4914f6cdd1dull + 7);

	return next(&s);
}

/* The count is written when the page is: whoever is interrupted between the words goes on with them. */
static void write_page(struct area *a, size_t page)
{
	uint64_t *p = a->at + page * WORDS;
	uint32_t n = (a->written[page] & ~AS_FILE) + 1;

	if (a->file && n % 4 == 0)
		n |= AS_FILE;
	for (size_t i = 0; i < WORDS; i++)
		p[i] = word(page, n, i);
	a->written[page] = n;
}

static void drop_page(struct area *a, size_t page)
{
	madvise(a->at + page * WORDS, PAGE, MADV_DONTNEED);
	a->written[page] |= AS_FILE;
}

static int check(const struct area *a, char *why, size_t len)
{
	for (size_t page = 0; page < a->pages; page++)
		for (size_t i = 0; i < WORDS; i++) {
			uint64_t want = a->written[page] ? word(page, a->written[page], i) : a->file ? word(page, 0, i) : 0;
			uint64_t got = a->at[page * WORDS + i];

			if (got == want)
				continue;
			snprintf(why, len, "%s: page %zu word %zu is %lx, not %lx (written %u times)", a->name, page, i, got,
				 want, a->written[page]);
			return -1;
		}
	return 0;
}

static void *map(size_t len, int flags, int fd)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void say(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(1);
	close(fd);
}

/* What a tracker of changes must not lose: memory that moves, is dropped, grows. */
static void shake(struct area *a, uint64_t r)
{
	size_t page = r % a->pages, n = 1 + (r >> 20) % 32;

	n = page + n > a->pages ? a->pages - page : n;
	switch ((r >> 40) % 3) {
	case 0: /* away and back: zeros */
		madvise(a->at + page * WORDS, n * PAGE, MADV_DONTNEED);
		memset(a->written + page, 0, n * sizeof(*a->written));
		break;
	case 1: { /* two ranges change places */
		size_t other = (page + a->pages / 2) % a->pages;

		if (other + n > a->pages || page + n > a->pages || (other < page + n && page < other + n))
			break;
		/* By way of a copy: moved pages come to the place without being written there. */
		char *spare = map(n * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		for (size_t k = 0; k < n; k++)
			for (size_t i = 0; i < WORDS; i++)
				((uint64_t *)(void *)spare)[k * WORDS + i] = word(page + k, a->written[page + k] + 1, i);
		if (mremap(spare, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a->at + page * WORDS) == MAP_FAILED)
			exit(1);
		for (size_t k = 0; k < n; k++)
			a->written[page + k]++;
		break;
	}
	default: /* a new mapping in place of the old one */
		mmap(a->at + page * WORDS, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		memset(a->written + page, 0, n * sizeof(*a->written));
		write_page(a, page);
	}
}

static void verdict(struct area *areas, size_t n, const char *name, unsigned long rounds)
{
	char why[256] = "", line[400];
	int bad = 0;

	for (size_t i = 0; i < n && !bad; i++)
		bad = check(&areas[i], why, sizeof(why));
	snprintf(line, sizeof(line), bad ? "fail after %lu rounds: %s\n" : "pass %lu%s\n", rounds, why);
	say(name, line);
}

int main(int argc, char **argv)
{
	size_t pages = (argc > 1 ? strtoul(argv[1], NULL, 10) : 16) * 256;
	long pause_us = argc > 2 ? atol(argv[2]) : 200;
	int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), memfd = memfd_create("changing", MFD_CLOEXEC);
	struct area areas[] = {
		{ .name = "anonymous", .pages = pages },
		{ .name = "file", .pages = 256, .file = true },
		{ .name = "shared", .pages = 256 },
		{ .name = "memfd", .pages = 256 },
	};
	unsigned long rounds = 0;
	const char *name = "verdict";
	pid_t child;

	for (size_t p = 0; p < areas[1].pages; p++) {
		uint64_t w[WORDS];

		for (size_t i = 0; i < WORDS; i++)
			w[i] = word(p, 0, i);
		if (write(file, w, sizeof(w)) != (ssize_t)sizeof(w))
			return 1;
	}
	if (ftruncate(memfd, (off_t)(areas[3].pages * PAGE)))
		return 1;
	areas[0].at = map(pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	areas[1].at = map(areas[1].pages * PAGE, MAP_PRIVATE, file);
	areas[2].at = map(areas[2].pages * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1);
	areas[3].at = map(areas[3].pages * PAGE, MAP_SHARED, memfd);
	for (size_t i = 0; i < 4; i++)
		areas[i].written = map(areas[i].pages * sizeof(uint32_t), MAP_PRIVATE | MAP_ANONYMOUS, -1);
	signal(SIGUSR1, on_usr1);
	for (size_t p = 0; p < pages; p++)
		write_page(&areas[0], p);
	child = fork();
	if (!child) { /* its own copy, and other changes; what is shared is the parent's */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		areas[2].pages = areas[3].pages = 0;
		name = "verdict.child";
		seed ^= 0x5555;
	}
	say(child ? "ready" : "ready.child", "");
	for (;; rounds++) {
		uint64_t r = next(&seed);
		struct area *a = &areas[r % 8 < 5 ? 0 : r % 8 - 4];

		if (asked) {
			asked = 0;
			verdict(areas, 4, name, rounds);
		}
		if (!a->pages)
			continue;
		if (rounds % 64 == 63)
			shake(&areas[0], r);
		else if (a->file && (r >> 40) % 8 == 0) /* not its own any more, but what the count says */
			drop_page(a, (r >> 8) % a->pages);
		else
			write_page(a, (r >> 8) % a->pages);
		if (pause_us)
			usleep((useconds_t)pause_us);
	}
}
