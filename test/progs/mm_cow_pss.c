/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: dump=--cow-pages timeout=120 */
/*
 * Memory that parent and children share since fork(2) takes no more room after a restore than before: 64 MiB, eight children
 * that touched nothing, one that wrote to a part, one that gave a part back, and a grandchild. The sum of all Pss tells.
 */
#include "test.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { BYTES = 64 << 20, PART = 2 << 20, CHILDREN = 10 };

static struct { pid_t pid[CHILDREN + 2]; int n, go; } *s;
static unsigned *mem;

static unsigned word(size_t i)
{
	return (unsigned)i * 2654435761u;
}

static bool intact(size_t skip, size_t len, unsigned there)
{
	for (size_t i = 0; i < BYTES / sizeof(*mem); i++) {
		bool part = i * sizeof(*mem) >= skip && i * sizeof(*mem) < skip + len;

		if (mem[i] != (part ? there : word(i)))
			return false;
	}
	return true;
}

static long total_pss(void)
{
	long sum = 0;

	for (int i = 0; i < s->n; i++) {
		char path[64], line[256];
		long kb = -1;

		snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", s->pid[i]);
		FILE *f = fopen(path, "re");
		CHECK(f);
		while (kb < 0 && fgets(line, sizeof(line), f))
			sscanf(line, "Pss: %ld kB", &kb);
		fclose(f);
		CHECK(kb >= 0);
		sum += kb;
	}
	return sum;
}

static void enter(void)
{
	s->pid[__atomic_fetch_add(&s->n, 1, __ATOMIC_SEQ_CST)] = getpid();
}

static void child(int k)
{
	size_t at = 0, len = 0;
	unsigned there = 0;
	int status = 0;
	pid_t below = 0;

	if (k == 3) {
		at = 10 << 20, len = PART, there = 0x07070707;
		memset((char *)mem + at, 7, len);
	} else if (k == 4) {
		at = 40 << 20, len = PART;
		CHECK(!madvise((char *)mem + at, len, MADV_DONTNEED));
	} else if (k == 5) {
		below = fork();
		CHECK(below >= 0);
		if (!below) {
			at = 20 << 20, len = PART, there = 0x09090909;
			memset((char *)mem + at, 9, len);
		}
	}
	enter();
	while (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
		test_sleep_ms(2);
	if (!intact(at, len, there))
		_exit(1);
	if (below && (waitpid(below, &status, 0) != below || status))
		_exit(2);
	_exit(0);
}

int main(void)
{
	long before, after;
	int status;

	mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED && s != MAP_FAILED);
	for (size_t i = 0; i < BYTES / sizeof(*mem); i++)
		mem[i] = word(i);
	enter();
	for (int k = 0; k < CHILDREN; k++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			child(k);
	}
	while (__atomic_load_n(&s->n, __ATOMIC_SEQ_CST) < CHILDREN + 2)
		test_sleep_ms(1);
	before = total_pss();

	test_ready();

	after = total_pss();
	if (after > before + before / 20)
		fail("before %ld KiB in all processes, after %ld", before, after);
	__atomic_store_n(&s->go, 1, __ATOMIC_RELEASE);
	for (int k = 0; k < CHILDREN; k++) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	CHECK(intact(0, 0, 0));
	pass();
}
