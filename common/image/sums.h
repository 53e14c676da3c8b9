/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checksums of a long content, piece by piece, made from parts in any order and by any number of threads: the sum of a piece is
 * the sum (modulo 2^64) of the XXH64 of its blocks, each with the block's number in the whole content as seed. A block in the wrong
 * place is as wrong as one with a flipped bit; for a content of one block it is the plain XXH64.
 */
#ifndef CR_IMAGE_SUMS_H
#define CR_IMAGE_SUMS_H

#include "common/base/util.h"
#include "common/image/xxh64.h"

#define SUMS_BLOCK 4096u
#define SUMS_PIECE (4u << 20)

struct sums {
	uint64_t *v; /* of each piece seen; malloc'ed */
	size_t n, cap;
};
/* How many pieces there are of so many bytes: an empty content has one too. */
size_t sums_pieces(uint64_t size);
void sums_release(struct sums *s);
/* So many pieces, those not seen being 0. */
void sums_reserve(struct sums *s, size_t pieces);

/* n bytes at off, a multiple of the block size; less than a block only at the end of the content. */
void sums_add(struct sums *s, uint64_t off, const void *p, size_t n);

/* The same in two parts, so that the long one needs no lock: at most a piece's length of whole blocks. */
struct sums_part {
	uint64_t v[2]; /* of piece `first` and the next one */
	size_t first;
};
void sums_part_start(struct sums_part *part, uint64_t off);
void sums_part_add(struct sums_part *part, uint64_t off, const void *p, size_t n);
void sums_merge(struct sums *s, const struct sums_part *part, uint64_t end);

/* A content that goes by in order, in parts of any length. */
struct sums_passing {
	struct sums sums;
	uint64_t size;
	struct xxh64 block; /* that is not whole yet */
};
void sums_pass(struct sums_passing *p, const void *buf, size_t n);
/* The sums of all of it, malloc'ed: sums_pieces(p->size) of them. */
uint64_t *sums_pass_end(struct sums_passing *p);
void sums_pass_drop(struct sums_passing *p);

#endif
