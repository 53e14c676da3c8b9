/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/threads.h"

#include <sched.h>

#include "common/base/aside.h"

unsigned image_threads_default(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);

	return (unsigned)MIN(MAX(n, 1), 16);
}

int image_threads(unsigned threads, int (*f)(void *arg, struct err *err), void *arg, struct err *err)
{
	const unsigned others = MIN(MAX(threads, 1u), IMAGE_THREADS_MAX) - 1;
	cleanup_free struct aside *v = xreallocarray(NULL, others + 1, sizeof(*v));
	int ret;

	for (unsigned i = 0; i < others; i++)
		aside_start(&v[i], f, arg);
	ret = f(arg, err);
	for (unsigned i = 0; i < others; i++) {
		struct err ignore = ERR_INIT;
		const int back = aside_join(&v[i], ret ? &ignore : err);

		ret = ret ? ret : back;
	}
	return ret;
}
