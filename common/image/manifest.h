/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manifest, cr-manifest.json beside the images: which images make up a checkpoint, how long they are, and sums of each
 * 4 MiB of them (sums.h); no other program reads that name. All is about contents: compressing changes nothing in it.
 * Statistics and caches (files that no restore reads) are not in it.
 */
#ifndef CR_IMAGE_MANIFEST_H
#define CR_IMAGE_MANIFEST_H

#include "common/base/strbuf.h"
#include "common/image/file.h"
#include "common/image/sums.h"

#define MANIFEST_NAME "cr-manifest.json"
#define MANIFEST_RESTORED "restored"

struct manifest_file {
	char name[64]; /* "core-12.img" */
	uint64_t size;
	uint64_t *sums; /* of each piece, an empty image has one too; NULL: only the size is known */
	size_t nsums;
};

/* Which checkpoint, and in which state of its pages. */
struct checkpoint_id {
	char run[37]; /* of the dump that made it, as the inventory has it; "": not known */
	bool has_state;
	uint64_t state; /* of its page sets and run, manifest_state(): what those rely on that leave pages to it */
};

struct manifest {
	char *tool, *kernel, *created; /* as text, for people */
	struct checkpoint_id self;
	struct checkpoint_id parent;   /* the one that it leaves pages to; nothing is known where it is empty */
	/* Room of its pages was given back: to these runs, which have them anew, or to a restore (MANIFEST_RESTORED). */
	char (*given)[37];
	size_t ngiven, given_cap;
	struct manifest_file *files;   /* sorted by name */
	size_t n, cap;
};

struct manifest *manifest_new(const char *tool); /* kernel and time are those of now */
void manifest_free(struct manifest *m);
void manifest_freep(struct manifest **m);
#define cleanup_manifest cleanup(manifest_freep)

/* Whether an image belongs into manifests. */
bool manifest_covers(enum image_kind kind);
/* Appends; the sums are taken over (NULL: not known). Sort when all are there. */
/* The state of the page sets that it lists. It stays what it was when pages are given back, or are left to a parent that has the same. */
uint64_t manifest_state(const struct manifest *m);
/* Takes over from another manifest of the same directory what is not about files. */
void manifest_inherit(struct manifest *m, const struct manifest *old);
void manifest_give(struct manifest *m, const char *to);
void manifest_add(struct manifest *m, const char *name, uint64_t size, uint64_t *sums);
void manifest_sort(struct manifest *m);
const struct manifest_file *manifest_find(const struct manifest *m, const char *name);

/* The sums of a file's content, malloc'ed. */
int manifest_sums(const struct image_file *f, unsigned threads, uint64_t **sums, struct err *err);
uint64_t *manifest_sums_of(const void *p, size_t n);

/* Size and content of a file against the manifest. 0: as it should be; otherwise err says what is wrong, and at which byte. */
int manifest_verify(const struct manifest_file *want, const struct image_file *f, unsigned threads, struct err *err);

/* Sums that were made of a content of the right size. */
int manifest_compare(const struct manifest_file *want, const uint64_t *sums, struct err *err);

/* What is in the directory: *m NULL when there is none. */
int manifest_load(int dirfd, struct manifest **m, struct err *err);
/* From text; hostile input. */
int manifest_parse(const char *text, size_t len, struct manifest **m, struct err *err);
void manifest_print(const struct manifest *m, struct strbuf *b);
/* Writes it into the directory, in one step. */
int manifest_store(int dirfd, const struct manifest *m, struct err *err);

/* Makes the manifest of a directory from what is in it, and writes it; the parent is the one that is there now. images: how many;
 * may be NULL. */
int manifest_seal(int dirfd, const char *tool, unsigned threads, size_t *images, struct err *err);
/* After one image (by its name without .zst) was changed on purpose: brings its line up to date. Nothing when there is no manifest. */
int manifest_update(int dirfd, const char *name, struct err *err);

#endif
