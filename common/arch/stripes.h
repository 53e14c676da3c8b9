/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inner loop of XXH64 (common/image/xxh64.h) for several contents side by side, where the processor multiplies 64-bit lanes. */
#ifndef CR_ARCH_STRIPES_H
#define CR_ARCH_STRIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The multipliers of a stripe. */
#define XXH64_P1 0x9e3779b185ebca87u
#define XXH64_P2 0xc2b2ae3d27d4eb4fu

#define ARCH_STRIPES 4 /* contents at once */
bool arch_has_stripes(void);
/* Adds the stripes of n bytes each, a multiple of 32, at p, p + n, ... to acc[0], acc[1], ... Only where arch_has_stripes(). */
void arch_stripes(uint64_t acc[ARCH_STRIPES][4], const uint8_t *p, size_t n);

#endif
