/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many like pieces of work, which the caller and one more thread take from each other, a few at a time. */
#ifndef CR_BASE_HALVES_H
#define CR_BASE_HALVES_H

#include <stddef.h>

#include "common/base/err.h"

struct halves {
	size_t n, at_once;
	int (*one)(void *view, size_t i, struct err *err); /* view: of the thread that does it */
	void *mine, *other;
};

/* Gives the failure of the first piece that fails: all before it were done, those behind it perhaps. No more than at_once: alone. */
int halves_run(const struct halves *h, struct err *err);

#endif
