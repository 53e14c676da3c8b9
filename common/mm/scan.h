/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of a frozen task hold content of their own, in order of address, without ever listing them all. */
#ifndef CR_MM_SCAN_H
#define CR_MM_SCAN_H

#include "common/mm/private.h"

struct scan_region { uint64_t start, end, categories; }; /* the kernel's struct page_region */
struct scan_guard { uint64_t start, end; };

struct scan {
	struct dump *d;
	int fd;			 /* /proc/PID/pagemap */
	bool ioctl;		 /* PAGEMAP_SCAN works; else words of pagemap are read */
	bool guards_known;
	bool tracked; /* regions say whether they were written */
	bool soft;    /* by soft-dirty bits, */
	bool armed;   /* which were cleared in an earlier round */
	bool protect; /* and are protected again as they are listed */
	bool listed;  /* v is malloc'ed and holds all regions there are */
	struct scan_region *v;	 /* one bufferful */
	size_t n, i;
	uint64_t next, end;	 /* address space still to be scanned */
	size_t stretch_vma;	 /* mapping at next, or the first one behind it */
	uint64_t stretch_end;	 /* up to here all is scanned in one way: */
	bool anon;		 /* nothing of a file can be there */
	size_t vma;		 /* mapping of the current address */
	uint64_t at;		 /* how far the current region or mapping was given out */
	uint64_t *words;	 /* for the way without PAGEMAP_SCAN */
	struct scan_guard *guards; /* malloc'ed */
	size_t nguards, guards_cap;
};

/* A run of pages in one mapping. */
struct scan_run {
	uint64_t addr, npages;
	const VmaEntry *vma;
	bool clean; /* not written since the round before (track.h) */
};

int scan_open(struct dump *d, struct scan *s, struct err *err);
/* Lists all regions now, while the task stands still, and protects those that are tracked: scan_next() gives what was
 * written before. */
int scan_list(struct scan *s, struct err *err);
void scan_close(struct scan *s);
/* The next run of at most max pages: 1, 0 at the end, or a negative errno. Guard ranges are collected on the way. */
int scan_next(struct scan *s, uint64_t max, struct scan_run *run, struct err *err);
/* After a run of this mapping: how many pages of its own it has from there on, as far as regions are at hand and up to `most`. */
uint64_t scan_pages_ahead(const struct scan *s, const VmaEntry *v, uint64_t most);

#endif
