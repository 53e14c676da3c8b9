/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the store: what its two ways out, a directory and a stream, have in common. */
#ifndef CR_IMAGE_STORE_INSIDE_H
#define CR_IMAGE_STORE_INSIDE_H

#include <pthread.h>

#include "common/base/strbuf.h"
#include "common/image/draft.h"
#include "common/image/manifest.h"
#include "common/image/tar.h"

struct stored {
	enum image_kind kind;
	unsigned long id;
	size_t index; /* in image_store.images */
	struct strbuf bytes; /* magics and entries; nothing for a raw image */
	bool raw;
	bool manifest; /* not an image, but the manifest of all of them */
	struct draft draft; /* its descriptor is -1 before, and when it has a hidden name and needs none */
	bool packed;	    /* the file is compressed */
	bool summed;	    /* the next two are known */
	uint64_t size, *sums; /* for the manifest; of the content */
	bool linked;	    /* has its final name */
};

struct image_store {
	int dirfd;
	char *path;
	pthread_mutex_t lock; /* of the next five: threads fill images of their own */
	struct stored **images; /* in order of creation */
	size_t n, cap;
	void *by_key;	     /* tsearch tree of the same */
	struct stored *last; /* entries come in runs */
	uint64_t bytes;
	const char *tool; /* whose name the manifest bears, NULL: no manifest */
	bool sum_raw;
	struct checkpoint_id self, parent_id; /* for it */
	bool had_compressed; /* images of an earlier checkpoint */
	bool committed;
	char *parent; /* what the link to the checkpoint before says, NULL: there is none */
	bool linked_parent;
	int (*before_names)(void *arg, struct err *err); /* NULL: nothing */
	void *before_names_arg;
	/* of a stream: no directory */
	struct tar_writer *tar;
	struct frames_writer *frames; /* that compresses it; NULL: plain */
	struct stored *sending;
	const char *folder; /* of its members; NULL: none, and the stream ends with it */
	bool borrowed; /* tar and frames belong to another store */
};

/* A store without images yet; the caller fills in where they go. */
struct image_store *store_new(void);
/* Under the lock, where others fill images too. */
struct stored *store_get(struct image_store *st, enum image_kind kind, unsigned long id);
void stored_name(const struct stored *s, char name[80]);
/* The manifest of all images, whose sums are known, as the last one of the store. */
struct stored *store_append_manifest(struct image_store *st);
/* The rest of a commit of a stream. */
int store_stream_end(struct image_store *st, struct err *err);
void store_stream_free(struct image_store *st);

#endif
