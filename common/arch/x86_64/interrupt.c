/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread whose system call is about to be interrupted by a signal handler. */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/arch/arch.h"

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

/* What the call gives when a stop interrupts it (signal(7), "Interruption of system calls"); 0 for those that do not sleep, that have
 * effects before they do, and whose remaining time arch_resolve_syscall() keeps. */
static int64_t interrupted_result(const struct user_regs_struct *r)
{
	switch (r->rax) {
	case SYS_pause:
	case SYS_rt_sigsuspend:
	case SYS_select:
	case SYS_pselect6:
	case SYS_ppoll:
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_msgsnd:
	case SYS_msgrcv:
	case SYS_rt_sigtimedwait:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		return -ERESTARTNOHAND;
	case SYS_clock_nanosleep:
		return r->rsi & TIMER_ABSTIME ? -ERESTARTNOHAND : 0;
	case SYS_wait4:
	case SYS_waitid:
	case SYS_futex:
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_flock:
		return -ERESTARTSYS;
	}
	return 0;
}

bool arch_sleeps_again(const struct arch_regs *regs)
{
	return interrupted_result(&regs->r);
}

void arch_enter_interrupted(struct arch_regs *regs)
{
	struct user_regs_struct *r = &regs->r;

	r->orig_rax = r->rax;
	r->rax = (uint64_t)interrupted_result(r);
	r->rip += ARCH_SYSCALL_LEN;
}

void arch_keep_interrupted(struct arch_regs *regs)
{
	regs->r.rax = (uint64_t)-ERESTARTNOHAND;
}
