/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread in strict mode, which may only read, write and exit; it is asked through pipes, and ends in the end by a call
 * that is forbidden.
 * test: dump=--suspend-seccomp */
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

static int to[2], from[2], tid;

static void *strict(void *arg)
{
	char c;

	tid = (int)syscall(SYS_gettid);
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	while (syscall(SYS_read, to[0], &c, 1) == 1 && c != 'x') {
		c++;
		syscall(SYS_write, from[1], &c, 1);
	}
	syscall(SYS_exit, 0);
	return NULL;
}

static char ask(char c)
{
	CHECK_EQ(write(to[1], &c, 1), 1);
	CHECK_EQ(read(from[0], &c, 1), 1);
	return c;
}

static int mode_of(int id)
{
	char path[64], line[256];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", id);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Seccomp: %d", &n);
	fclose(f);
	return n;
}

int main(void)
{
	pthread_t t;

	CHECK(!pipe(to) && !pipe(from));
	CHECK(!pthread_create(&t, NULL, strict, NULL));
	CHECK_EQ(ask('a'), 'b');
	CHECK_EQ(mode_of(tid), 1);
	CHECK_EQ(mode_of(getpid()), 0);
	test_ready();
	CHECK_EQ(ask('c'), 'd');
	CHECK_EQ(mode_of(tid), 1);
	CHECK_EQ(write(to[1], "x", 1), 1);
	CHECK(!pthread_join(t, NULL));
	pass();
}
