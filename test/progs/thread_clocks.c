/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: busy
 * POSIX timers on the processor time of threads, each made by its thread with CLOCK_THREAD_CPUTIME_ID: with an interval and without, armed
 * and not, telling that thread, another one, or the process. Afterwards each goes off by the time of its thread and of no other.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

#define THREADS 4 /* the first one of the process, and three */
#define MS 1000000
#define LONG_S 5000

enum { OFTEN, TO_OTHER, ONCE, UNARMED, FAR, OF_FIRST, SECOND_OF_FIRST, WAITING, TIMERS };
static const struct { int thread, notify, to, value_ms, interval_ms; } timers[TIMERS] = {
	[OFTEN] = { 1, SIGEV_THREAD_ID, 1, 20, 20 },
	[TO_OTHER] = { 2, SIGEV_THREAD_ID, 1, 20, 20 },
	[ONCE] = { 3, SIGEV_SIGNAL, 0, 60, 0 },
	[UNARMED] = { 3, SIGEV_SIGNAL, 0, 0, 30 },
	[FAR] = { 2, SIGEV_NONE, 0, LONG_S * 1000, 7000 },
	[OF_FIRST] = { 0, SIGEV_SIGNAL, 0, 100, 50 },
	[SECOND_OF_FIRST] = { 0, SIGEV_NONE, 0, 0, 0 },
	[WAITING] = { 3, SIGEV_THREAD_ID, 1, 5, 20 }, /* its signal, which is blocked */
};
static int ids[TIMERS], hits[TIMERS], waited;
static bool drain;
static struct { pid_t tid; pthread_t t; int go[2], done[2]; } th[THREADS];

static void on_timer(int signo, siginfo_t *si, void *uc)
{
	const int i = si->si_value.sival_int;

	CHECK_EQ(si->si_code, SI_TIMER);
	if (timers[i].notify == SIGEV_THREAD_ID)
		CHECK_EQ(gettid(), th[timers[i].to].tid);
	__atomic_add_fetch(&hits[i], 1, __ATOMIC_SEQ_CST);
}

static int count(int i)
{
	return __atomic_load_n(&hits[i], __ATOMIC_SEQ_CST);
}

static void arm(int i, int value_ms)
{
	struct itimerspec v = { { timers[i].interval_ms / 1000, timers[i].interval_ms % 1000 * MS }, { value_ms / 1000, value_ms % 1000 * MS } };

	CHECK(!syscall(SYS_timer_settime, ids[i], 0, &v, NULL));
}

/* Processor time of the calling thread. */
static void work(int ms)
{
	struct timespec from, now;

	CHECK(!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from));
	do
		CHECK(!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now));
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / MS < ms);
}

static void make_own(int thread)
{
	for (int i = 0; i < TIMERS; i++) {
		struct sigevent ev = { .sigev_notify = timers[i].notify, 
				       .sigev_signo = i == WAITING ? SIGUSR2 : SIGUSR1, .sigev_value.sival_int = i };

		if (timers[i].thread != thread)
			continue;
		ev._sigev_un._tid = timers[i].notify == SIGEV_THREAD_ID ? th[timers[i].to].tid : 0;
		CHECK(!syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &ev, &ids[i]));
		arm(i, timers[i].value_ms);
	}
	if (thread == timers[WAITING].thread)
		work(10);
}

static void one_byte(int fd, bool out)
{
	char c = 0;
	ssize_t n;

	do
		n = out ? write(fd, &c, 1) : read(fd, &c, 1);
	while (n < 0 && errno == EINTR);
	CHECK_EQ(n, 1);
}

/* How often the signal that is blocked waits for the calling thread. */
static int take_waiting(void)
{
	const struct timespec now = { 0, 0 };
	siginfo_t si;
	sigset_t set;
	int n = 0;

	sigemptyset(&set);
	for (sigaddset(&set, SIGUSR2); sigtimedwait(&set, &si, &now) == SIGUSR2; n++)
		CHECK(si.si_code == SI_TIMER && si.si_value.sival_int == WAITING);
	return n;
}

