/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread with a descriptor table of its own is refused.
 * test: refused=descriptor_table_of_its_own */
#include <pthread.h>
#include <sched.h>

#include "test.h"

static volatile int apart, go;

static void *thread(void *arg)
{
	CHECK(!unshare(CLONE_FILES));
	apart = 1;
	while (!go)
		test_sleep_ms(5);
	return arg;
}

int main(void)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, thread, NULL));
	while (!apart)
		test_sleep_ms(1);
	test_ready();
	go = 1;
	CHECK(!pthread_join(t, NULL));
	pass();
}
