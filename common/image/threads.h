/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work on one large image by several threads. */
#ifndef CR_IMAGE_THREADS_H
#define CR_IMAGE_THREADS_H

#include "common/base/err.h"

#define IMAGE_THREADS_MAX 64u

/* How many threads the caller may use well: the processors that it may run on, at most 16. */
unsigned image_threads_default(void);

/*
 * Calls f in so many threads, of which the caller's is one; returns the first failure, after all have ended. f shares work through
 * arg; it must look for failures of others itself where it waits for them. Without threads it is called as often, one after the other.
 */
int image_threads(unsigned threads, int (*f)(void *arg, struct err *err), void *arg, struct err *err);

#endif
