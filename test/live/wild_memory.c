/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wild_memory SEED TASKS PAUSE: a process and its children who do whatever can be done to memory, at random and PAUSE microseconds
 * apart, and who know what each page must hold. SIGUSR1: each looks at all of its own and says so in verdict.PID. SIGUSR2: each stands
 * still (paused.PID), or goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL /* Linux 6.13 */
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define PAGE 4096ul
#define PAGES 3072ul
#define BASE 0x10000000000ul
#define WORDS (PAGE / sizeof(uint64_t))
#define OBJECTS 5 /* the first is a file that nobody writes to */
#define OBJECT_PAGES 256ul
#define BEGINNING 500 /* operations before it says ready */

enum what { NOTHING, ANONYMOUS, PRIVATE, SHARED };
/* What a page must be. */
struct page {
	enum what what;
	int prot;
	bool guard, locked, unreserved;
	unsigned object, at;	 /* which page of which object; of an anonymous one where it was when it was written to */
	uint32_t version, writer; /* of its own content; version 0: none, it shows the object, or zeros */
};
static struct page *pages;
/* Shared by all: a page of an object is written to by one of the tasks only. */
static struct object { int fd; uint32_t version[OBJECT_PAGES]; } *objects;
static uint64_t state;
static unsigned long done;
static unsigned tasks, me;
static volatile sig_atomic_t asked, pausing;

static uint64_t random_number(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static size_t below(size_t n)
{
	return random_number() % n;
}

/* The first word of a page: none is zero. */
static uint64_t content(uint64_t whose, uint64_t page, uint64_t version)
{
	uint64_t x = whose * 0x9e3779b97f4a7c15ull ^ page * 0xbf58476d1ce4e5b9ull ^ version * 0x94d049bb133111ebull;

	x = (x ^ x >> 31) * 0xd6e8feb86659fd93ull;
	return (x ^ x >> 32) | 1;
}

static uint64_t object_content(unsigned object, unsigned page)
{
	const uint32_t version = objects[object].version[page];

	return version ? content(1000 + object, page, version) : 0;
}

static char *address(size_t i)
{
	return (char *)BASE + i * PAGE;
}

static void fill(void *page, uint64_t first)
{
	uint64_t *w = page;

	for (size_t i = 0; i < WORDS; i++)
		w[i] = first + i;
}

static void say(const char *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const char *file, const char *format, ...)
{
	char name[64], line[400];
	va_list args;
	int fd, n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	snprintf(name, sizeof(name), "%s.%d", file, (int)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		_exit(1);
	close(fd);
}

static void die(const char *what)
{
	say("verdict", "fail: operation %lu: %s: %s\n", done, what, strerror(errno));
	_exit(1);
}

/* ---- what is there ---- */

static bool is_mine(unsigned page)
{
	return page % tasks == me;
}

/* Pages that others write to may be anything. */
static bool is_certain(const struct page *p)
{
	return p->what == ANONYMOUS || !p->object || (p->what == PRIVATE && p->version) || is_mine(p->at);
}

static uint64_t wanted(const struct page *p)
{
	if (p->version)
		return content(p->writer, p->at, p->version);
	return p->what == ANONYMOUS ? 0 : object_content(p->object, p->at);
}

static bool is_right(size_t i)
{
	static uint64_t have[WORDS];
	const struct page *p = &pages[i];
	struct iovec here = { have, PAGE }, there = { address(i), PAGE };
	const uint64_t first = wanted(p);

	if (p->what == NOTHING || !is_certain(p))
		return true;
	if (p->guard) {
		if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) < 0)
			return true;
		say("verdict", "fail: after %lu operations page %zu is no guard\n", done, i);
		return false;
	}
	if (!(p->prot & PROT_READ) && mprotect(address(i), PAGE, PROT_READ))
		die("mprotect of what is to be looked at");
	memcpy(have, address(i), PAGE);
	if (!(p->prot & PROT_READ) && mprotect(address(i), PAGE, p->prot))
		die("mprotect of what was looked at");
	for (size_t k = 0; k < WORDS; k++)
		if (have[k] != (first ? first + k : 0)) {
			say("verdict", "fail: after %lu operations word %zu of page %zu is %lx, not %lx: kind %u object %u page %u version %u of %u\n",
			    done, k, i, have[k], first ? first + k : 0, p->what, p->object, p->at, p->version, p->writer);
			return false;
		}
	return true;
}

