/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: timeout=400 */
/* A chain of 500 processes, each the child of the one before; the last ends it from below. */
#include "test.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { DEPTH = 500 };
static struct { int go, deepest; pid_t pid[DEPTH]; } *s;

static void chain(int level)
{
	pid_t parent = getppid(), child = 0;
	int status;

	s->pid[level] = getpid();
	if (level + 1 < DEPTH) {
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			chain(level + 1);
			_exit(99);
		}
	} else {
		__atomic_store_n(&s->deepest, 1, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
			test_sleep_ms(5);
		_exit(getppid() == parent && getpid() == s->pid[level] ? 0 : 1);
	}
	if (!level)
		return;
	/* Each says with its own status whether all below it were as before. */
	if (waitpid(child, &status, 0) != child || status || getppid() != parent || getpid() != s->pid[level])
		_exit(1);
	_exit(0);
}

int main(void)
{
	int status;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	chain(0);
	while (!__atomic_load_n(&s->deepest, __ATOMIC_ACQUIRE))
		test_sleep_ms(1);
	test_ready();
	__atomic_store_n(&s->go, 1, __ATOMIC_RELEASE);
	CHECK_EQ(waitpid(s->pid[1], &status, 0), s->pid[1]);
	CHECK_EQ(status, 0);
	pass();
}
