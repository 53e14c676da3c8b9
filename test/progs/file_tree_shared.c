/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Descriptions that mean a task of the tree, and that a parent and two children hold: pidfds of a living and of a dead
 * process and entries of /proc, of the holder and of another. After the restore they are one each: kcmp says so, and a
 * position and a flag that one of them sets are seen by all.
 */
#include "test.h"

#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { LIVING, DEAD, OWN, THEIRS, DIRECTORY, FILES };
static int fd[FILES];
static struct stand { volatile int up, go, done; } *s;

static void child(struct stand *me)
{
	me->up = 1;
	while (!me->go)
		test_sleep_ms(2);
	if (me->go == 1 && lseek(fd[OWN], 7, SEEK_SET) == 7 && lseek(fd[THEIRS], 5, SEEK_SET) == 5 &&
	    !fcntl(fd[LIVING], F_SETFL, O_NONBLOCK))
		me->done = 1;
	for (;;)
		pause();
}

static bool same(pid_t a, pid_t b, int n)
{
	return syscall(SYS_kcmp, a, b, KCMP_FILE, n, n) == 0;
}

int main(void)
{
	pid_t pid[2], dead, living;
	char path[64];

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	living = fork();
	if (!living)
		for (;;)
			pause();
	dead = fork();
	if (!dead)
		_exit(3);
	CHECK(living > 0 && dead > 0);
	fd[LIVING] = (int)syscall(SYS_pidfd_open, living, 0);
	fd[DEAD] = (int)syscall(SYS_pidfd_open, dead, 0);
	fd[OWN] = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/stat", living);
	fd[THEIRS] = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d", living);
	fd[DIRECTORY] = open(path, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < FILES; i++)
		CHECK(fd[i] >= 0);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i])
			child(&s[i]);
		while (!s[i].up)
			test_sleep_ms(1);
	}

	test_ready();

	for (int i = 0; i < 2; i++)
		for (int n = 0; n < FILES; n++)
			if (!same(getpid(), pid[i], fd[n]))
				fail("description %d is not that of child %d", n, i);
	CHECK_EQ(fcntl(fd[OWN], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(lseek(fd[OWN], 0, SEEK_CUR), 0);
	s[1].go = 1;
	while (!s[1].done)
		test_sleep_ms(1);
	CHECK_EQ(lseek(fd[OWN], 0, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd[THEIRS], 0, SEEK_CUR), 5);
	CHECK(fcntl(fd[LIVING], F_GETFL) & O_NONBLOCK);
	CHECK(!syscall(SYS_pidfd_send_signal, fd[LIVING], SIGKILL, NULL, 0));
	CHECK_EQ(waitpid(living, NULL, 0), living);
	CHECK_EQ(waitpid(dead, NULL, 0), dead);
	for (int i = 0; i < 2; i++)
		CHECK(!kill(pid[i], SIGKILL) && waitpid(pid[i], NULL, 0) == pid[i]);
	pass();
}