static void *thread(void *arg)
{
	const int me = (int)(intptr_t)arg;

	th[me].tid = gettid();
	work(2 * me); /* their clocks differ by more than they move meanwhile */
	one_byte(th[me].done[1], true);
	one_byte(th[me].go[0], false);
	make_own(me);
	one_byte(th[me].done[1], true);
	for (;;) {
		one_byte(th[me].go[0], false);
		if (drain)
			waited = take_waiting();
		else
			work(150);
		one_byte(th[me].done[1], true);
	}
	return NULL;
}

static void run(int which)
{
	if (!which) {
		work(300);
		return;
	}
	one_byte(th[which].go[1], true);
	one_byte(th[which].done[0], false);
}

static int waiting(void)
{
	drain = true;
	run(timers[WAITING].to);
	drain = false;
	return waited;
}

/* Timers with a signal and a time go off by this thread, all others are as they were. */
static void check_thread(int which)
{
	int before[TIMERS];

	for (int i = 0; i < TIMERS; i++)
		before[i] = count(i);
	run(which);
	for (int i = 0; i < TIMERS; i++) {
		const bool mine = timers[i].thread == which && timers[i].notify != SIGEV_NONE && timers[i].value_ms && i != WAITING;

		for (int k = 0; k < 1000 && mine && count(i) == before[i]; k++)
			test_sleep_ms(5);
		if (count(i) - before[i] < mine || (!mine && count(i) != before[i]) || (i == ONCE && count(i) > 1))
			fail("thread %d has run: timer %d went off %d times, %d before", which, i, count(i) - before[i], before[i]);
	}
}

static void check_time(int i, long value_s, long interval_ms)
{
	struct itimerspec v;

	CHECK(!syscall(SYS_timer_gettime, ids[i], &v));
	CHECK_EQ(v.it_interval.tv_sec * 1000 + v.it_interval.tv_nsec / MS, interval_ms);
	if (value_s)
		CHECK(v.it_value.tv_sec <= value_s && v.it_value.tv_sec > value_s - 60);
	else
		CHECK(!v.it_value.tv_sec && !v.it_value.tv_nsec);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(!sigaction(SIGUSR1, &sa, NULL) && !sigprocmask(SIG_BLOCK, &set, NULL));
	th[0].tid = gettid();
	for (int i = 1; i < THREADS; i++) {
		CHECK(!pipe(th[i].go) && !pipe(th[i].done));
		CHECK(!pthread_create(&th[i].t, NULL, thread, (void *)(intptr_t)i));
		one_byte(th[i].done[0], false);
	}
	for (int i = 1; i < THREADS; i++)
		run(i);
	make_own(0);
	test_ready();
	check_time(FAR, LONG_S, 7000);
	check_time(UNARMED, 0, 0); /* it has no interval either (posix_timer_set_common()) */
	check_time(SECOND_OF_FIRST, 0, 0);
	CHECK_EQ(count(OFTEN) + count(TO_OTHER) + count(ONCE) + count(UNARMED), 0);
	CHECK(waiting() > 0);
	for (int i = 0; i < THREADS; i++) {
		check_thread(i);
		CHECK_EQ(waiting() > 0, i == timers[WAITING].thread);
	}
	/* What was not armed counts the time of its thread, too. */
	arm(UNARMED, 30);
	arm(SECOND_OF_FIRST, LONG_S * 1000);
	run(2);
	CHECK_EQ(count(UNARMED), 0);
	run(3);
	for (int k = 0; k < 1000 && !count(UNARMED); k++)
		test_sleep_ms(5);
	CHECK(count(UNARMED) > 0);
	check_time(FAR, LONG_S, 7000);
	struct itimerspec v;
	CHECK(!syscall(SYS_timer_gettime, ids[SECOND_OF_FIRST], &v) && v.it_value.tv_sec >= LONG_S - 1);
	work(1500);
	CHECK(!syscall(SYS_timer_gettime, ids[SECOND_OF_FIRST], &v) && v.it_value.tv_sec < LONG_S - 1);
	pass();
}
