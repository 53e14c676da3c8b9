/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory as a stream of windows, for those who look for something in it. */
#ifndef CR_IMAGE_SEARCH_H
#define CR_IMAGE_SEARCH_H

#include "bin/cr-image/checkpoint.h"

/* What becomes of a window: n bytes at addr, of which [0, settled) are not shown again; the rest comes once more at the
 * beginning of the next window unless the memory ends here (settled == n). Non-zero stops. */
typedef int (*window_fn)(struct ckpt_task *t, uint64_t addr, const uint8_t *p, size_t n, size_t settled, void *data, struct err *err);

/* All stored and zero memory of the task, ascending, keep bytes overlapping wherever addresses go on without a gap. Of a long
 * run of zeros that nobody ever wrote only its two ends are shown. */
int search_windows(struct ckpt *c, struct ckpt_task *t, size_t keep, window_fn f, void *data, struct err *err);

/* A literal to look for; first occurrence in p, or NULL. */
struct literal {
	const uint8_t *bytes;
	size_t n;
	size_t rare; /* index of the byte that is seldom in memory */
};
void literal_init(struct literal *l, const void *bytes, size_t n);
const uint8_t *literal_find(const struct literal *l, const uint8_t *p, size_t n);
/* The longest text that each match of an extended regular expression holds. malloc'ed, "" when there is none. */
char *regex_literal(const char *regex);

#endif
