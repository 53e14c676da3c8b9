/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Sets of epoll that watch what the task has under that number no longer: closed, with a duplicate left; the number given to
 * another file, which is watched as well, and to one that is not; a file that only a child has, twice; a one-shot watch that has
 * fired. After a dup2(2) to the old number it can be changed, as before.
 */
#include "test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

enum { CLOSED = 700, REUSED, REUSED_UNWATCHED, CHILDS, FIRED, NUMBERS };

static struct { int r[NUMBERS - CLOSED], w[NUMBERS - CLOSED]; } p;
#define R(n) p.r[(n) - CLOSED]
#define W(n) p.w[(n) - CLOSED]

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* How often fdinfo has a watch of this number with this data. */
static int watches(int ep, int number, unsigned data)
{
	char path[64], text[4096], *line, *rest = text;
	int fd, n = 0;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ep);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	len = read(fd, text, sizeof(text) - 1);
	CHECK(len > 0 && !close(fd));
	text[len] = 0;
	while ((line = strsep(&rest, "\n"))) {
		const char *t = strstr(line, "tfd:"), *d = strstr(line, "data:");

		n += t && d && strtol(t + 4, NULL, 10) == number && strtoul(d + 5, NULL, 16) == data;
	}
	return n;
}

static void wakes(int ep, int by, uint64_t data)
{
	struct epoll_event got[4];

	CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
	CHECK_EQ(write(by, "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
	CHECK_EQ(got[0].data.u64, data);
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 0); /* edge */
}

static void make(int ep, int ep2)
{
	for (int n = CLOSED; n < NUMBERS; n++) {
		int ends[2];

		CHECK(!pipe(ends));
		R(n) = ends[0];
		W(n) = ends[1];
		CHECK_EQ(dup2(R(n), n), n);
		add(ep, n, EPOLLIN | EPOLLET | (n == FIRED ? EPOLLONESHOT : 0), (uint64_t)n * 10);
	}
	add(ep2, CHILDS, EPOLLIN | EPOLLET, 77);
	wakes(ep, W(FIRED), FIRED * 10);
	for (int n = CLOSED; n < NUMBERS; n++)
		CHECK(!close(n));
}

int main(void)
{
	int ep = epoll_create1(0), ep2 = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(0, 0), other = eventfd(5, 0), status;
	struct epoll_event got[4], change = { .events = EPOLLIN, .data.u64 = 4711 };
	uint64_t one = 1;
	pid_t pid;

	make(ep, ep2);
	CHECK_EQ(dup2(ev, REUSED), REUSED);
	add(ep, REUSED, EPOLLIN | EPOLLET, 1);
	CHECK_EQ(dup3(other, REUSED_UNWATCHED, O_CLOEXEC), REUSED_UNWATCHED);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		for (;;)
			pause();
	CHECK(!close(R(CHILDS)));

	test_ready();

	for (int n = CLOSED; n < NUMBERS; n++)
		CHECK_EQ(watches(ep, n, (unsigned)n * 10), 1);
	CHECK_EQ(watches(ep2, CHILDS, 77), 1);
	CHECK_EQ(watches(ep, REUSED, 1), 1);
	for (int n = CLOSED; n < CHILDS; n++)
		wakes(ep, W(n), (uint64_t)n * 10);
	wakes(ep, W(CHILDS), CHILDS * 10);
	CHECK_EQ(epoll_wait(ep2, got, 4, 0), 1);
	CHECK_EQ(got[0].data.u64, 77);
	CHECK_EQ(write(W(FIRED), "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 0); /* it has fired */
	/* Who has the numbers now. */
	CHECK_EQ(fcntl(CLOSED, F_GETFD), -1);
	CHECK_EQ(fcntl(CHILDS, F_GETFD), -1);
	CHECK_EQ(fcntl(FIRED, F_GETFD), -1);
	CHECK_EQ(fcntl(REUSED, F_GETFD), 0);
	CHECK_EQ(fcntl(REUSED_UNWATCHED, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(read(REUSED_UNWATCHED, &one, 8), 8);
	CHECK_EQ(one, 5);
	CHECK_EQ(write(REUSED, &one, 8), 8);
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
	CHECK_EQ(got[0].data.u64, 1);
	CHECK_EQ(read(ev, &one, 8), 8);
	CHECK_EQ(one, 5);
	/* Under its old number the file is found. */
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, R(CLOSED), &change) && errno == ENOENT);
	CHECK_EQ(dup2(R(CLOSED), CLOSED), CLOSED);
	CHECK(!epoll_ctl(ep, EPOLL_CTL_MOD, CLOSED, &change));
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
	CHECK_EQ(got[0].data.u64, 4711);
	CHECK_EQ(dup2(R(FIRED), FIRED), FIRED);
	change.data.u64 = 4712;
	CHECK(!epoll_ctl(ep, EPOLL_CTL_DEL, CLOSED, NULL) && !epoll_ctl(ep, EPOLL_CTL_MOD, FIRED, &change));
	CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
	CHECK_EQ(got[0].data.u64, 4712);
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	pass();
}
