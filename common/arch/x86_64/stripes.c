/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A register holds the four sums of one content. One content alone would wait for each multiplication before it begins the next; of four
 * nobody waits.
 */
#include "common/arch/stripes.h"

#include <string.h>

#define WIDE __attribute__((target("avx512f,avx512vl,avx512dq")))

typedef uint64_t lanes __attribute__((vector_size(32)));

bool arch_has_stripes(void)
{
	return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

#define MIX(acc, p)                                       \
	do {                                              \
		lanes v_;                                 \
		memcpy(&v_, p, sizeof(v_));               \
		v_ = acc + v_ * XXH64_P2;                 \
		acc = (v_ << 31 | v_ >> 33) * XXH64_P1;   \
	} while (0)

WIDE void arch_stripes(uint64_t acc[ARCH_STRIPES][4], const uint8_t *p, size_t n)
{
	lanes a, b, c, d;

	memcpy(&a, acc[0], sizeof(a));
	memcpy(&b, acc[1], sizeof(b));
	memcpy(&c, acc[2], sizeof(c));
	memcpy(&d, acc[3], sizeof(d));
	for (size_t i = 0; i < n; i += sizeof(lanes), p += sizeof(lanes)) {
		MIX(a, p);
		MIX(b, p + n);
		MIX(c, p + 2 * n);
		MIX(d, p + 3 * n);
	}
	memcpy(acc[0], &a, sizeof(a));
	memcpy(acc[1], &b, sizeof(b));
	memcpy(acc[2], &c, sizeof(c));
	memcpy(acc[3], &d, sizeof(d));
}
