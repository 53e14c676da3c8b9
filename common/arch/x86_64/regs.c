/* SPDX-License-Identifier: GPL-2.0-or-later */
/* General registers and interrupted system calls of x86-64. */
#include "common/arch/arch.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define CS_USER64 0x33

int arch_get_regs(pid_t tid, struct arch_regs *regs)
{
	struct iovec iov = { &regs->r, sizeof(regs->r) };

	return ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0 ? -errno : 0;
}

int arch_set_regs(pid_t tid, const struct arch_regs *regs)
{
	struct arch_regs copy = *regs;
	struct iovec iov = { &copy.r, sizeof(copy.r) };

	return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov) < 0 ? -errno : 0;
}

bool arch_is_native(const struct arch_regs *regs)
{
	return regs->r.cs == CS_USER64;
}

uint64_t arch_ip(const struct arch_regs *regs)
{
	return regs->r.rip;
}

uint64_t arch_sp(const struct arch_regs *regs)
{
	return regs->r.rsp;
}

/* Calls that report EINTR themselves when a stop interrupts them (signal(7), "Interruption of system calls ... by stop
 * signals"), and that change nothing before they do so. close and connect are left out: they do have effects. */
static bool repeats_after_eintr(uint64_t nr)
{
	switch (nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_rt_sigtimedwait:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
		return true;
	}
	return false;
}

bool arch_spurious_eintr(const struct arch_regs *regs)
{
	return (int64_t)regs->r.orig_rax >= 0 && (int64_t)regs->r.rax == -EINTR &&
	       repeats_after_eintr(regs->r.orig_rax);
}

static void repeat(struct arch_regs *regs, uint64_t nr)
{
	regs->r.rax = nr;
	regs->r.rip -= ARCH_SYSCALL_LEN;
}

static void put_arguments(const struct user_regs_struct *r, uint64_t arg[6])
{
	memcpy(arg, (uint64_t[6]){ r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 }, 6 * sizeof(*arg));
}

long arch_repeated_call(const struct arch_regs *regs, uint64_t arg[6])
{
	const struct user_regs_struct *r = &regs->r;
	const int64_t result = (int64_t)r->rax;

	if ((int64_t)r->orig_rax < 0 || (result != -ERESTARTSYS && result != -ERESTARTNOINTR && result != -ERESTARTNOHAND))
		return -1;
	put_arguments(r, arg);
	return (long)r->orig_rax;
}

void arch_resolve_syscall(struct arch_regs *regs, bool pending, struct arch_restart *restart)
{
	struct user_regs_struct *r = &regs->r;
	uint64_t unused[6];

	memset(restart, 0, sizeof(*restart));
	if ((int64_t)r->orig_rax < 0)
		return;
	if (arch_repeated_call(regs, unused) >= 0 || (!pending && arch_spurious_eintr(regs))) {
		repeat(regs, r->orig_rax);
	} else if ((int64_t)r->rax == -ERESTART_RESTARTBLOCK) {
		restart->block = !pending;
		restart->nr = r->orig_rax;
		put_arguments(r, restart->arg);
		r->rax = (uint64_t)-EINTR;
	}
}

void arch_resume_regs(struct arch_regs *regs, bool pending)
{
	bool block = (int64_t)regs->r.orig_rax >= 0 && (int64_t)regs->r.rax == -ERESTART_RESTARTBLOCK;
	struct arch_restart unused;

	arch_resolve_syscall(regs, pending, &unused);
	/* The kernel still holds the remaining time in the thread's restart block. */
	if (block && !pending)
		repeat(regs, SYS_restart_syscall);
	regs->r.orig_rax = (uint64_t)-1;
}

bool arch_restart_whole(struct arch_regs *regs)
{
	if ((int64_t)regs->r.orig_rax < 0 || regs->r.orig_rax == SYS_restart_syscall ||
	    (int64_t)regs->r.rax != -ERESTART_RESTARTBLOCK)
		return false;
	regs->r.rax = (uint64_t)-ERESTARTNOHAND;
	return true;
}

/* Where rbp points: at the instructions in the middle of the slots. */
#define AGENT_BASE(slots) ((slots) + 8 * 10)

void arch_agent_fill_slots(uint64_t s[ARCH_AGENT_SLOTS], const struct arch_regs *regs, const struct arch_leave *l)
{
	const struct user_regs_struct *r = &regs->r;
	const uint64_t v[ARCH_AGENT_SLOTS] = {
		r->r13, r->r12, r->rbp, r->rbx, r->r11, r->r10, r->r9, r->r8, r->rax, r->rcx, arch_agent_block[10],
		arch_agent_block[11], r->rdx, r->rsi, r->rdi, r->rip, r->rsp, r->eflags, l->home, l->len, l->sigmask,
	};

	memcpy(s, v, sizeof(v));
}

void arch_agent_regs(struct arch_regs *regs, uint64_t code, uint64_t slots, uint64_t header, bool guest)
{
	regs->r.rip = code + (guest ? arch_agent_guest : arch_agent_run);
	regs->r.r12 = header;
	regs->r.rbp = AGENT_BASE(slots);
	regs->r.orig_rax = (uint64_t)-1;
	/* Direction and trap flags of the interrupted code are no business of the agent's. */
	regs->r.eflags = 0x202;
}

void arch_agent_boot_regs(struct arch_regs *regs, uint64_t code, uint64_t slots, uint64_t len)
{
	const uint64_t arg[6] = { 0, len, 3 /* read, write */, 0x22 /* private, anonymous */, (uint64_t)-1, 0 };

	arch_syscall_regs(regs, code + arch_agent_boot, SYS_mmap, arg);
	regs->r.rbp = AGENT_BASE(slots);
}

void arch_agent_leave_regs(struct arch_regs *regs, uint64_t code, uint64_t slots, int which)
{
	regs->r.rip = code + arch_agent_leave[which];
	regs->r.rbp = AGENT_BASE(slots);
	regs->r.orig_rax = (uint64_t)-1;
}

void arch_syscall_regs(struct arch_regs *regs, uint64_t insn, long nr, const uint64_t arg[6])
{
	struct user_regs_struct *r = &regs->r;

	r->rip = insn;
	r->orig_rax = (uint64_t)-1;
	r->rax = (uint64_t)nr;
	r->rdi = arg[0];
	r->rsi = arg[1];
	r->rdx = arg[2];
	r->r10 = arg[3];
	r->r8 = arg[4];
	r->r9 = arg[5];
}

ssize_t arch_find_syscall(const unsigned char *code, size_t n)
{
	const unsigned char *at = memmem(code, n, "\x0f\x05", ARCH_SYSCALL_LEN);

	return at ? at - code : -1;
}

int64_t arch_syscall_result(const struct arch_regs *regs)
{
	return (int64_t)regs->r.rax;
}

uint64_t arch_agent_syscall(uint64_t code)
{
	return code + arch_agent_boot; /* boot begins with the instruction */
}

_Noreturn void arch_agent_jump(uint64_t code, uint64_t header)
{
	__asm__ volatile("mov %1, %%r12\n\tjmp *%0" : : "r"(code + arch_agent_run), "r"(header) : "r12", "memory");
	__builtin_unreachable();
}

/* ---- images ---- */

void arch_core_set_clear_tid(CoreEntry *core, uint64_t addr)
{
	core->thread_info->clear_tid_addr = addr;
}

uint64_t arch_core_clear_tid(const CoreEntry *core)
{
	return core->thread_info ? core->thread_info->clear_tid_addr : 0;
}
