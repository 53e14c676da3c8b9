/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/arch/arch.h"

void arch_in_syscall(struct arch_regs *regs, long nr, int64_t result)
{
	regs->r.orig_rax = (uint64_t)nr;
	if (nr != -1)
		regs->r.rax = (uint64_t)result;
}
