/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A checkpoint as one tar stream: inventory first, then the other images in the order in which a reader needs them, memory pages late,
 * and the manifest at the very end. The manifest is the end record: a stream that has it is whole, and it says whether it is right.
 */
#ifndef CR_IMAGE_STREAM_H
#define CR_IMAGE_STREAM_H

#include "common/image/image.h"

struct stream_result {
	size_t files;
	uint64_t bytes;
};

/* What a reader needs early: the tree, then tasks, then files; memory late; what is no image at the end. */
int stream_rank(enum image_kind kind);
#define STREAM_RANK_PAGES 40

/* Writes the directory to a descriptor. Images stay compressed as they are. */
int stream_pack(const char *path, int to, struct stream_result *res, struct err *err);
/* Reads any tar of one directory, members in any order, into a directory that has no checkpoint yet and is made when it is missing. The
 * inventory gets its name last. Checkpoints before it, in folders of their own (cr-dump --iterate), come along with their links. */
int stream_unpack(int from, const char *path, struct stream_result *res, struct err *err);

#endif
