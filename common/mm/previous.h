/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checkpoint before this one: pages that have the same content there are left to it. */
#ifndef CR_MM_PREVIOUS_H
#define CR_MM_PREVIOUS_H

#include "common/dump/dump.h"
#include "common/image/chain.h"

#define PREVIOUS_PAGES 256 /* that are compared at once */

struct sent; /* sent.h */
struct sent_set;

struct previous {
	struct chain chain; /* the newest first */
	struct checkpoint_id id; /* as it is now */
	char run_id[37]; /* as its inventory has it; "": it does not tell */
	uint64_t uptime_us; /* of the host, when it was made; UINT64_MAX: it does not tell */
};

/* The checkpoint that d->opts->prev_images_dir names: refused where it cannot be read, or is the directory of this dump. */
int previous_open(struct dump *d, struct err *err);
void previous_close(struct dump *d);
/* Microseconds since the host started, as the inventory tells. */
uint64_t previous_uptime(void);
/* Pages of older checkpoints that this one, which is committed, has anew: their room is given back to the file system. */
int previous_dedup(struct dump *d, struct err *err);

/* One page set in the older checkpoints. Readers in several threads have a struct previous_set each. */
struct previous_set {
	const struct sent *sent; /* not NULL: it went down the stream, and this is what is known of it */
	const struct sent_set *of;
	struct chain_set set;
	bool shared; /* sets and files are another one's */
	unsigned char buf[PREVIOUS_PAGES * 4096];
};
/* *s NULL: nothing older is known of it. */
int previous_set_open(struct dump *d, enum image_kind kind, unsigned long id, struct previous_set **s, struct err *err);
/* Another reader of the same set, for another thread; s may be NULL. It goes before the first one. */
struct previous_set *previous_set_share(const struct previous_set *s);
void previous_set_close(struct previous_set *s);
/* Is the page there at all, and for how many of max pages from there on is it the same? s may be NULL. */
uint64_t previous_run(const struct previous_set *s, uint64_t vaddr, uint64_t max, bool *has);
/* For each of n pages from vaddr on, whose content is at mine: is it the same there? s may be NULL. */
int previous_compare(struct previous_set *s, uint64_t vaddr, const unsigned char *mine, size_t n, bool *same, struct err *err);

#endif
