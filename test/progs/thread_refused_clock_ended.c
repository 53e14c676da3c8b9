/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test: busy refused=POSIX_timer_3_counts_the_CPU_time_of_a_thread_that_has_ended
 * A timer on the processor time of a thread that is gone. That is found when the other timers were asked whose time they count: they
 * have what they had.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

#define LONG_S 5000

static int waits, made;

static int make(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int id;

	CHECK(!syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &ev, &id));
	CHECK_EQ(id, made);
	return id;
}

static void arm(int id, long value, long interval)
{
	struct itimerspec v = { { interval, 3 }, { value, 5 } };

	CHECK(!syscall(SYS_timer_settime, id, 0, &v, NULL));
}

static void check(int id, long value, long interval)
{
	struct itimerspec v;

	CHECK(!syscall(SYS_timer_gettime, id, &v));
	CHECK(v.it_interval.tv_sec == interval && v.it_interval.tv_nsec == (interval ? 3 : 0));
	CHECK(value ? v.it_value.tv_sec <= value && v.it_value.tv_sec > value - 60 : !v.it_value.tv_sec && !v.it_value.tv_nsec);
}

static void *thread(void *arg)
{
	arm(make(), LONG_S, 11);
	__atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
	while (!arg && __atomic_load_n(&waits, __ATOMIC_SEQ_CST))
		test_sleep_ms(10);
	return arg;
}

int main(void)
{
	pthread_t t, ends;

	waits = 1;
	CHECK(!pthread_create(&t, NULL, thread, NULL));
	while (!__atomic_load_n(&made, __ATOMIC_SEQ_CST))
		test_sleep_ms(1);
	arm(make(), LONG_S + 100, 13);
	made++;
	make();
	made++;
	CHECK(!pthread_create(&ends, NULL, thread, &made) && !pthread_join(ends, NULL));
	CHECK_EQ(made, 4);
	test_ready();
	check(0, LONG_S, 11);
	check(1, LONG_S + 100, 13);
	check(2, 0, 0);
	__atomic_store_n(&waits, 0, __ATOMIC_SEQ_CST);
	CHECK(!pthread_join(t, NULL));
	pass();
}
