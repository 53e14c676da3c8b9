/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads, the first one among them, in calls whose remaining time only the kernel has (its restart block, of which each thread has
 * one). None of them may come back: not by EINTR, and not early. Also run by test/live/sleepers.sh.
 * test: settle=200
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "test.h"

#define LONG_S 1000
#define SLEEPERS 6

static volatile int asleep;

static void *sleeper(void *arg)
{
	const char *name[SLEEPERS] = { "nanosleep", "nanosleep that tells what remains", "clock_nanosleep", "sleep", "poll", "sem_timedwait" };
	struct timespec ts = { LONG_S, 0 }, rem;
	long i = (long)arg, ret = 0;
	sem_t sem;

	errno = 0;
	__sync_fetch_and_add(&asleep, 1);
	switch (i) {
	case 0: ret = nanosleep(&ts, NULL); break;
	case 1: ret = nanosleep(&ts, &rem); break;
	case 2: ret = clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL); break;
	case 3: ret = sleep(LONG_S); break;
	case 4: ret = poll(NULL, 0, LONG_S * 1000); break;
	case 5:
		sem_init(&sem, 0, 0);
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec += LONG_S;
		ret = sem_timedwait(&sem, &ts);
		break;
	}
	fail("%s returned %ld, errno %d", name[i], ret, errno);
	return NULL;
}

static void *judge(void *arg)
{
	while (asleep < SLEEPERS)
		test_sleep_ms(1);
	test_sleep_ms(50);
	test_ready();
	test_sleep_ms(100); /* whoever was woken has the time to say so */
	pass();
	return NULL;
}

int main(void)
{
	pthread_t t;

	for (long i = 1; i < SLEEPERS; i++)
		CHECK(!pthread_create(&t, NULL, sleeper, (void *)i));
	CHECK(!pthread_create(&t, NULL, judge, NULL));
	sleeper((void *)0l);
}
