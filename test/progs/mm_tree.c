// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that several tasks share stays shared between them: anonymous (also of a creator that is gone, cut differently
 * in each), System V, POSIX with and without a name, memfds, deleted files, private views. Each task writes, all look.
 */
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "test.h"

#define PAGE 4096ul
#define TASKS 3
enum { ANON, ORPHAN, SEGMENT, POSIX, POSIX_GONE, MEMFD, GONE, AREAS };

/* In shared memory of its own: who is to write, which turn it is, what each found wrong. */
struct board { _Atomic int turn, done[TASKS], wrong[TASKS]; };

static struct board *board;
static char *area[AREAS];
static char shm_name[40], gone_name[48];

static char *shared(size_t len, int fd)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int sized(int fd)
{
	CHECK(fd >= 0 && !ftruncate(fd, 8 * PAGE));
	return fd;
}

static void make(void)
{
	int id = shmget(IPC_PRIVATE, 8 * PAGE, IPC_CREAT | 0600), fd;

	board = (void *)shared(PAGE, -1);
	area[ANON] = shared(8 * PAGE, -1);
	area[ORPHAN] = shared(8 * PAGE, -1);
	CHECK(id >= 0 && (area[SEGMENT] = shmat(id, NULL, 0)) != (char *)-1 && !shmctl(id, IPC_RMID, NULL));
	snprintf(shm_name, sizeof(shm_name), "/mm_tree.%lu", test_unique());
	snprintf(gone_name, sizeof(gone_name), "%s.gone", shm_name);
	area[POSIX] = shared(8 * PAGE, sized(fd = shm_open(shm_name, O_RDWR | O_CREAT | O_EXCL, 0600)));
	close(fd);
	area[POSIX_GONE] = shared(8 * PAGE, sized(fd = shm_open(gone_name, O_RDWR | O_CREAT | O_EXCL, 0600)));
	close(fd);
	CHECK(!shm_unlink(gone_name));
	area[MEMFD] = shared(8 * PAGE, sized(fd = memfd_create("tree", MFD_CLOEXEC)));
	close(fd);
	area[GONE] = shared(8 * PAGE, sized(fd = open("gone", O_RDWR | O_CREAT | O_TRUNC, 0600)));
	close(fd);
	CHECK(!unlink("gone"));
	for (int a = 0; a < AREAS; a++)
		for (int p = 0; p < 8; p++)
			snprintf(area[a] + (size_t)p * PAGE, 32, "area %d page %d", a, p);
}

/* Every task sees another part of each area: task t lacks page t, and page 4 + t is closed. */
static void cut(int t)
{
	for (int a = 0; a < AREAS; a++) {
		CHECK(!munmap(area[a] + (size_t)t * PAGE, PAGE));
		CHECK(!mprotect(area[a] + (size_t)(4 + t) * PAGE, PAGE, PROT_NONE));
	}
}

static int look(int t, int turn)
{
	char want[64];

	for (int a = 0; a < AREAS; a++)
		for (int p = 0; p < 8; p++) {
			if (p == t || p == 4 + t || !area[a])
				continue;
			snprintf(want, sizeof(want), "area %d page %d", a, p);
			if (strcmp(area[a] + (size_t)p * PAGE, want))
				return __LINE__;
			if (p == 3 || p == 7)
				snprintf(want, sizeof(want), "task %d wrote %d", (turn - 1) % TASKS, a);
			if (a == ORPHAN && turn == 1)
				continue; /* the root has it no more */
			if ((p == 3 || p == 7) && turn && strcmp(area[a] + (size_t)p * PAGE + 100, want))
				return __LINE__;
		}
	return 0;
}

static void be(int t)
{
	for (int turn = 0; turn < TASKS; turn++) {
		while (board->turn <= turn)
			usleep(2000);
		/* The one whose turn it is writes when all others have looked. */
		board->wrong[t] = board->wrong[t] ? board->wrong[t] : look(t, turn);
		board->done[t] = turn + 1;
		for (int k = 0; k < TASKS; k++)
			while (turn == t && board->done[k] <= turn)
				usleep(2000);
		for (int a = 0; a < AREAS && turn == t; a++)
			for (int p = 3; p < 8; p += 4)
				if (area[a])
					snprintf(area[a] + (size_t)p * PAGE + 100, 32, "task %d wrote %d", t, a);
		if (turn == t)
			board->turn = turn + 2;
	}
}

int main(void)
{
	pid_t pid[TASKS] = { 0 };
	int status;

	make();
	for (int t = 1; t < TASKS; t++) {
		pid[t] = fork();
		CHECK(pid[t] >= 0);
		if (pid[t])
			continue;
		cut(t);
		board->done[t] = -1;
		be(t);
		_exit(board->wrong[t] ? 1 : 0);
	}
	cut(0);
	CHECK(!munmap(area[ORPHAN], 8 * PAGE)); /* the others keep what its creator has no more */
	area[ORPHAN] = NULL;
	for (int t = 1; t < TASKS; t++)
		while (board->done[t] != -1)
			usleep(1000);

	test_ready();

	board->turn = 1;
	be(0);
	for (int t = 1; t < TASKS; t++) {
		CHECK(waitpid(pid[t], &status, 0) == pid[t]);
		CHECK_EQ(board->wrong[t], 0);
		CHECK_EQ(status, 0);
	}
	CHECK_EQ(board->wrong[0], 0);
	CHECK_EQ(board->turn, TASKS + 1);
	CHECK(!shm_unlink(shm_name));
	CHECK(shm_open(gone_name, O_RDONLY, 0) < 0 && errno == ENOENT && access("gone", F_OK));
	pass();
}