static void look_at_all(void)
{
	for (size_t i = 0; i < PAGES; i++)
		if (!is_right(i))
			return;
	say("verdict", "pass after %lu operations\n", done);
}

/* ---- what is done ---- */

struct range { size_t at, n; };

static struct range some(size_t most)
{
	struct range r = { below(PAGES), 1 + below(most) };

	if (r.at + r.n > PAGES)
		r.n = PAGES - r.at;
	return r;
}

static void forget(struct range r)
{
	memset(pages + r.at, 0, r.n * sizeof(*pages));
}

static bool all_mapped(struct range r)
{
	for (size_t i = r.at; i < r.at + r.n; i++)
		if (pages[i].what == NOTHING)
			return false;
	return true;
}

/* What mremap(2) takes for one mapping. */
static bool are_alike(struct range r)
{
	const struct page *a = &pages[r.at];

	for (const struct page *p = a; p < a + r.n; p++) {
		if (p->what == NOTHING || p->what != a->what || p->prot != a->prot || p->unreserved != a->unreserved)
			return false;
		if (a->what != ANONYMOUS && (p->object != a->object || (p > a && p->at != p[-1].at + 1)))
			return false;
	}
	return true;
}

static int some_prot(void)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
				     PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC };

	return prots[below(sizeof(prots) / sizeof(*prots))];
}

static void map_anonymous(void)
{
	const struct range r = some(64);
	const bool unreserved = !below(4), populate = !below(8);
	const int prot = some_prot();
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (unreserved ? MAP_NORESERVE : 0) | (populate ? MAP_POPULATE : 0);

	if (mmap(address(r.at), r.n * PAGE, prot, flags, -1, 0) == MAP_FAILED)
		die("mmap of anonymous memory");
	for (size_t i = r.at; i < r.at + r.n; i++)
		pages[i] = (struct page){ .what = ANONYMOUS, .prot = prot, .at = (unsigned)i, .unreserved = unreserved };
}

static void map_object(void)
{
	const struct range r = some(40);
	const unsigned object = (unsigned)below(OBJECTS), from = (unsigned)below(OBJECT_PAGES - r.n);
	const bool shared = below(2);
	const int prot = some_prot() & ~(shared && !object ? PROT_WRITE : 0);
	/* To populate what may be written to copies it: of what others write to nobody knows what was copied. */
	const int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (below(4) || object ? 0 : MAP_POPULATE);

	if (mmap(address(r.at), r.n * PAGE, prot, flags, objects[object].fd, (off_t)(from * PAGE)) == MAP_FAILED)
		die("mmap of an object");
	for (size_t i = 0; i < r.n; i++)
		pages[r.at + i] = (struct page){ .what = shared ? SHARED : PRIVATE, .prot = prot, .object = object, .at = from + (unsigned)i };
}

static void unmap(void)
{
	const struct range r = some(30);

	if (munmap(address(r.at), r.n * PAGE))
		die("munmap");
	forget(r);
}

static void protect(void)
{
	const struct range r = some(30);
	int prot = some_prot();

	if (!all_mapped(r))
		return;
	for (size_t i = r.at; i < r.at + r.n; i++)
		if (pages[i].what == SHARED && !pages[i].object)
			prot &= ~PROT_WRITE;
	if (mprotect(address(r.at), r.n * PAGE, prot))
		die("mprotect");
	for (size_t i = r.at; i < r.at + r.n; i++)
		pages[i].prot = prot;
}

static bool is_locked(struct range r)
{
	for (size_t i = r.at; i < r.at + r.n; i++)
		if (pages[i].locked)
			return true;
	return false;
}

/* Elsewhere, sometimes so that the mapping stays behind, empty. */
static void move(void)
{
	const struct range r = some(40);
	const size_t to = below(PAGES - r.n);
	bool stays = !below(8);
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	if (!are_alike(r) || (to + r.n > r.at && to < r.at + r.n))
		return;
	stays = stays && pages[r.at].what == ANONYMOUS && !is_locked(r);
	if (munmap(address(to), r.n * PAGE))
		die("munmap before mremap");
	forget((struct range){ to, r.n });
	flags |= stays ? MREMAP_DONTUNMAP : 0;
	if (mremap(address(r.at), r.n * PAGE, r.n * PAGE, flags, address(to)) == MAP_FAILED) {
		/* Several mappings after all (some are locked, say): those before the one that failed have moved. */
		for (size_t i = 0; i < r.n; i++) {
			unsigned char in_core;

			if (mincore(address(to + i), PAGE, &in_core))
				continue;
			pages[to + i] = pages[r.at + i];
			forget((struct range){ r.at + i, 1 });
		}
		return;
	}
	memcpy(pages + to, pages + r.at, r.n * sizeof(*pages));
	if (!stays)
		forget(r);
	for (size_t i = r.at; stays && i < r.at + r.n; i++) {
		pages[i].version = 0;
		pages[i].guard = false;
	}
}

