/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks of several processes: each has a range of its own of one file; a parent and its child share a description with a lock of
 * flock(2) and a range of the description, which live until the last of them closes it; the child alone has a lease.
 * test: dump=--file-locks restore=--file-locks
 */
#include "test.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct { int ready, go; } *s;

static void set(int fd, int how, short type, off_t start)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 10 };

	CHECK(!fcntl(fd, how, &l));
}

/* Whose lock is in the way of mine: 0 nobody's, -1 that of a description. */
static pid_t in_the_way(int fd, int how, off_t start)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 10 };

	CHECK(!fcntl(fd, how, &l));
	return l.l_type == F_UNLCK ? 0 : l.l_pid;
}

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0);
	return fd;
}

/* Its checks end it with another status. */
static void child(int ranges, int shared)
{
	pid_t parent = getppid();
	int leased = make("leased");

	set(ranges, F_SETLK, F_WRLCK, 20);
	CHECK(!fcntl(leased, F_SETLEASE, F_WRLCK));
	__atomic_store_n(&s->ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
		test_sleep_ms(2);
	CHECK_EQ(in_the_way(ranges, F_GETLK, 0), parent);
	CHECK_EQ(in_the_way(ranges, F_GETLK, 20), 0);
	CHECK_EQ(fcntl(leased, F_GETLEASE), F_WRLCK);
	CHECK_EQ(in_the_way(shared, F_OFD_GETLK, 40), 0);
	/* The parent has closed its descriptor by now: ours keeps both. */
	__atomic_store_n(&s->go, 2, __ATOMIC_RELEASE);
	while (__atomic_load_n(&s->go, __ATOMIC_ACQUIRE) != 3)
		test_sleep_ms(2);
	_exit(0);
}

int main(void)
{
	int ranges = make("ranges"), shared = make("shared"), stranger, status;
	pid_t pid;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	set(ranges, F_SETLK, F_WRLCK, 0);
	CHECK(!flock(shared, LOCK_EX));
	set(shared, F_OFD_SETLK, F_WRLCK, 40);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		child(ranges, shared);
	while (!__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE))
		test_sleep_ms(1);

	test_ready();

	stranger = make("shared");
	CHECK_EQ(in_the_way(ranges, F_GETLK, 20), pid);
	CHECK_EQ(in_the_way(ranges, F_GETLK, 0), 0);
	CHECK_EQ(in_the_way(stranger, F_OFD_GETLK, 40), -1);
	CHECK(flock(stranger, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK);
	CHECK(!close(shared));
	__atomic_store_n(&s->go, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&s->go, __ATOMIC_ACQUIRE) != 2)
		CHECK(!waitpid(pid, &status, WNOHANG));
	CHECK_EQ(in_the_way(stranger, F_OFD_GETLK, 40), -1);
	CHECK(flock(stranger, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK);
	__atomic_store_n(&s->go, 3, __ATOMIC_RELEASE);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK(!flock(stranger, LOCK_SH | LOCK_NB));
	CHECK_EQ(in_the_way(stranger, F_OFD_GETLK, 40), 0);
	pass();
}
