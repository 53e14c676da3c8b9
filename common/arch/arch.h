/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that depends on the processor, behind one header. Each architecture is a folder beside this file; nothing
 * outside it may assume which one.
 */
#ifndef CR_ARCH_ARCH_H
#define CR_ARCH_ARCH_H

#include <sys/types.h>
#include <sys/user.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "core.pb-c.h"

/* Results of system calls that the kernel keeps for itself and its tracers (include/linux/errno.h): what to do when no handler is run. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

/* Where task_struct says which features of the processor a thread has switched on (arch/x86/include/asm/processor.h, thread_struct). */
#define ARCH_TASK_FEATURES "thread.features"

/* General registers as PTRACE_GETREGSET NT_PRSTATUS gives them. */
struct arch_regs { struct user_regs_struct r; };

int arch_get_regs(pid_t tid, struct arch_regs *regs);	    /* 0 or -errno */
int arch_set_regs(pid_t tid, const struct arch_regs *regs); /* 0 or -errno; orig_ax is set too */
bool arch_is_native(const struct arch_regs *regs);	    /* 64-bit code; false for compat tasks */
uint64_t arch_ip(const struct arch_regs *regs);
uint64_t arch_sp(const struct arch_regs *regs);
/* Goes on at ip, no longer inside a system call. */
void arch_set_ip(struct arch_regs *regs, uint64_t ip);
/* A handler will run before the thread goes on: a call that the kernel would not repeat after it (restarts: the handler has
 * SA_RESTART) becomes EINTR. To be called before arch_resolve_syscall(). */
void arch_interrupt_syscall(struct arch_regs *regs, bool restarts);
/* The call that a thread with regs would repeat with the same arguments, or -1. */
long arch_repeated_call(const struct arch_regs *regs, uint64_t arg[6]);

/*
 * What became of the system call in which a thread was stopped. arch_resolve_syscall() rewrites regs so that a thread
 * started with them (and orig_ax -1) repeats the call, as the kernel would have done. A call with remaining time
 * (ERESTART_RESTARTBLOCK) becomes -EINTR behind the instruction, as the image format wants, and *restart says how to do better:
 * the call's number and arguments. pending: deliverable signals exist, so an EINTR must stay one.
 */
struct arch_restart { bool block; uint64_t nr; uint64_t arg[6]; };
void arch_resolve_syscall(struct arch_regs *regs, bool pending, struct arch_restart *restart);
/*
 * Which call restart_syscall(2) stands for, from the n bytes of code before its instruction; -1 when they do not tell.
 */
long arch_restarted_call(const unsigned char *code, size_t n);
/* The same for syscall(3): whether the code before the instruction is that function's, whose return address is where the stack pointer
 * is; and which call the n bytes before that address ask it for. */
bool arch_is_wrapped_call(const unsigned char *code, size_t n);
long arch_wrapped_call(const unsigned char *code, size_t n);
/* Bytes of a system call instruction, and where the first one is in n bytes of code: -1 when there is none. */
#define ARCH_SYSCALL_LEN 2
ssize_t arch_find_syscall(const unsigned char *code, size_t n);
/* The same for a thread that goes on in the same process without us: restart_syscall is used where the kernel would. */
void arch_resume_regs(struct arch_regs *regs, bool pending);
/* A call with remaining time that the kernel would go on with by restart_syscall(2): made to be repeated from its beginning, as
 * any other. False: regs are in no such call. */
bool arch_restart_whole(struct arch_regs *regs);
/* Whether the call in regs ended in EINTR only because the thread was stopped: repeating it is right and loses nothing. */
bool arch_spurious_eintr(const struct arch_regs *regs);

/* The whole floating point state: raw XSAVE area (standard format) by PTRACE_GETREGSET NT_X86_XSTATE. */
struct arch_fpu { void *area; size_t size; }; /* arena memory */
int arch_get_fpu(pid_t tid, struct arena *arena, struct arch_fpu *fpu, struct err *err);
int arch_set_fpu(pid_t tid, const struct arch_fpu *fpu, struct err *err);
/* Whether a thread can load all of it by itself, at a multiple of ARCH_FPU_ALIGN, with one instruction that cannot fail: for a tracer
 * it is the most expensive thing to set. */
#define ARCH_FPU_ALIGN 64
bool arch_fpu_loadable(const struct arch_fpu *fpu);

/* Protection keys that a process may have, pkeys(7), key 0 among them; 0: this processor or kernel knows none. */
unsigned arch_pkeys(void);
/* Whether the rights that a stopped thread has by protection keys are others than those that the kernel gives to everybody. True
 * when that cannot be told. */
bool arch_pkeys_used(pid_t tid);

