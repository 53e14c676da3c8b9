/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What agent.S and xstate.c agree on. */
#ifndef CR_ARCH_X86_64_FPU_H
#define CR_ARCH_X86_64_FPU_H

/* Components that a thread loads by XRSTOR: x87, SSE, AVX, the three of AVX-512, and the rights of protection keys. */
#define ARCH_FPU_LOADABLE 0x2e7

#endif
