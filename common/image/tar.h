/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX tar (pax interchange), as much of it as a checkpoint needs: regular files of one directory, of any size. Nothing is kept in
 * memory but a block, so streams may be of any length.
 */
#ifndef CR_IMAGE_TAR_H
#define CR_IMAGE_TAR_H

#include <sys/types.h>

#include "common/base/err.h"

struct frames_writer; /* frames.h */

#define TAR_BLOCK 512u
/* Checkpoints that an iterated one needs are in folders of its directory, numbered from 1 on. */
#define TAR_ROUND "iterate-"
#define TAR_ROUNDS_MAX 100
/* The number of the folder in which a member is, 0: in none. Negative: in one that no checkpoint has. *name becomes the part behind it. */
int tar_round(const char **name);

struct tar_member {
	char name[256]; /* a plain file name: no leading dot, and no folder but TAR_ROUND */
	char link[64];	/* not "": a symbolic link to this, named "parent" */
	uint64_t size;
	unsigned mode; /* permission bits */
	int64_t mtime; /* s */
	bool last_part; /* nothing comes behind it but memory pages, the end record, and what no restore reads; in a comment */
};

/* ---- writing ---- */

struct tar_writer {
	int fd;	       /* the caller's */
	struct frames_writer *frames; /* not NULL: goes through it instead */
	uint64_t left; /* of the member */
	unsigned pad;
	uint64_t bytes; /* all that was written */
	bool copies; /* nothing else can be done with what it writes to */
};
/* Then exactly size bytes with tar_put(), in any parts. */
int tar_begin(struct tar_writer *w, const struct tar_member *m, struct err *err);
int tar_put(struct tar_writer *w, const void *p, size_t n, struct err *err);
/* The same n bytes, which p has, stand at off of a file: into a pipe they go without being copied. */
int tar_put_file(struct tar_writer *w, int file, uint64_t off, const void *p, size_t n, struct err *err);
int tar_end(struct tar_writer *w, struct err *err); /* the end of the archive */

/* ---- reading: hostile input ---- */

struct tar_reader {
	int fd;	       /* the caller's; a pipe will do */
	uint64_t left; /* of the member */
	unsigned pad;
	uint64_t at;   /* bytes read so far, for messages */
	size_t members;
	uint8_t head[4]; /* that were read to see what it is */
	unsigned nhead;
	struct frames_reader *frames; /* not NULL: it is compressed */
};
/* At the very beginning: finds out whether all of it is compressed by zstd, and then unpacks it. */
int tar_unpack(struct tar_reader *r, struct err *err);
/* After the end: reads what is left of the last record, so that a writer comes to its own end. */
int tar_drain(struct tar_reader *r, struct err *err);
void tar_close(struct tar_reader *r);
/*
 * The next member: 1, 0 at the end of the archive (which must be there: a stream that just stops is damaged), or a negative errno.
 * What is left of the one before is passed over. Directories are passed over; everything else that is no regular file with a
 * plain name, or a link "parent" to a checkpoint beside or below, is refused: other folders, "..", absolute names, devices, sparse files.
 */
int tar_next(struct tar_reader *r, struct tar_member *m, struct err *err);
/* At most n bytes of the member; *got 0 at its end. */
int tar_read(struct tar_reader *r, void *buf, size_t n, size_t *got, struct err *err);

#endif
