/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/sums.h"

size_t sums_pieces(uint64_t size)
{
	return size ? (size_t)((size + SUMS_PIECE - 1) / SUMS_PIECE) : 1;
}

void sums_release(struct sums *s)
{
	free(s->v);
	*s = (struct sums){ 0 };
}

void sums_reserve(struct sums *s, size_t pieces)
{
	if (pieces)
		array_reserve(&s->v, &s->cap, pieces - 1, sizeof(*s->v));
	while (s->n < pieces)
		s->v[s->n++] = 0;
}

static uint64_t *piece_at(struct sums *s, uint64_t off)
{
	sums_reserve(s, (size_t)(off / SUMS_PIECE) + 1);
	return &s->v[off / SUMS_PIECE];
}

/* Of what is in one piece. */
static uint64_t sum_of(const uint8_t *p, uint64_t off, size_t n)
{
	const size_t blocks = n / SUMS_BLOCK, rest = n % SUMS_BLOCK;
	uint64_t sum = xxh64_blocks(p, SUMS_BLOCK, blocks, off / SUMS_BLOCK);

	return rest ? sum + xxh64(p + n - rest, rest, off / SUMS_BLOCK + blocks) : sum;
}

static size_t in_piece(uint64_t off, size_t n)
{
	return (size_t)MIN((uint64_t)n, SUMS_PIECE - off % SUMS_PIECE);
}

void sums_add(struct sums *s, uint64_t off, const void *p, size_t n)
{
	const uint8_t *from = p;

	for (size_t part; n; from += part, off += part, n -= part) {
		part = in_piece(off, n);
		*piece_at(s, off) += sum_of(from, off, part);
	}
}

void sums_part_start(struct sums_part *part, uint64_t off)
{
	*part = (struct sums_part){ .first = (size_t)(off / SUMS_PIECE) };
}

void sums_part_add(struct sums_part *part, uint64_t off, const void *p, size_t n)
{
	const uint8_t *from = p;

	for (size_t here; n; from += here, off += here, n -= here) {
		here = in_piece(off, n);
		part->v[off / SUMS_PIECE != part->first] += sum_of(from, off, here);
	}
}

void sums_merge(struct sums *s, const struct sums_part *part, uint64_t end)
{
	for (size_t i = 0; i < 2; i++) {
		uint64_t at = (part->first + i) * (uint64_t)SUMS_PIECE;

		if (at < end)
			*piece_at(s, at) += part->v[i];
	}
}

void sums_pass(struct sums_passing *p, const void *buf, size_t n)
{
	const uint8_t *from = buf;

	while (n) {
		size_t have = (size_t)(p->size % SUMS_BLOCK), part = MIN(n, SUMS_BLOCK - have);

		if (!have && part == SUMS_BLOCK) {
			part = n - n % SUMS_BLOCK;
			sums_add(&p->sums, p->size, from, part);
		} else {
			if (!have)
				xxh64_start(&p->block, p->size / SUMS_BLOCK);
			xxh64_add(&p->block, from, part);
			if (have + part == SUMS_BLOCK)
				*piece_at(&p->sums, p->size) += xxh64_end(&p->block);
		}
		p->size += part;
		from += part;
		n -= part;
	}
}

uint64_t *sums_pass_end(struct sums_passing *p)
{
	if (!p->size)
		*piece_at(&p->sums, 0) = xxh64("", 0, 0);
	if (p->size % SUMS_BLOCK)
		*piece_at(&p->sums, p->size) += xxh64_end(&p->block);
	return take_ptr(p->sums.v);
}

void sums_pass_drop(struct sums_passing *p)
{
	sums_release(&p->sums);
}
