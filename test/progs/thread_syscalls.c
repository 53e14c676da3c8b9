/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads asleep in system calls. None may be lost, none may come back with EINTR or before its time; those with a
 * remaining time may not start anew where the kernel told what remained.
 * Two sleeps of the same length prove the latter: the one that was not told what remains ends later, by about the
 * time that the
 * runner waits before the dump.
 * test: once settle=1500 timeout=90
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "test.h"

#define LONG_MS 20000
/* The timed ones must still sleep when a busy machine comes to the dump at last, and the one that waits for a time of day also when
 * it is restored. */
#define SLEEP_S 10
#define TIMEOUT_S 8
#define UNTIL_S 20

static int data_pipe[2], idle_pipe[2], epoll_fd, event_fd;
static uint32_t word;
static volatile int ready_threads, go;
static volatile int handled;
static uint64_t rem_end, null_end; /* ms */

static uint64_t now_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void enter(void) { __sync_fetch_and_add(&ready_threads, 1); }

/* Relative, with the remaining time told: ends when it would have ended, but for the time that it was not there. */
static void *sleep_rem(void *arg)
{
	struct timespec ts = { SLEEP_S, 0 }, rem = { 77, 77 };

	enter();
	CHECK(!syscall(SYS_nanosleep, &ts, &rem));
	rem_end = now_ms(CLOCK_MONOTONIC);
	CHECK_EQ(ts.tv_sec, SLEEP_S); /* what was asked for is the program's, and untouched */
	CHECK_EQ(ts.tv_nsec, 0);
	return arg;
}

static void *sleep_same(void *arg)
{
	struct timespec ts = { SLEEP_S - 1, 500000000 };

	enter();
	CHECK(!syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, &ts));
	return arg;
}

static void *sleep_null(void *arg)
{
	struct timespec ts = { SLEEP_S, 0 };

	enter();
	CHECK(!syscall(SYS_nanosleep, &ts, NULL));
	null_end = now_ms(CLOCK_MONOTONIC);
	return arg;
}

static void *sleep_until(void *arg)
{
	struct timespec ts, now;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += UNTIL_S;
	enter();
	CHECK(!syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL));
	/* Not time(2), which goes by ticks and is behind. */
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK(now.tv_sec > ts.tv_sec || (now.tv_sec == ts.tv_sec && now.tv_nsec >= ts.tv_nsec));
	return arg;
}

static void *futex_timeout(void *arg)
{
	struct timespec ts = { TIMEOUT_S, 0 };
	uint32_t own = 5;

	enter();
	CHECK_EQ(syscall(SYS_futex, &own, FUTEX_WAIT_PRIVATE, 5, &ts, NULL, 0), -1);
	CHECK_EQ(errno, ETIMEDOUT);
	return arg;
}

static void *futex_woken(void *arg)
{
	struct timespec ts = { LONG_MS / 1000 * 100, 0 };

	enter();
	CHECK(!syscall(SYS_futex, &word, FUTEX_WAIT, 0, arg ? &ts : NULL, NULL, 0));
	return arg;
}

static void *poll_timeout(void *arg)
{
	struct pollfd p = { idle_pipe[0], POLLIN, 0 };

	enter();
	CHECK_EQ(poll(&p, 1, TIMEOUT_S * 1000), 0);
	return arg;
}

static void *poll_event(void *arg)
{
	struct pollfd p = { event_fd, POLLIN, 0 };

	enter();
	CHECK_EQ(poll(&p, 1, arg ? LONG_MS * 100 : -1), 1);
	CHECK_EQ(p.revents, POLLIN);
	return arg;
}

static void *ppoll_event(void *arg)
{
	struct pollfd p = { event_fd, POLLIN, 0 };
	struct timespec ts = { LONG_MS, 0 };
	sigset_t set;

	sigfillset(&set);
	enter();
	CHECK_EQ(ppoll(&p, 1, arg ? &ts : NULL, &set), 1);
	return arg;
}

