/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of a task are still those of its parent, or of anybody else's too. */
#ifndef CR_MM_COW_H
#define CR_MM_COW_H

#include "common/mm/scan.h"

#define COW_PAGES 256 /* in one run at most */

struct cow_parent; /* cow.c */
struct cow {
	int own, parents; /* /proc/PID/pagemap, the first one is the scan's; parents -1: only what is shared is to be found out */
	struct cow_parent *known; /* what siblings have read of the parent's */
	const struct proc_maps *maps;
	size_t at; /* in maps: runs ascend */
	uint64_t words[COW_PAGES], theirs[COW_PAGES];
};

/* own: the task's page map, open as long as this is. */
int cow_open(struct dump *d, int own, struct cow *c, struct err *err);
void cow_close(struct cow *c);
enum cow_page {
	COW_OWN,	/* mapped here and nowhere else */
	COW_SHARED,	/* other processes map it too */
	COW_PARENTS,	/* the parent has the same page at the same address, and --cow-pages leaves it there */
};
/* For each page of the run. */
int cow_compare(struct cow *c, const struct scan_run *run, enum cow_page pages[COW_PAGES], struct err *err);

#endif