static void resize(void)
{
	const struct range r = some(30);
	const size_t n = 1 + below(60);

	if (!are_alike(r) || r.at + n > PAGES)
		return;
	for (size_t i = r.at + r.n; i < r.at + n; i++)
		if (pages[i].what != NOTHING || pages[r.at].what != ANONYMOUS)
			return;
	if (mremap(address(r.at), r.n * PAGE, n * PAGE, 0) == MAP_FAILED)
		return;
	for (size_t i = r.at + r.n; i < r.at + n; i++) {
		pages[i] = pages[r.at + r.n - 1];
		pages[i].version = 0;
		pages[i].guard = false;
	}
	if (n < r.n)
		forget((struct range){ r.at + n, r.n - n });
}

static void drop(void)
{
	const struct range r = some(40);

	for (size_t i = r.at; i < r.at + r.n; i++)
		if (pages[i].what != NOTHING && !pages[i].locked && !madvise(address(i), PAGE, MADV_DONTNEED))
			pages[i].version = 0;
}

static void guard(void)
{
	const struct range r = some(10);
	const bool install = below(2);

	for (size_t i = r.at; i < r.at + r.n; i++)
		if (pages[i].what != ANONYMOUS || pages[i].locked)
			return;
	if (madvise(address(r.at), r.n * PAGE, install ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE))
		return;
	for (size_t i = r.at; i < r.at + r.n; i++) {
		pages[i].version = install ? 0 : pages[i].version;
		pages[i].guard = install;
	}
}

/* Nothing of this changes what a page holds. */
static void advise(void)
{
	static const int advice[] = { MADV_RANDOM, MADV_SEQUENTIAL, MADV_NORMAL, MADV_DONTDUMP, MADV_DODUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
				      MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_COLD, MADV_PAGEOUT, MADV_COLLAPSE };
	const struct range r = some(200);

	madvise(address(r.at), r.n * PAGE, advice[below(sizeof(advice) / sizeof(*advice))]);
}

/* Copies what may be written to, as populating does. */
static void lock(void)
{
	const struct range r = some(20);
	const unsigned flags = (unsigned)below(3); /* 2: unlocks */

	for (size_t i = r.at; i < r.at + r.n; i++)
		if (pages[i].what == NOTHING || (pages[i].what == PRIVATE && pages[i].object) || pages[i].guard)
			return;
	for (size_t i = r.at; i < r.at + r.n; i++) {
		pages[i].locked = flags < 2 && !mlock2(address(i), PAGE, flags);
		if (!pages[i].locked)
			munlock(address(i), PAGE);
	}
}

/* A page of an object that is ours to write; false: there is none. */
static bool own_page(unsigned *object, unsigned *page)
{
	*object = 1 + (unsigned)below(OBJECTS - 1);
	*page = (unsigned)(below(OBJECT_PAGES) / tasks * tasks + me);
	return *page < OBJECT_PAGES;
}

static void punch(void)
{
	unsigned object, page;

	if (own_page(&object, &page) &&
	    !fallocate(objects[object].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * PAGE), (off_t)PAGE))
		objects[object].version[page] = 0;
}

static void write_object(void)
{
	static uint64_t bytes[WORDS];
	unsigned object, page;

	if (!own_page(&object, &page))
		return;
	fill(bytes, content(1000 + object, page, objects[object].version[page] + 1));
	if (pwrite(objects[object].fd, bytes, PAGE, (off_t)(page * PAGE)) != (ssize_t)PAGE)
		die("pwrite to an object");
	objects[object].version[page]++;
}

static bool may(size_t i, int prot)
{
	return pages[i].what != NOTHING && !pages[i].guard && pages[i].prot & prot;
}

static void read_some(void)
{
	const struct range r = some(40);

	for (size_t i = r.at; i < r.at + r.n; i++)
		if (may(i, PROT_READ))
			(void)*(volatile char *)address(i);
}

