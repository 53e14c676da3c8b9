// SPDX-License-Identifier: GPL-2.0-or-later
/* epoll: targets of several kinds, user data, modes, watches that wake one of several, one epoll inside another, a thread that waits. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "test.h"

static int waited;

static void *waiter(void *arg)
{
	struct epoll_event ev;
	int n;

	do
		n = epoll_wait(*(int *)arg, &ev, 1, -1);
	while (n < 0 && errno == EINTR);
	waited = n == 1 ? (int)ev.data.u32 : -1;
	return NULL;
}

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* Two wait for one target, which wakes one of them (EPOLLEXCLUSIVE). */
static struct { int target, ep[2]; } exclusive;

static void make_exclusive(void)
{
	exclusive.target = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		exclusive.ep[i] = epoll_create1(0);
		add(exclusive.ep[i], exclusive.target, EPOLLIN | EPOLLEXCLUSIVE | (i ? EPOLLET : 0), 70 + (uint64_t)i);
	}
}

static void check_exclusive(void)
{
	struct epoll_event got, change = { .events = EPOLLIN };
	uint64_t one = 1;

	for (int i = 0; i < 2; i++) {
		CHECK_EQ(epoll_wait(exclusive.ep[i], &got, 1, 0), 0);
		/* Such a watch, and no other, cannot be changed. */
		CHECK(epoll_ctl(exclusive.ep[i], EPOLL_CTL_MOD, exclusive.target, &change) && errno == EINVAL);
	}
	CHECK_EQ(write(exclusive.target, &one, 8), 8);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(epoll_wait(exclusive.ep[i], &got, 1, 0), 1); /* nobody slept there: all are told */
		CHECK_EQ(got.events, EPOLLIN);
		CHECK_EQ(got.data.u64, 70 + i);
		CHECK_EQ(epoll_wait(exclusive.ep[i], &got, 1, 0), !i); /* the second one by its edge */
	}
}

int main(void)
{
	int p[2], pair[2], ep = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0), sleepy = epoll_create1(0);
	int ev = eventfd(0, EFD_NONBLOCK), wake = eventfd(0, 0), once = eventfd(5, 0);
	struct epoll_event got[8], change = { .events = EPOLLIN, .data.u64 = 4711 };
	pthread_t thread;
	char buf[1];

	CHECK(!pipe(p));
	add(ep, p[0], EPOLLIN | EPOLLET, 0x1122334455667788ull);
	add(ep, ev, EPOLLIN, 2);
	add(ep, once, EPOLLIN | EPOLLONESHOT, 3);
	add(outer, ep, EPOLLIN, 99);
	add(sleepy, wake, EPOLLIN, 5);
	CHECK_EQ(epoll_wait(ep, got, 8, 0), 1); /* disarms the one shot */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	add(ep, pair[0], EPOLLIN | EPOLLONESHOT, 4);
	CHECK_EQ(write(pair[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, got, 8, 0), 1);
	CHECK_EQ(read(pair[0], buf, 1), 1);
	CHECK(!pthread_create(&thread, NULL, waiter, &sleepy));
	test_sleep_ms(50);
	make_exclusive();

	test_ready();

	check_exclusive();
	CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(epoll_wait(ep, got, 8, 0), 0);
	close(pair[1]); /* a hang-up is nothing to one that has fired */
	CHECK_EQ(epoll_wait(ep, got, 8, 0), 0);
	change.events = EPOLLIN | EPOLLONESHOT;
	CHECK(!epoll_ctl(ep, EPOLL_CTL_MOD, pair[0], &change));
	CHECK_EQ(epoll_wait(ep, got, 8, 0), 1);
	CHECK_EQ(got[0].events, EPOLLIN | EPOLLHUP);
	change.events = EPOLLIN;
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(outer, got, 8, 1000), 1);
	CHECK_EQ(got[0].data.u64, 99);
	CHECK_EQ(epoll_wait(ep, got, 8, 1000), 1);
	CHECK_EQ(got[0].data.u64, 0x1122334455667788ull);
	CHECK_EQ(epoll_wait(ep, got, 8, 0), 0); /* edge */
	CHECK(!epoll_ctl(ep, EPOLL_CTL_MOD, ev, &change));
	uint64_t one = 1;
	CHECK_EQ(write(ev, &one, 8), 8);
	CHECK_EQ(epoll_wait(ep, got, 8, 1000), 1);
	CHECK_EQ(got[0].data.u64, 4711);
	CHECK(!epoll_ctl(ep, EPOLL_CTL_DEL, once, NULL));
	CHECK_EQ(waited, 0);
	CHECK_EQ(write(wake, &one, 8), 8);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(waited, 5);
	pass();
}
