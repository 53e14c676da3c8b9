/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/aside.h"

#include <sched.h>

static void *run(void *arg)
{
	struct aside *a = arg;

	if (a->sent)
		pthread_setaffinity_np(pthread_self(), sizeof(a->cpus), &a->cpus);
	a->ret = a->work(a->arg, &a->err);
	return NULL;
}

/*
 * A new thread may have to wait for the one that made it, although another processor is idle: for 3 ms, until that one's slice is over
 * (seen on two processors, Linux 6.18, for threads made on the first). So it begins anywhere but here, and then runs where it may.
 */
static bool start_elsewhere(struct aside *a)
{
	pthread_attr_t attr;
	const int here = sched_getcpu();
	cpu_set_t others;

	if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof(a->cpus), &a->cpus) < 0)
		return false;
	others = a->cpus;
	CPU_CLR((size_t)here, &others);
	if (!CPU_COUNT(&others) || pthread_attr_init(&attr))
		return false;
	a->sent = true;
	a->running = !pthread_attr_setaffinity_np(&attr, sizeof(others), &others) && !pthread_create(&a->thread, &attr, run, a);
	pthread_attr_destroy(&attr);
	return a->running;
}

void aside_start(struct aside *a, int (*work)(void *arg, struct err *err), void *arg)
{
	*a = (struct aside){ .work = work, .arg = arg };
	if (start_elsewhere(a))
		return;
	a->sent = false;
	a->running = !pthread_create(&a->thread, NULL, run, a);
	if (!a->running)
		run(a);
}

int aside_join(struct aside *a, struct err *err)
{
	int ret;

	if (a->running)
		pthread_join(a->thread, NULL);
	a->running = false;
	ret = a->ret;
	a->ret = 0;
	if (ret && err->kind == ERR_NONE)
		*err = a->err;
	return ret;
}
