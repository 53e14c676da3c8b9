/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deadline policy of a thread with its three parameters, and utilisation clamps where the kernel has them. */
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static volatile int ready_threads, go;

static struct attr get(void)
{
	struct attr a;

	CHECK(!syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0));
	return a;
}

static void *thread(void *arg)
{
	struct attr a, now;

	CHECK(!syscall(SYS_sched_setattr, 0, arg, 0));
	a = get();
	__sync_fetch_and_add(&ready_threads, 1);
	while (!go)
		test_sleep_ms(5);
	now = get();
	CHECK_EQ(now.policy, a.policy);
	CHECK_EQ(now.flags, a.flags);
	CHECK_EQ(now.nice, a.nice);
	CHECK_EQ(now.runtime, a.runtime);
	CHECK_EQ(now.deadline, a.deadline);
	CHECK_EQ(now.period, a.period);
	CHECK_EQ(now.util_min, a.util_min);
	CHECK_EQ(now.util_max, a.util_max);
	return NULL;
}

int main(void)
{
	struct attr deadline = { .size = sizeof(deadline), .policy = 6, .runtime = 2000000, .deadline = 30000000, .period = 60000000 };
	struct attr slice = { .size = sizeof(slice), .policy = 0, .nice = 2, .runtime = 700000 };
	struct attr clamp = { .size = sizeof(clamp), .flags = 0x60, .util_min = 100, .util_max = 600 };
	struct attr *all[3] = { &slice, &deadline, &clamp };
	int n = syscall(SYS_sched_setattr, 0, &clamp, 0) ? 2 : 3;
	pthread_t t[3];

	for (int i = 0; i < n; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, all[i]));
	while (ready_threads < n)
		test_sleep_ms(1);
	test_ready();
	go = 1;
	for (int i = 0; i < n; i++)
		CHECK(!pthread_join(t[i], NULL));
	pass();
}
