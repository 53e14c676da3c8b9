/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Sets of epoll that watch what can be opened only when the process is whole: its own list of mounts, under two numbers, one of
 * them with a one-shot watch that has fired while another watch is ready; the list of one of its threads; and that thread, by a pidfd.
 */
#include "test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static pthread_mutex_t until = PTHREAD_MUTEX_INITIALIZER;
static volatile pid_t tid;

static void *thread(void *arg)
{
	tid = gettid();
	pthread_mutex_lock(&until);
	return arg;
}

static void add(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* Which of the descriptors below 64 are ready, as bits. */
static uint64_t ready(int ep)
{
	struct epoll_event got[16];
	int n = epoll_wait(ep, got, 16, 0);
	uint64_t bits = 0;

	CHECK(n >= 0);
	for (int i = 0; i < n; i++)
		bits |= 1ull << got[i].data.fd;
	return bits;
}

#define BIT(fd) (1ull << (fd))

int main(void)
{
	int list = epoll_create1(0), fired = epoll_create1(EPOLL_CLOEXEC), threads = epoll_create1(0);
	int info = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), mounts = open("/proc/self/mounts", O_RDONLY);
	int info2 = open("/proc/self/mountinfo", O_RDONLY), its, pidfd, ends[2];
	pthread_t t;
	char path[64];

	CHECK(info >= 0 && mounts >= 0 && info2 >= 0 && !pipe(ends));
	pthread_mutex_lock(&until);
	CHECK(!pthread_create(&t, NULL, thread, NULL));
	while (!tid)
		test_sleep_ms(1);
	snprintf(path, sizeof(path), "/proc/self/task/%d/mounts", tid);
	its = open(path, O_RDONLY);
	CHECK(its >= 0);
	pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

	add(list, info, EPOLLPRI);
	add(list, mounts, EPOLLIN | EPOLLONESHOT);
	add(list, ends[0], EPOLLIN);
	CHECK_EQ(ready(list), BIT(mounts)); /* has fired */
	add(fired, info2, EPOLLIN);
	add(fired, ends[1], EPOLLOUT | EPOLLONESHOT);
	add(threads, its, EPOLLIN | EPOLLONESHOT);
	CHECK_EQ(ready(threads), BIT(its));
	if (pidfd >= 0) /* since Linux 6.9 */
		add(threads, pidfd, EPOLLIN);
	add(threads, ends[0], EPOLLIN);
	CHECK_EQ(write(ends[1], "x", 1), 1);

	test_ready();

	CHECK_EQ(ready(list), BIT(ends[0]));
	CHECK_EQ(ready(fired), BIT(info2) | BIT(ends[1]));
	CHECK_EQ(ready(fired), BIT(info2));
	CHECK_EQ(ready(threads), BIT(ends[0]));
	CHECK_EQ(fcntl(info, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 2; i++) { /* watches are there: by number they can be changed */
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = i ? its : mounts };

		CHECK(!epoll_ctl(i ? threads : list, EPOLL_CTL_MOD, i ? its : mounts, &ev));
		CHECK_EQ(ready(i ? threads : list), BIT(ends[0]) | BIT(i ? its : mounts));
		CHECK(!epoll_ctl(i ? threads : list, EPOLL_CTL_DEL, i ? its : mounts, NULL));
	}
	CHECK(!mkdir("mounted", 0755));
	if (!mount("none", "mounted", "tmpfs", 0, NULL)) {
		CHECK_EQ(ready(list), BIT(ends[0]) | BIT(info));
		CHECK(!umount("mounted"));
	}
	pthread_mutex_unlock(&until);
	CHECK(!pthread_join(t, NULL));
	test_sleep_ms(20);
	CHECK_EQ(ready(threads), BIT(ends[0]) | (pidfd >= 0 ? BIT(pidfd) : 0));
	pass();
}
