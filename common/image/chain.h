/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page sets and chains of checkpoints. A page set is a pagemap and its pages file; pages that it leaves to the parent are in the
 * page set of the same name in the directory behind the link "parent", or in that one's parent.
 */
#ifndef CR_IMAGE_CHAIN_H
#define CR_IMAGE_CHAIN_H

#include "common/image/file.h"
#include "common/image/manifest.h"
#include "pagemap.pb-c.h"

#define IMAGE_PAGE 4096u
enum { RUN_PARENT = 1, RUN_LAZY = 2, RUN_PRESENT = 4, RUN_COW = 0x10000 /* the parent process has them */ };

struct page_run {
	uint64_t vaddr, pages;
	uint64_t off; /* of a present run: in the pages file */
	uint32_t flags;
};
struct page_set {
	bool absent; /* no such pagemap */
	uint32_t pages_id;
	struct page_run *runs; /* sorted */
	size_t n, cap;
	uint64_t end;	  /* of the last run */
	uint64_t present; /* bytes that the pages file must have */
};

/* The next entry of a pagemap: appends a run. NULL, or what is wrong with it (a constant text). */
const char *page_set_add(struct page_set *set, const PagemapEntry *e);
int page_set_load(struct image_dir *dir, enum image_kind kind, unsigned long id, struct page_set *set, struct err *err);
void page_set_release(struct page_set *set);
/* The run with the page at vaddr; NULL when it is not listed. */
const struct page_run *page_set_find(const struct page_set *set, uint64_t vaddr);

#define CHAIN_MAX 256 /* directories */

/* The directory and its parents, the newest first. */
struct chain {
	struct image_dir *dirs[CHAIN_MAX];
	size_t n;
};
/* Takes the directory. Damaged links, cycles and too many directories are errors; sealed: manifests count. */
int chain_open(struct image_dir *dir, struct chain *c, bool sealed, struct err *err);
void chain_close(struct chain *c);
/* The link may lead anywhere: chains are made of directories side by side. 1 and *parent, or 0 when there is none. */
int chain_open_parent(const struct image_dir *dir, bool sealed, struct image_dir **parent, struct err *err);
/*
 * Whether each of them is what the one before it was made upon (manifest.h: parent), and has all pages that this chain needs: those
 * that it gave to a run are only found on a way that comes by that run. Says nothing of a stream, nor where no manifest does.
 */
int chain_verify(const struct chain *c, struct err *err);
/* Which checkpoint that is now. */
int chain_identify(struct image_dir *dir, struct checkpoint_id *id, struct err *err);
/* The one behind the link "parent" of a directory; *id is empty where there is none. */
int chain_identify_parent(int dirfd, struct checkpoint_id *id, struct err *err);
/* Refuses a manifest that says that pages were given back. */
int chain_refuse_given(const struct manifest *m, struct err *err);

/* The page sets of one name in a whole chain, with their pages files. */
struct chain_set {
	const struct chain *chain;
	size_t n;
	struct page_set *sets;	  /* one for each directory */
	struct image_file *pages; /* fd -1: none */
};
/* first: the directory to begin with; those before it stay empty. */
int chain_set_open(const struct chain *c, size_t first, enum image_kind kind, unsigned long id, struct chain_set *s, struct err *err);
void chain_set_close(struct chain_set *s);
/* Where the page at vaddr is, looked for from the directory `from` on: *in that directory's pages file at *off, and so for *pages, at most
 * max. NULL, or why it is nowhere. */
const char *chain_find(const struct chain_set *s, size_t from, uint64_t vaddr, uint64_t max, size_t *in, uint64_t *off,
		       uint64_t *pages);
/* What the first directory has itself of a page set, its parents need not have: tells fn of each part of a pages file that could
 * go. Compressed pages have no place of their own, and stay. */
typedef int (*chain_spare_fn)(void *arg, size_t in, const struct chain_set *s, uint64_t off, uint64_t len, struct err *err);
int chain_spare(const struct chain *c, enum image_kind kind, unsigned long id, chain_spare_fn fn, void *arg, struct err *err);

#endif