static void *select_event(void *arg)
{
	struct timeval tv = { LONG_MS, 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(event_fd, &set);
	enter();
	CHECK_EQ(select(event_fd + 1, &set, NULL, NULL, arg ? &tv : NULL), 1);
	return arg;
}

static void *epoll_event(void *arg)
{
	struct epoll_event ev;

	enter();
	CHECK_EQ(epoll_wait(epoll_fd, &ev, 1, arg ? LONG_MS * 100 : -1), 1);
	CHECK_EQ(ev.data.u64, 0x1234567890abcdefull);
	return arg;
}

static void *epoll_timeout(void *arg)
{
	struct epoll_event ev;
	int empty = epoll_create1(0);

	enter();
	CHECK_EQ(epoll_wait(empty, &ev, 1, TIMEOUT_S * 1000), 0);
	return arg;
}

static void *read_pipe(void *arg)
{
	char c = 0;

	enter();
	CHECK_EQ(read(data_pipe[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
	return arg;
}

static void handler(int signo) { __sync_fetch_and_add(&handled, 1); }

static void *pausing(void *arg)
{
	enter();
	CHECK_EQ(pause(), -1);
	CHECK_EQ(errno, EINTR);
	CHECK(go); /* and not before its signal came */
	return arg;
}

static void *suspending(void *arg)
{
	sigset_t none, mask, now;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGURG);
	CHECK(!pthread_sigmask(SIG_SETMASK, &mask, NULL));
	sigemptyset(&none);
	enter();
	CHECK_EQ(sigsuspend(&none), -1);
	CHECK_EQ(errno, EINTR);
	CHECK(go);
	CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &now));
	CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGURG) && !sigismember(&now, SIGUSR2));
	return arg;
}

static void *sigwaiting(void *arg)
{
	struct timespec ts = { LONG_MS, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	enter();
	CHECK_EQ(sigtimedwait(&set, NULL, &ts), SIGUSR2);
	CHECK(go);
	return arg;
}

int main(void)
{
	static void *(*const fn[])(void *) = {
		sleep_rem, sleep_same, sleep_null, sleep_until, futex_timeout, poll_timeout, epoll_timeout,
		futex_woken, futex_woken, poll_event, poll_event, ppoll_event, ppoll_event, select_event, select_event,
		epoll_event, epoll_event, read_pipe, pausing, suspending, sigwaiting,
	};
	enum { N = sizeof(fn) / sizeof(fn[0]), TIMED = 7, PAUSING = N - 3, SUSPENDING = N - 2, SIGWAITING = N - 1 };
	struct sigaction sa = { .sa_handler = handler };
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0x1234567890abcdefull };
	uint64_t start, one = 1;
	pthread_t t[N];

	CHECK(!sigaction(SIGUSR1, &sa, NULL) && !sigaction(SIGUSR2, &sa, NULL));
	CHECK(!pipe(data_pipe) && !pipe(idle_pipe));
	event_fd = eventfd(0, 0);
	epoll_fd = epoll_create1(0);
	CHECK(!epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &ev));
	start = now_ms(CLOCK_MONOTONIC);
	for (long i = 0; i < N; i++)
		CHECK(!pthread_create(&t[i], NULL, fn[i], (void *)(i & 1)));
	while (ready_threads < N)
		test_sleep_ms(1);
	test_ready();
	/* The timed ones end by themselves. */
	for (int i = 0; i < TIMED; i++)
		CHECK(!pthread_join(t[i], NULL));
	CHECK(now_ms(CLOCK_MONOTONIC) - start >= SLEEP_S * 1000);
	CHECK(rem_end + 700 < null_end);
	for (int i = TIMED; i < N; i++)
		CHECK_EQ(pthread_tryjoin_np(t[i], NULL), EBUSY);
	CHECK_EQ(handled, 0);
	go = 1;
	CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAKE, 100, NULL, NULL, 0), 2);
	CHECK_EQ(write(event_fd, &one, sizeof(one)), sizeof(one));
	CHECK_EQ(write(data_pipe[1], "x", 1), 1);
	CHECK(!pthread_kill(t[PAUSING], SIGUSR1));
	CHECK(!pthread_kill(t[SUSPENDING], SIGUSR1));
	CHECK(!pthread_kill(t[SIGWAITING], SIGUSR2));
	for (int i = TIMED; i < N; i++)
		CHECK(!pthread_join(t[i], NULL));
	CHECK_EQ(handled, 2);
	pass();
}
