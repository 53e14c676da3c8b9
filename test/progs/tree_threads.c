/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads with children: a process whose second thread made a child, which has threads, too, of which one made a child. Each is
 * waited for by who made it, as any thread of a process may. (/proc tells which thread made a child; that it is the first one afterwards.)
 *
 * test: busy
 */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct stand { volatile int up, go; volatile pid_t child, grandchild; } *s;

static void until(volatile int *word, int value)
{
	for (int i = 0; *word < value; i++) {
		if (i > 60000)
			_exit(99);
		test_sleep_ms(2);
	}
}

static void *inner(void *arg)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (!pid) {
		s->grandchild = getpid();
		s->up = 1;
		until(&s->go, 1);
		_exit(getppid() == parent ? 21 : 22);
	}
	if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 21)
		_exit(1);
	_exit(31);
	return arg;
}

static void *maker(void *arg)
{
	pid_t parent = getpid(), pid = fork();
	pthread_t t;
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		s->child = getpid();
		if (pthread_create(&t, NULL, inner, NULL) || getppid() != parent)
			_exit(2);
		for (;;)
			pause();
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 31);
	return arg;
}

int main(void)
{
	char path[64];
	pthread_t t;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	CHECK(!pthread_create(&t, NULL, maker, NULL));
	until(&s->up, 1);

	test_ready();

	snprintf(path, sizeof(path), "/proc/%d/task", s->child);
	CHECK(!access(path, F_OK));
	CHECK(!kill(s->grandchild, 0));
	s->go = 1;
	CHECK(!pthread_join(t, NULL));
	pass();
}
