/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of a task were written since the round before, as the kernel tells: userfaultfd(2) in its asynchronous way, or soft-dirty
 * bits. Both go by the same rule: what the kernel does not call clean is compared with what was written then. */
#ifndef CR_MM_TRACK_H
#define CR_MM_TRACK_H

#include "common/dump/dump.h"
#include "common/image/manifest.h"

/* doubt: a page of it could not be read in a round, so one that is not in the images need not have been zeros. */
struct tracked {
	pid_t pid;
	uint64_t start_time;
	int uffd;   /* -1: by soft-dirty bits */
	bool armed; /* those were cleared by us: what is clean was not written since */
	bool doubt;
};

/* How it is found out what was written since the round before. */
enum track_how { TRACK_AUTO, TRACK_SOFT_DIRTY, TRACK_USERFAULTFD, TRACK_CONTENT };
/* Refuses a way that is forced where the kernel does not have it. */
int track_check(const struct dump_opts *opts, struct err *err);

struct sent; /* sent.h */
struct image_store;

/* Lives as long as the rounds of one run; its end ends the tracking, whatever that end is. */
struct tracker {
	struct tracked *v;
	size_t n, cap;
	enum { SOFT_UNKNOWN, SOFT_THERE, SOFT_ABSENT } soft; /* does the kernel have soft-dirty bits? */
	struct image_store *stream; /* all rounds go down one; NULL: into directories */
	struct sent *sent;	    /* what went down it */
	struct checkpoint_id last; /* the round that went down it last */
};
void tracker_close(struct tracker *t);

/* Is the current task tracked since an earlier round? */
bool track_has(const struct dump *d);
/* By soft-dirty bits, and they mean something already. */
bool track_soft(const struct dump *d, bool *armed);
void track_doubt(struct dump *d);
bool track_doubted(const struct dump *d);
/* Of the current task, frozen, its mappings known: its mappings can be registered from now on. What cannot be tracked is
 * not, and always counts as written. An error only when the task cannot be left as it was. */
int track_begin(struct dump *d, struct err *err);
struct scan_region; /* scan.h */
/* Begins anew: what is written from now on is told. Registers the mappings that are not yet, after it was listed what was
 * written: marks of pages in a mapping that was not registered mean nothing. Where there are such (left: in which regions, ascending),
 * they are taken away. */
int track_register(const struct dump *d, const struct scan_region *left, size_t nleft, struct err *err);

#endif
