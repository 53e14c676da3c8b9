/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpoint that comes from a pipe (stream.h). All images but memory pages are kept in memory, within limits. Of a stream that
 * cr-dump wrote, pages are left in the pipe until somebody reads them in their order; of any other they go into memory too, since
 * there is no knowing what still comes behind them, and so do those of checkpoints before that one (cr-dump --iterate): there each page is
 * kept once, for the newest takes the place of the others. Nothing of it is to be trusted before source_end().
 */
#ifndef CR_IMAGE_SOURCE_H
#define CR_IMAGE_SOURCE_H

#include "common/image/file.h"
#include "common/image/sums.h"

struct source;
struct manifest;
struct image_dir;
/* Reads up to the first pages that can wait. fd stays the caller's, and must live as long. */
int source_open(int fd, struct source **s, struct err *err);
void source_free(struct source *s);

/* An image that came already, in a folder of rounds (tar.h) or in none (0): f is the source's. False: there is none. */
bool source_find(const struct source *s, unsigned round, const char *name, struct image_file *f);
/* The folder of the checkpoint to which that one leaves pages; 0: there is none. */
unsigned source_parent(const struct source *s, unsigned round);
/* That folder as a directory of images, to be freed before the source. */
struct image_dir *image_dir_of_source(struct source *s, unsigned round);
/* Whoever found it has all that he needs of it: its memory is given back. */
void source_forget(struct source *s, unsigned round, const char *name);
/* Whether pages may still come. */
bool source_more(const struct source *s);
/* Whether there are checkpoints before that one. Then all pages must go into memory before they are looked for. */
bool source_rounds(const struct source *s);
int source_keep_rounds(struct source *s, struct err *err);

/* The pages image at which the stream stands: 1, 0 when there is none any more. */
int source_next(struct source *s, unsigned long *id, uint64_t *size, struct err *err);
/* Its next n bytes; at most what is left of it. */
int source_read(struct source *s, void *buf, size_t n, struct err *err);
/* All of it was read: its sums, taken over. Goes on to the next one. */
int source_done(struct source *s, uint64_t *sums, struct err *err);
/* It goes into memory instead, and is found then. */
int source_spool(struct source *s, struct err *err);

/* Reads what is left, and looks whether all is what the end record says. Once, but may be called again. */
int source_end(struct source *s, struct err *err);

#endif
