/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XXH64, as its public specification has it: a fast checksum against damage, not against forgery. */
#ifndef CR_IMAGE_XXH64_H
#define CR_IMAGE_XXH64_H

#include <stddef.h>
#include <stdint.h>

struct xxh64 {
	uint64_t seed;
	uint64_t acc[4];
	uint64_t total;
	uint8_t rest[32]; /* total % 32 bytes that fill no stripe yet */
};

void xxh64_start(struct xxh64 *x, uint64_t seed);
void xxh64_add(struct xxh64 *x, const void *p, size_t n);
uint64_t xxh64_end(const struct xxh64 *x);
uint64_t xxh64(const void *p, size_t n, uint64_t seed);
/* Of n blocks behind each other, of a multiple of 32 bytes each, the sum (modulo 2^64) of theirs, seeded by seed, seed + 1 and so on. */
uint64_t xxh64_blocks(const void *p, size_t block, size_t n, uint64_t seed);

#endif
