/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages of private file mappings that a task has copies of, and that are equal to the file's: not stored, but made again. */
#ifndef CR_MM_FILE_COPY_H
#define CR_MM_FILE_COPY_H

#include "common/mm/scan.h"

/* ---- dump: of one task ---- */

/* A mapping and its file; fd negative: nothing is to be compared with it. */
struct copy_source { const VmaEntry *vma; int fd; };
struct copy_run { const VmaEntry *vma; uint64_t addr, npages, sum; };
struct file_copies {
	struct dump *d;
	bool off; /* all pages are stored */
	struct copy_source now; /* of the mapping that was asked for last; vma NULL: of none */
	struct copy_file { uint64_t id; int fd; } *files; /* opened; malloc'ed */
	size_t nfiles, files_cap;
	struct copy_run *runs; /* found; ascending, malloc'ed */
	size_t n, cap;
};

void file_copies_open(struct dump *d, struct file_copies *c);
void file_copies_close(struct file_copies *c);
/* What pages of this run may be equal to. Good until file_copies_close(). */
struct copy_source file_copies_source(struct file_copies *c, const struct scan *s, const struct scan_run *run);
/* For each of n pages from addr on, whose content is at mine: is it the file's, and if so, what is its sum? For several threads, each
 * with a buffer of its own. */
#define COPIES_BUFFER (16 * PAGE_BYTES)
void file_copies_compare(const struct copy_source *s, uint64_t addr, const unsigned char *mine, size_t n,
			 unsigned char buf[COPIES_BUFFER], bool *same, uint64_t *sums);
/* A page that is; ascending. */
void file_copies_add(struct file_copies *c, const VmaEntry *vma, uint64_t addr, uint64_t sum);
/* All of them go into the entries of their mappings. */
void file_copies_put(struct file_copies *c);

#endif
