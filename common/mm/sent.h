/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What went down a stream in the rounds before: the pages themselves are gone, so two sums of each are kept (24 bytes for 4 KiB), by
 * which the next round sees what it need not send again. Their seeds are secret: nobody makes two pages that have the same.
 */
#ifndef CR_MM_SENT_H
#define CR_MM_SENT_H

#include "common/mm/pages_out.h"

struct sent_page { uint64_t addr, sum[2]; };
/* In addr: what was sent in its place is nothing that the task had there. */
enum { SENT_LOST = 1 };
/* One page set; ascending. */
struct sent_set {
	enum image_kind kind;
	unsigned long id;
	struct sent_page *v;
	size_t n;
};
struct sent {
	uint64_t seed[2];
	struct sent_set *sets;
	size_t n;
};

int sent_new(struct sent **s, struct err *err);
void sent_free(struct sent *s);
/* NULL: nothing of it was sent. s may be NULL. */
const struct sent_set *sent_find(const struct sent *s, enum image_kind kind, unsigned long id);
/* The page at addr or the first one behind it: an index. */
size_t sent_at(const struct sent_set *set, uint64_t addr);
void sent_sum(const struct sent *s, uint64_t addr, const void *page, struct sent_page *sum);
/* A round is over: its sets, whose sums are all made, take the place of those before, with what they left to those. */
void sent_next(struct sent *s, struct pages_sets *sets);

#endif
