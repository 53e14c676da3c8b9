/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: busy
 * Interval timers and POSIX timers: ids with gaps, clocks, values that remain, intervals, the thread they signal. */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "test.h"

#define LONG_S 100000

static volatile pid_t target;
static volatile int alarms, thread_hits;

static void on_alarm(int signo) { alarms++; }
static void on_thread(int signo, siginfo_t *si, void *uc)
{
	CHECK_EQ(gettid(), target);
	CHECK_EQ(si->si_code, SI_TIMER);
	CHECK_EQ(si->si_value.sival_int, 4242);
	thread_hits++;
}

static void *thread(void *arg)
{
	target = gettid();
	for (;;)
		pause();
	return arg;
}

static int make(clockid_t clock, int notify, int signo, pid_t tid, int value)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_int = value };
	int id;

	ev._sigev_un._tid = tid;
	CHECK(!syscall(SYS_timer_create, clock, &ev, &id));
	return id;
}

static void arm(int id, time_t value, time_t interval)
{
	struct itimerspec v = { { interval, 5 }, { value, 7 } };

	CHECK(!syscall(SYS_timer_settime, id, 0, &v, NULL));
}

static void check(int id, time_t value, time_t interval)
{
	struct itimerspec v;

	CHECK(!syscall(SYS_timer_gettime, id, &v));
	CHECK_EQ(v.it_interval.tv_sec, interval);
	if (value) {
		CHECK(v.it_value.tv_sec <= value);
		CHECK(v.it_value.tv_sec > value - 3600);
	} else {
		CHECK(!v.it_value.tv_sec && !v.it_value.tv_nsec);
	}
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval it, virt = { { 3, 4 }, { LONG_S, 9 } }, prof = { { 0, 0 }, { LONG_S + 1, 0 } };
	struct itimerval real = { { 0, 20000 }, { 0, 20000 } };
	int gone[3], mono, off, idle, clock_real, to_thread, cpu, boot;
	pthread_t t;

	CHECK(!sigaction(SIGALRM, &sa, NULL));
	sa.sa_sigaction = on_thread;
	sa.sa_flags = SA_SIGINFO | SA_RESTART;
	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	CHECK(!pthread_create(&t, NULL, thread, NULL));
	while (!target)
		test_sleep_ms(1);
	mono = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0, 1);
	for (int i = 0; i < 3; i++)
		gone[i] = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 2);
	off = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0, 3);
	clock_real = make(CLOCK_REALTIME, SIGEV_NONE, 0, 0, 4);
	idle = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 5);
	for (int i = 0; i < 3; i++)
		CHECK(!syscall(SYS_timer_delete, gone[i]));
	to_thread = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, target, 4242);
	cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 0, 6);
	boot = make(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGUSR2, 0, 7);
	arm(mono, LONG_S, 11);
	arm(clock_real, LONG_S, 0);
	arm(idle, LONG_S, 13);
	arm(cpu, LONG_S, 14);
	arm(boot, LONG_S, 15);
	struct itimerspec often = { { 0, 10000000 }, { 0, 10000000 } };
	CHECK(!syscall(SYS_timer_settime, to_thread, 0, &often, NULL));
	CHECK(!setitimer(ITIMER_VIRTUAL, &virt, NULL));
	CHECK(!setitimer(ITIMER_PROF, &prof, NULL));
	CHECK(!setitimer(ITIMER_REAL, &real, NULL));
	test_ready();
	check(mono, LONG_S, 11);
	check(off, 0, 0);
	check(clock_real, LONG_S, 0);
	check(idle, LONG_S, 13);
	check(cpu, LONG_S, 14);
	check(boot, LONG_S, 15);
	CHECK(!getitimer(ITIMER_VIRTUAL, &it));
	CHECK(it.it_interval.tv_sec == 3 && it.it_interval.tv_usec < 10004);
	CHECK(it.it_value.tv_sec <= LONG_S && it.it_value.tv_sec > LONG_S - 3600);
	CHECK(!getitimer(ITIMER_PROF, &it));
	CHECK(!it.it_interval.tv_sec && it.it_value.tv_sec > LONG_S - 3600);
	CHECK(!getitimer(ITIMER_REAL, &it));
	CHECK_EQ(it.it_interval.tv_usec, 20000);
	/* Both go on firing. */
	int a = alarms, h = thread_hits;
	for (int i = 0; i < 2000 && (alarms < a + 3 || thread_hits < h + 3); i++)
		test_sleep_ms(5);
	CHECK(alarms >= a + 3);
	CHECK(thread_hits >= h + 3);
	for (int i = 0; i < 3; i++)
		CHECK(syscall(SYS_timer_delete, gone[i]) < 0);
	/* A new timer takes no id that is in use. */
	int fresh = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 9);
	CHECK(fresh != mono && fresh != off && fresh != idle && fresh != to_thread && fresh != cpu && fresh != boot);
	pass();
}
