/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/threads.h"

#include <pthread.h>
#include <sched.h>

struct worker {
	pthread_t thread;
	int (*f)(void *arg, struct err *err);
	void *arg;
	int ret;
	struct err err;
};

unsigned image_threads_default(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);

	return (unsigned)MIN(MAX(n, 1), 16);
}

static void *start(void *p)
{
	struct worker *w = p;

	w->ret = w->f(w->arg, &w->err);
	return NULL;
}

int image_threads(unsigned threads, int (*f)(void *arg, struct err *err), void *arg, struct err *err)
{
	unsigned want = MIN(MAX(threads, 1u), IMAGE_THREADS_MAX) - 1, n = 0;
	cleanup_free struct worker *w = xreallocarray(NULL, want + 1, sizeof(*w));
	int ret;

	for (; n < want; n++) {
		w[n] = (struct worker){ .f = f, .arg = arg, .err = ERR_INIT };
		if (pthread_create(&w[n].thread, NULL, start, &w[n]))
			break;
	}
	ret = f(arg, err);
	for (unsigned i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].ret && !ret) {
			ret = w[i].ret;
			*err = w[i].err;
		}
	}
	return ret;
}
