/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers of the seek table, for its reader and its writer. */
#ifndef CR_IMAGE_SEEKABLE_TABLE_H
#define CR_IMAGE_SEEKABLE_TABLE_H

#include "common/base/strbuf.h"

#define TABLE_SKIP 0x184d2a5eu	/* a skippable frame, first word; then its length */
#define TABLE_MAGIC 0x8f92eab1u /* the last word of the file */
#define TABLE_FOOT 9		/* number of frames, descriptor, last word */
#define TABLE_SUMS 0x80		/* descriptor: an entry has the low half of the content's XXH64 too */
#define TABLE_FRAMES_MAX (1u << 27)

struct seekable_entry {
	uint32_t packed, frame, sum;
};
/* The table as it stands at the end of the file, appended. */
void seekable_table(struct strbuf *b, const struct seekable_entry *entries, size_t n);

#endif
