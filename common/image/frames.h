/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * zstd frames of a content that is not known yet, to and from a pipe, by several threads. What is written has the seek table of the
 * seekable format at its end; what is read may be any zstd file, and more threads than one help where it has many frames.
 */
#ifndef CR_IMAGE_FRAMES_H
#define CR_IMAGE_FRAMES_H

#include "common/base/err.h"
#include "common/base/util.h"

struct frames_writer;
/* fd stays the caller's; it is written in order. At least one thread is made. */
int frames_writer_new(int fd, int level, unsigned threads, struct frames_writer **w, struct err *err);
/* By one caller at a time. Errors may be those of what was put before. */
int frames_writer_put(struct frames_writer *w, const void *p, size_t n, struct err *err);
/* Everything that was put, and the table; *size: how many bytes that are, may be NULL. */
int frames_writer_end(struct frames_writer *w, uint64_t *size, struct err *err);
void frames_writer_free(struct frames_writer *w);

struct frames_reader;
/* fd stays the caller's; head: what was read of it already, at most 64 bytes. A thread of its own reads ahead, within bounds. */
int frames_reader_new(int fd, const void *head, size_t nhead, unsigned threads, struct frames_reader **r, struct err *err);
/* Exactly n bytes of the content. */
int frames_reader_take(struct frames_reader *r, void *buf, size_t n, struct err *err);
/* To the end of the file. */
int frames_reader_end(struct frames_reader *r, struct err *err);
void frames_reader_free(struct frames_reader *r);

#endif
