/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the pages of one set go: a pagemap image, and their content into a file, compressed or not, or into a stream. A stream
 * needs the pagemap, and how many pages there are, before the first of them: so sets are listed first and sent later.
 */
#ifndef CR_MM_PAGES_OUT_H
#define CR_MM_PAGES_OUT_H

#include <sys/uio.h>

#include "common/image/frames.h"
#include "common/image/sums.h"
#include "common/mm/private.h"

enum { BATCH_PAGES = 256 }; /* 1 MiB: two of them fit into the cache of one core */

/* Pages to be sent; by_mem: see pages_dump.c. */
struct pages_run { uint64_t addr; uint32_t npages; bool by_mem; };
struct pages_set {
	struct dump_task *task;
	const struct mm_object *object; /* NULL: the task's own memory */
	uint32_t pages_id;
	struct pages_run *runs;
	size_t n, cap;
	uint64_t npages;
	/* of rounds that go down a stream: */
	enum image_kind kind;
	unsigned long id;
	struct pages_run *left; /* pages that went before */
	size_t nleft, left_cap;
	struct sent_page *sums; /* of those that go now; NULL: nobody wants them */
};
struct sent_page; /* sent.h */
struct pages_sets { struct pages_set *v; size_t n, cap; };

struct pages_out {
	struct dump *d;
	enum image_kind kind;
	unsigned long id;
	uint32_t pages_id;
	/* the run of the pagemap that may still grow */
	uint64_t addr, npages;
	uint32_t flags;
	/* content */
	int fd;
	struct frames_writer *frames;
	struct pages_set *list; /* nothing is written, but listed here; NULL: written */
	bool sending;
	bool sum;
	uint64_t off; /* where the next page goes */
	struct sums sums;
};

/* Begins a set: its number, the head of its pagemap, its file. */
int pages_out_open(struct dump *d, struct pages_out *o, enum image_kind kind, unsigned long id, const struct mm_object *object,
		   struct err *err);
/* A set that was listed is sent. */
int pages_out_send(struct dump *d, struct pages_out *o, struct pages_set *set, struct err *err);
/* Has writes in the order of the content, one at a time; else they may be made side by side. */
static inline bool pages_out_ordered(const struct pages_out *o)
{
	return o->frames || o->sending;
}
/* Pages of the pagemap. by_mem: how to read them later. */
void pages_out_map(struct pages_out *o, uint64_t addr, uint64_t npages, uint32_t flags, bool by_mem);
/* Content, whole pages: v may be changed. The caller counts o->off. */
int pages_out_write(struct pages_out *o, struct iovec *v, size_t n, uint64_t off, struct err *err);
/* The end of a set in which all went well. */
int pages_out_close(struct pages_out *o, struct err *err);
void pages_out_drop(struct pages_out *o);

bool is_zero_page(const void *page);

/* Takes the sums of content that is written at off. */
void pages_sum(struct sums_part *part, const struct iovec *v, size_t n, uint64_t off);

/* Sends the memory of a task, or the content of an object. */
int pages_send_task(struct dump *d, struct pages_set *set, struct err *err);
int pages_send_object(struct dump *d, struct pages_set *set, struct err *err);

#endif
