/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of a task were written since the round before, as the kernel tells: userfaultfd(2) in its asynchronous way. */
#ifndef CR_MM_TRACK_H
#define CR_MM_TRACK_H

#include "common/dump/dump.h"

/* doubt: a page of it could not be read in a round, so one that is not in the images need not have been zeros. */
struct tracked { pid_t pid; uint64_t start_time; int uffd; bool doubt; };

struct sent; /* sent.h */
struct image_store;

/* Lives as long as the rounds of one run; its end ends the tracking, whatever that end is. */
struct tracker {
	struct tracked *v;
	size_t n, cap;
	struct image_store *stream; /* all rounds go down one; NULL: into directories */
	struct sent *sent;	    /* what went down it */
};
void tracker_close(struct tracker *t);

/* Is the current task tracked since an earlier round? */
bool track_has(const struct dump *d);
void track_doubt(struct dump *d);
bool track_doubted(const struct dump *d);
/* Of the current task, frozen, its mappings known: its mappings can be registered from now on. What cannot be tracked is
 * not, and always counts as written. An error only when the task cannot be left as it was. */
int track_begin(struct dump *d, struct err *err);
/* Registers the mappings that are not yet, after it was listed what was written: pages that moved into a new mapping may bear
 * the mark of the place where they were (mm/mremap.c before Linux 6.13 kept it), and mean nothing until protected anew. */
void track_register(const struct dump *d);

#endif
