/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work beside the caller's own: one more thread, whose outcome is taken before anything relies on it. */
#ifndef CR_BASE_ASIDE_H
#define CR_BASE_ASIDE_H

#include <pthread.h>

#include "common/base/err.h"

struct aside {
	pthread_t thread;
	bool running;
	bool sent; /* elsewhere, see aside.c */
	cpu_set_t cpus; /* where it may run then */
	int (*work)(void *arg, struct err *err);
	void *arg;
	struct err err;
	int ret;
};

/* Starts work(arg). Where no thread can be had it is done at once. a must live until aside_join(). */
void aside_start(struct aside *a, int (*work)(void *arg, struct err *err), void *arg);
/* Whether aside_start() was called for it, which is all zeroes before. */
static inline bool aside_begun(const struct aside *a)
{
	return a->work;
}
/* Waits, and returns what work returned; its error goes to err unless that is filled already. Again, or not begun: 0. */
int aside_join(struct aside *a, struct err *err);

#endif
