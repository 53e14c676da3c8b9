/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread whose system call is about to be interrupted by a signal handler. */
#include <errno.h>

#include "common/arch/arch.h"

#define ERESTARTSYS 512
#define ERESTARTNOHAND 514

void arch_set_ip(struct arch_regs *regs, uint64_t ip)
{
	regs->r.rip = ip;
	/* Not inside a call any more: nothing is to be repeated there. */
	regs->r.orig_rax = (uint64_t)-1;
}

void arch_interrupt_syscall(struct arch_regs *regs, bool restarts)
{
	int64_t result = (int64_t)regs->r.rax;

	if ((int64_t)regs->r.orig_rax >= 0 && (result == -ERESTARTNOHAND || (result == -ERESTARTSYS && !restarts)))
		regs->r.rax = (uint64_t)-EINTR;
}
