/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zstd seekable format: independent zstd frames, and behind them a skippable frame with a table of their sizes. A plain `zstd -d`
 * reads it as any other file; with the table, any byte costs one frame.
 */
#ifndef CR_IMAGE_SEEKABLE_H
#define CR_IMAGE_SEEKABLE_H

#include <sys/types.h>

#include "common/base/err.h"

/* Bytes that go into a frame: what reading one byte costs, against how well frames compress. */
#define SEEKABLE_FRAME (256u << 10)
/* Of files made by others: a frame is in memory as a whole, a file is as long as this at the most. */
#define SEEKABLE_FRAME_MAX (64u << 20)

/* Whether a file that starts like this (n bytes) is zstd's at all. */
bool zstd_magic(const void *p, size_t n);

/* The table of a file; it never changes, so threads may share it. The descriptor stays the caller's. */
struct seekable;
/* 1 and *s; 0: there is no table, it is an ordinary zstd file; or a negative errno. */
int seekable_open(int fd, uint64_t file_size, struct seekable **s, struct err *err);
void seekable_free(struct seekable *s);
uint64_t seekable_size(const struct seekable *s); /* of the content */

/* One reader's place: a decoder and the frame it saw last. */
struct seekable_cursor;
struct seekable_cursor *seekable_cursor_new(const struct seekable *s);
void seekable_cursor_free(struct seekable_cursor *c);
/* n bytes of the content at off, which must be there. */
int seekable_pread(struct seekable_cursor *c, void *buf, size_t n, uint64_t off, struct err *err);

/* Writes the whole content to a descriptor, by several threads. */
int seekable_unpack(const struct seekable *s, int to, unsigned threads, struct err *err);

struct seekable_opts {
	int level; /* of zstd */
	unsigned threads;
	void (*progress)(void *arg, uint64_t done); /* may be NULL; bytes of the source */
	void *arg;
};
/* Compresses size bytes of from to an empty file. *out_size is its length. */
int seekable_write(int from, uint64_t size, int to, const struct seekable_opts *opts, uint64_t *out_size, struct err *err);

/* An ordinary zstd file of any frames into a memfd, at most max bytes. Returns the descriptor. */
int zstd_to_memory(int fd, uint64_t max, uint64_t *size, struct err *err);

#endif
