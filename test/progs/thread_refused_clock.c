/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A timer on the processor time of one thread of several: nobody can tell of which one. */
/* test: refused=POSIX_timer_0_counts_the_CPU_time_of_one_of_2_threads */
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

static void *thread(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	timer_t id;

	CHECK(!timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &id));
	*(volatile int *)arg = 1;
	for (;;)
		pause();
	return arg;
}

int main(void)
{
	volatile int made = 0;
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, thread, (void *)&made));
	while (!made)
		test_sleep_ms(1);
	test_ready();
	pass();
}