static void write_page(size_t i)
{
	struct page *p = &pages[i];

	if (!may(i, PROT_WRITE))
		return;
	if (p->what == SHARED) {
		if (!p->object || !is_mine(p->at))
			return;
		fill(address(i), content(1000 + p->object, p->at, objects[p->object].version[p->at] + 1));
		objects[p->object].version[p->at]++;
		return;
	}
	p->at = p->what == ANONYMOUS ? (unsigned)i : p->at;
	p->writer = me + 1;
	p->version++;
	fill(address(i), content(p->writer, p->at, p->version));
}

static void write_some(void)
{
	const struct range r = some(24);

	for (size_t i = r.at; i < r.at + r.n; i++)
		write_page(i);
}

/* Its own page from then on, with what it would show without that: zeros, or the file's. */
static void write_the_same(void)
{
	const struct range r = some(24);

	for (size_t i = r.at; i < r.at + r.n; i++) {
		struct page *p = &pages[i];

		if (!may(i, PROT_WRITE) || p->what == SHARED || (p->what == PRIVATE && p->object))
			continue;
		p->version = 0;
		if (p->what == ANONYMOUS)
			memset(address(i), 0, PAGE);
		else
			fill(address(i), wanted(p));
	}
}

/* Somebody who has our pages for a moment, and writes to some. */
static void fork_shortly(void)
{
	struct timespec moment = { .tv_nsec = (long)below(30) * 1000000 };
	pid_t child;

	if (below(7))
		return;
	child = fork();
	if (!child) {
		for (int i = 0; i < 20; i++) {
			size_t at = below(PAGES);

			if (pages[at].what != SHARED)
				write_page(at);
		}
		nanosleep(&moment, NULL);
		_exit(0);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void do_something(void)
{
	static void (*const ways[])(void) = { map_anonymous, map_anonymous, map_object, map_object, unmap, protect, move, resize, drop, guard,
					      advise, lock, punch, write_object, read_some, write_the_same, fork_shortly, write_some,
					      write_some, write_some, write_some, write_some, write_some, write_some };

	ways[below(sizeof(ways) / sizeof(*ways))]();
	done++;
}

/* ---- beginning, and being asked ---- */

static void on_ask(int signo)
{
	asked = 1;
}

static void on_pause(int signo)
{
	pausing = !pausing;
}

static void *shared_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void make_objects(void)
{
	static uint64_t bytes[WORDS];
	char name[] = "/dev/shm/wild_memory.XXXXXX";

	objects[0].fd = open("pattern", O_RDWR | O_CREAT, 0644);
	for (unsigned i = 0; i < OBJECT_PAGES; i++) {
		objects[0].version[i] = 1;
		fill(bytes, object_content(0, i));
		if (write(objects[0].fd, bytes, PAGE) != (ssize_t)PAGE)
			die("pattern");
	}
	close(objects[0].fd);
	objects[0].fd = open("pattern", O_RDONLY);
	for (unsigned i = 1; i < OBJECTS; i++) {
		objects[i].fd = i < OBJECTS - 1 ? memfd_create("object", 0) : mkstemp(name);
		if (objects[i].fd < 0 || ftruncate(objects[i].fd, OBJECT_PAGES * PAGE))
			die("an object");
	}
	unlink(name);
}

static void stand_still(void)
{
	sigset_t both, before;

	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	sigprocmask(SIG_BLOCK, &both, &before);
	say("paused", "x");
	while (pausing && !asked)
		sigsuspend(&before);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction on = { .sa_handler = on_ask, .sa_flags = SA_RESTART };
	struct timespec pause;

	if (argc != 4)
		return 2;
	state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
	tasks = (unsigned)atoi(argv[2]);
	pause = (struct timespec){ .tv_nsec = atol(argv[3]) * 1000 };
	pages = mmap(NULL, PAGES * sizeof(*pages), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	objects = shared_memory(OBJECTS * sizeof(*objects));
	make_objects();
	sigaction(SIGUSR1, &on, NULL);
	on.sa_handler = on_pause;
	sigaction(SIGUSR2, &on, NULL);
	while (done < BEGINNING)
		do_something();
	for (unsigned i = 1; i < tasks && !me; i++)
		if (!fork()) {
			me = i;
			state ^= content(me, 5, 6);
		}
	say("ready", "x");
	for (;;) {
		if (asked) {
			asked = 0;
			look_at_all();
		}
		if (pausing) {
			stand_still();
			continue;
		}
		do_something();
		nanosleep(&pause, NULL);
	}
}