/* core_entry.thread_info (and mtype) from registers and back. clear_tid_addr is set by the caller. Decoding checks every
 * array length and gives images errors in the terms of the format. */
/* Floating point components that the image needs and this CPU lacks, as a readable list ("" when none). */
void arch_fpu_missing(const CoreEntry *core, char *out, size_t n);
void arch_core_encode(CoreEntry *core, const struct arch_regs *regs, const struct arch_fpu *fpu, struct arena *arena);
int arch_core_decode(const CoreEntry *core, struct arena *arena, struct arch_regs *regs, struct arch_fpu *fpu,
		     struct err *err);
/* For ELF core files: the machine, and registers of a thread as their notes have them; the same extent for all threads of a leader. */
#define ARCH_ELF_MACHINE 62
/* AUDIT_ARCH_*: what a seccomp filter sees as seccomp_data.arch. */
#define ARCH_AUDIT 0xc000003eu
int arch_core_notes(const CoreEntry *leader, const CoreEntry *core, struct arena *arena, struct arch_regs *regs,
		    struct arch_fpu *fpu, struct err *err);
uint64_t arch_core_clear_tid(const CoreEntry *core);
void arch_core_set_clear_tid(CoreEntry *core, uint64_t addr);

/* The agent: position-independent code without relocations, to be copied anywhere. */
extern const unsigned char arch_agent_start[], arch_agent_end[];
/*
 * Offsets of entry points in it. run executes the program whose header is in the agent's first register; park is an
 * exit for restores: counts *left down, wakes its waiters, and sleeps for ever; boot makes one call that maps memory, which it
 * takes back unless it is stopped there; leave[0] (holder) and leave[1] (guest) are exits for dumps that put a thread
 * back where it was, out of its slots (see agent.S). A dump needs only the first dump_len bytes; its slots may stand anywhere.
 */
extern const uint32_t arch_agent_run, arch_agent_guest, arch_agent_park, arch_agent_boot, arch_agent_leave[2], arch_agent_dump_len;
/* The slots of a thread: its registers as found, its signal mask, and the mapping that the holder unmaps or the flag that a guest
 * clears. */
#define ARCH_AGENT_SLOTS 21
extern const uint64_t arch_agent_block[ARCH_AGENT_SLOTS];
struct arch_leave { uint64_t home, len, sigmask; };
void arch_agent_fill_slots(uint64_t slots[ARCH_AGENT_SLOTS], const struct arch_regs *regs, const struct arch_leave *l);
/* Registers for a thread with its slots at `slots` (an address in the task) to start at the agent's `run` (agent code at `code`)
 * with the program linked at `header`. guest: it is not the first one inside. */
void arch_agent_regs(struct arch_regs *regs, uint64_t code, uint64_t slots, uint64_t header, bool guest);
/* Registers for a thread to start at `boot`, which maps len bytes of private memory. */
void arch_agent_boot_regs(struct arch_regs *regs, uint64_t code, uint64_t slots, uint64_t len);
/* Registers for a thread to start at leave[which]. */
void arch_agent_leave_regs(struct arch_regs *regs, uint64_t code, uint64_t slots, int which);
/* For our own child: continues at the agent in this thread. */
_Noreturn void arch_agent_jump(uint64_t code, uint64_t header);
/* Registers for one system call made at `insn`, the address of a system call instruction; and its result after. */
void arch_syscall_regs(struct arch_regs *regs, uint64_t insn, long nr, const uint64_t arg[6]);
int64_t arch_syscall_result(const struct arch_regs *regs);
/* Makes regs, whose instruction pointer is behind a system call instruction, those of a thread at the end of call nr with
 * that result: the kernel repeats the call when it is one of its ERESTART codes. nr -1: the thread is in no call. */
void arch_in_syscall(struct arch_regs *regs, long nr, int64_t result);
/* Address of a system call instruction inside the agent at `code`. */
uint64_t arch_agent_syscall(uint64_t code);

/* Do registers that stand before a system call instruction enter a call that sleeps and that a signal handler would end? */
bool arch_sleeps_again(const struct arch_regs *regs);
/*
 * Makes those the registers of a thread that was interrupted inside that call: it enters the call again when it is let go by
 * PTRACE_DETACH, unless a signal is there already; then the handler runs and the call ends with EINTR, as it would have. (Before the
 * instruction a handler would run first, and the thread sleep on without knowing. arch_do_signal_or_restart() in
 * arch/x86/kernel/signal.c, ptrace_unlink() in kernel/ptrace.c, Linux 6.18.)
 */
void arch_enter_interrupted(struct arch_regs *regs);
/* The same for a thread that arch_spurious_eintr() is true of. */
void arch_keep_interrupted(struct arch_regs *regs);

#endif
