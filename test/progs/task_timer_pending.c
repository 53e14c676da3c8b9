// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test: repeat=4
 * Interval timers whose signals are blocked, to the process and to a thread: each is pending once, however often it is restored.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

static pid_t tid;

static void make(int notify, int signo, pid_t to, int value)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_int = value };
	struct itimerspec often = { { 0, 5000000 }, { 0, 5000000 } };
	int id;

	ev._sigev_un._tid = to;
	CHECK(!syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id) && !syscall(SYS_timer_settime, id, 0, &often, NULL));
}

static void take(int signo, int value)
{
	struct timespec soon = { 30, 0 };
	siginfo_t si;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(sigtimedwait(&set, &si, &soon), signo);
		CHECK_EQ(si.si_code, SI_TIMER);
		CHECK_EQ(si.si_value.sival_int, value);
		CHECK(si.si_overrun >= 0);
	}
}

static void *thread(void *arg)
{
	char c;

	__atomic_store_n(&tid, gettid(), __ATOMIC_SEQ_CST);
	CHECK(read(*(int *)arg, &c, 1) == 1);
	take(SIGUSR2, 22);
	return arg;
}

static bool pending(int signo)
{
	sigset_t set;

	CHECK(!sigpending(&set));
	return sigismember(&set, signo);
}

int main(void)
{
	pthread_t t;
	sigset_t set;
	int p[2];

	CHECK(!pipe(p));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL) && !pthread_create(&t, NULL, thread, p));
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		usleep(1000);
	make(SIGEV_SIGNAL, SIGUSR1, 0, 11);
	make(SIGEV_THREAD_ID, SIGUSR2, tid, 22);
	while (!pending(SIGUSR1))
		usleep(1000);
	/* Long enough that the timers have come again after each restore. */
	test_ready_mark();
	while (!test_told())
		poll(NULL, 0, 20);
	take(SIGUSR1, 11);
	CHECK(write(p[1], "x", 1) == 1 && !pthread_join(t, NULL));
	pass();
}
