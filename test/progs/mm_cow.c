/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that are shared since fork(2), in a chain of three generations: each has written to some of them before and after it
 * made its children, and every page must hold what its own process saw in it.
 *
 * test: dump=--cow-pages
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

enum { PAGES = 8192, PAGE = 4096 };

static unsigned char *mem;
static unsigned char wrote[PAGES]; /* who wrote it last; also a private page of every process */

static void write_every(size_t step, size_t first, unsigned char who)
{
	for (size_t i = first; i < PAGES; i += step) {
		memset(mem + i * PAGE, who, PAGE);
		memcpy(mem + i * PAGE, &i, sizeof(i));
		wrote[i] = who;
	}
}

static bool intact(void)
{
	for (size_t i = 0; i < PAGES; i++) {
		size_t number;

		memcpy(&number, mem + i * PAGE, sizeof(number));
		if (!wrote[i] ? number || mem[i * PAGE + 9] :
				number != i || mem[i * PAGE + 9] != wrote[i] || mem[i * PAGE + PAGE - 1] != wrote[i])
			return false;
	}
	return true;
}

static void wait_go(void)
{
	while (!test_told())
		usleep(2000);
}

/* Proves its own memory, and that of its children by how they end. */
static int prove(int children)
{
	int status, bad = intact() ? 0 : 1;

	while (children--)
		bad |= wait(&status) < 0 || status;
	/* What is shared must still be writable, and only for oneself. */
	write_every(5, 0, 99);
	return bad || !intact();
}

int main(void)
{
	int up[2];
	char c;

	CHECK(!pipe2(up, O_CLOEXEC));
	mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	write_every(2, 0, 1); /* every second page stays untouched */
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid)
			continue;
		if (i == 1) { /* writes, then has a child, then writes again */
			write_every(3, 1, 2);
			pid = fork();
			if (pid < 0)
				_exit(2);
			if (!pid)
				write_every(11, 4, 3);
			else
				write_every(13, 6, 4);
		}
		if (i == 2) { /* a mapping of its own in the middle */
			munmap(mem + 1000 * PAGE, 100 * PAGE);
			mmap(mem + 1000 * PAGE, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			memset(wrote + 1000, 0, 100);
			mprotect(mem + 2000 * PAGE, 50 * PAGE, PROT_READ);
			mprotect(mem + 2000 * PAGE, 50 * PAGE, PROT_READ | PROT_WRITE);
		}
		if (write(up[1], "", 1) != 1)
			_exit(3);
		wait_go();
		_exit(prove(i == 1 && pid ? 1 : 0));
	}
	for (int i = 0; i < 4; i++)
		CHECK(read(up[0], &c, 1) == 1);
	write_every(7, 3, 5); /* the children keep the old ones */
	test_ready_mark();
	wait_go();
	CHECK(!prove(3));
	pass();
}
