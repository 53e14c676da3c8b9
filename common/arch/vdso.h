/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vdso: code of the kernel in every task. A task keeps the addresses of its functions, so a restored task must find them where they
 * were: by the same vdso at the same place, or by the old code patched to jump to the new.
 */
#ifndef CR_ARCH_VDSO_H
#define CR_ARCH_VDSO_H

#include "common/base/err.h"

/* The longest jump that any architecture needs. */
#define VDSO_JUMP_MAX 16
#define VDSO_SYMBOLS_MAX 64

struct vdso_patch {
	uint64_t off; /* in the old vdso */
	size_t len;
	unsigned char code[VDSO_JUMP_MAX];
};

/* Whether both export the same functions at the same places, so that one can stand in for the other. False also when one of
 * them is no vdso at all. Both images are read as hostile input. */
bool vdso_same_symbols(const void *a, size_t alen, const void *b, size_t blen);
/*
 * Patches that make every function that `old` exports jump to its namesake in `now`, which will stand at now_at. Gives their
 * number; -EINVAL with err filled when `now` lacks one of them, or when a function is too short to be patched.
 */
int vdso_redirect(const void *old, size_t olen, const void *now, size_t nlen, uint64_t now_at,
		  struct vdso_patch patches[VDSO_SYMBOLS_MAX], struct err *err);

#endif
