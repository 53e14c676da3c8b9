/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/xxh64.h"

#include <string.h>

#include "common/arch/stripes.h"
#include "common/base/util.h"

#define P1 XXH64_P1
#define P2 XXH64_P2
#define P3 0x165667b19e3779f9u
#define P4 0x85ebca77c2b2ae63u
#define P5 0x27d4eb2f165667c5u

static uint64_t rotate(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v; /* little-endian, as every architecture here */
}

static uint64_t mix(uint64_t acc, uint64_t lane)
{
	return rotate(acc + lane * P2, 31) * P1;
}

/* Whole stripes of 32 bytes. The four sums are independent: they stay in registers and run side by side. */
static const uint8_t *stripes(uint64_t acc[4], const uint8_t *p, size_t n)
{
	uint64_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];

	for (; n >= 32; n -= 32, p += 32) {
		a = mix(a, load64(p));
		b = mix(b, load64(p + 8));
		c = mix(c, load64(p + 16));
		d = mix(d, load64(p + 24));
	}
	acc[0] = a;
	acc[1] = b;
	acc[2] = c;
	acc[3] = d;
	return p;
}

void xxh64_start(struct xxh64 *x, uint64_t seed)
{
	*x = (struct xxh64){ .seed = seed, .acc = { seed + P1 + P2, seed + P2, seed, seed - P1 } };
}

void xxh64_add(struct xxh64 *x, const void *data, size_t n)
{
	size_t have = x->total % 32;
	const uint8_t *p = data, *end;

	x->total += n;
	if (have) {
		size_t part = MIN(n, 32 - have);

		memcpy(x->rest + have, p, part);
		p += part;
		n -= part;
		if (have + part < 32)
			return;
		stripes(x->acc, x->rest, 32);
	}
	end = stripes(x->acc, p, n);
	n -= (size_t)(end - p);
	if (n)
		memcpy(x->rest, end, n);
}

uint64_t xxh64_end(const struct xxh64 *x)
{
	const uint8_t *p = x->rest;
	size_t n = x->total % 32;
	uint64_t h = x->seed + P5;

	if (x->total >= 32) {
		h = rotate(x->acc[0], 1) + rotate(x->acc[1], 7) + rotate(x->acc[2], 12) + rotate(x->acc[3], 18);
		for (unsigned i = 0; i < 4; i++)
			h = (h ^ mix(0, x->acc[i])) * P1 + P4;
	}
	h += x->total;
	for (; n >= 8; n -= 8, p += 8)
		h = rotate(h ^ mix(0, load64(p)), 27) * P1 + P4;
	if (n >= 4) {
		uint32_t v;

		memcpy(&v, p, sizeof(v));
		h = rotate(h ^ v * P1, 23) * P2 + P3;
		n -= 4;
		p += 4;
	}
	for (; n; n--, p++)
		h = rotate(h ^ *p * P5, 11) * P1;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

uint64_t xxh64(const void *p, size_t n, uint64_t seed)
{
	struct xxh64 x;

	xxh64_start(&x, seed);
	xxh64_add(&x, p, n);
	return xxh64_end(&x);
}

static uint64_t side_by_side(const uint8_t *p, size_t block, uint64_t seed)
{
	struct xxh64 x;
	uint64_t acc[ARCH_STRIPES][4], sum = 0;

	for (unsigned i = 0; i < ARCH_STRIPES; i++) {
		xxh64_start(&x, seed + i);
		memcpy(acc[i], x.acc, sizeof(acc[i]));
	}
	arch_stripes(acc, p, block);
	for (unsigned i = 0; i < ARCH_STRIPES; i++) {
		x = (struct xxh64){ .seed = seed + i, .total = block };
		memcpy(x.acc, acc[i], sizeof(acc[i]));
		sum += xxh64_end(&x);
	}
	return sum;
}

uint64_t xxh64_blocks(const void *p, size_t block, size_t n, uint64_t seed)
{
	const bool wide = block && arch_has_stripes();
	const uint8_t *at = p;
	uint64_t sum = 0;

	for (; wide && n >= ARCH_STRIPES; n -= ARCH_STRIPES, at += ARCH_STRIPES * block, seed += ARCH_STRIPES)
		sum += side_by_side(at, block, seed);
	for (; n; n--, at += block)
		sum += xxh64(at, block, seed++);
	return sum;
}
