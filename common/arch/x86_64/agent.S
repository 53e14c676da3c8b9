/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent for x86-64. Position-independent, no relocations, no stack, no floating point but in park: the code may be copied to
 * any address and run there by a thread whose state is not ours.
 *
 *	guest	tells the holder that another thread is inside, then
 *	run	interprets the program whose header is in r12 (common/agent/step.h), then jumps to header.exit
 *	boot	one system call that makes a mapping; when nobody stops it there, unmaps it again and leaves
 *	leave	exits for dumps when the dumper is gone: give memory back and return to where the thread was
 *	park	an exit for restores: loads the floating point state at header.fpu, counts *header.left down, wakes its waiters, sleeps for
 *		ever; after a failure it ends the process
 *
 * In a dump rbp is the address of the thread's slots, which stand behind the code, one block for each thread that may be inside at
 * the same time: the first for the holder (which owns the data mapping and unmaps it), the others for guests. The slots
 * hold the thread's registers; they are written by the dumper before the thread's registers are changed, so at every
 * instant the thread is either untouched or on a path that ends where it was. What touches neither r14 nor r15 need not save them.
 * Of a dump's code, park is no part: every byte less makes room for slots.
 *
 * The kernel preserves all registers over a system call but rax, rcx and r11 (Documentation: arch/x86/entry/entry_64.S,
 * entry_SYSCALL_64), flags included.
 */
#include "common/agent/step.h"
#include "common/arch/x86_64/fpu.h"

	.section .rodata.agent, "a", @progbits
	.globl arch_agent_start, arch_agent_end
	.balign 16
arch_agent_start:

/*
 * Slots, 8 bytes each: 0 r13 1 r12 2 rbp 3 rbx 4 r11 5 r10 6 r9 7 r8 8 rax 9 rcx | 10 two instructions | 12 rdx 13 rsi 14 rdi 15 rip
 * 16 rsp 17 flags | 18 address of the data mapping (holder) or of the busy flag (guest) 19 length of the mapping (holder) 20 signal
 * mask. rbp points at the two instructions, the last ones of the way out.
 */
#define SLOT(n) 8 * ((n) - 10)(%rbp)

guest:						/* the holder must not unmap the data from now on */
	mov	SLOT(18), %rax
	movl	$2, (%rax)
run:
	mov	HEADER_STEP(%r12), %r13
1:	cmp	HEADER_END(%r12), %r13
	jae	8f
	mov	STEP_NR(%r13), %eax
	mov	STEP_ARG(0)(%r13), %rdi
	mov	STEP_ARG(1)(%r13), %rsi
	mov	STEP_ARG(2)(%r13), %rdx
	mov	STEP_ARG(3)(%r13), %r10
	mov	STEP_ARG(4)(%r13), %r8
	mov	STEP_ARG(5)(%r13), %r9
	mov	STEP_EXPECT(%r13), %ebx
	test	$STEP_INDIRECT_ANY >> 8, %bh
	jnz	7f
2:	syscall
	movzbl	%bl, %ebx
	cmp	$3, %ebx			/* EXPECT_CLONE */
	jne	3f
	test	%rax, %rax
	jnz	3f
	mov	STEP_STORE(%r13), %r12		/* the new thread: its own program from here on */
	jmp	run
3:	mov	%rax, STEP_RESULT(%r13)
	test	%ebx, %ebx			/* EXPECT_ANY */
	jz	5f
	cmp	$1, %ebx			/* EXPECT_OK */
	jne	4f
	cmp	$-4095, %rax
	jb	5f
	jmp	6f
4:	cmp	STEP_WANT(%r13), %rax		/* EXPECT_EQ, EXPECT_CLONE */
	jne	6f
5:	add	$STEP_SIZE, %r13
	jmp	1b
6:	cmp	HEADER_EPILOGUE(%r12), %r13	/* the epilogue goes on whatever happens */
	jae	5b
	mov	%r13, HEADER_FAILED(%r12)
	mov	HEADER_EPILOGUE(%r12), %r13
	jmp	1b
7:	.irp	n, 0, 1, 2, 3, 4, 5
	test	$STEP_INDIRECT(\n) >> 8, %bh
	jz	9f
	.if \n == 0
	mov	(%rdi), %rdi
	.elseif \n == 1
	mov	(%rsi), %rsi
	.elseif \n == 2
	mov	(%rdx), %rdx
	.elseif \n == 3
	mov	(%r10), %r10
	.elseif \n == 4
	mov	(%r8), %r8
	.else
	mov	(%r9), %r9
	.endif
9:
	.endr
	jmp	2b
8:	jmp	*HEADER_EXIT(%r12)

boot:
	syscall					/* mmap: the dumper stops the thread at its exit */
	mov	%rax, %rdi
	jmp	unmap				/* harmless when the mmap failed */

leave_guest:
	mov	SLOT(18), %rdi
	movl	$0, (%rdi)			/* the data is the holder's alone from now on */
	mov	$202, %eax			/* futex(flag, FUTEX_WAKE, 1) */
	mov	$1, %esi
	mov	%esi, %edx
	syscall
	jmp	mask

leave_holder:
	mov	SLOT(18), %rdi
unmap:	mov	SLOT(19), %rsi
	mov	$11, %eax			/* munmap */
	syscall
	/* Signals stay blocked until the next call, so nothing is pushed while rsp points into the slots. */
mask:	xor	%edx, %edx
	lea	SLOT(17), %rsp
	popfq					/* only mov and system calls follow */
	mov	SLOT(16), %rsp
	mov	$14, %eax			/* rt_sigprocmask(SIG_SETMASK, &mask, NULL, 8) */
	mov	$2, %edi
	lea	SLOT(20), %rsi
	mov	$8, %r10d
	syscall
	mov	SLOT(0), %r13
	mov	SLOT(1), %r12
	mov	SLOT(3), %rbx
	mov	SLOT(4), %r11
	mov	SLOT(5), %r10
	mov	SLOT(6), %r9
	mov	SLOT(7), %r8
	mov	SLOT(8), %rax
	mov	SLOT(9), %rcx
	mov	SLOT(12), %rdx
	mov	SLOT(13), %rsi
	mov	SLOT(14), %rdi
	jmp	*%rbp
dump_end:

park:
	mov	HEADER_FPU(%r12), %rdi
	test	%rdi, %rdi
	jz	3f
	mov	$ARCH_FPU_LOADABLE, %eax
	xor	%edx, %edx
	xrstor64 (%rdi)
3:	mov	HEADER_LEFT(%r12), %rdi
	test	%rdi, %rdi
	jz	2f
	lock decl (%rdi)
	jz	1f
	cmpq	$0, HEADER_FAILED(%r12)
	je	2f
1:	mov	$202, %eax			/* futex(left, FUTEX_WAKE, INT_MAX) */
	mov	$1, %esi
	mov	$0x7fffffff, %edx
	syscall
	cmpq	$0, HEADER_FAILED(%r12)
	je	2f
	mov	$231, %eax			/* exit_group(1): nobody may be there any more to kill us */
	mov	$1, %edi
	syscall
2:	mov	$34, %eax			/* pause; only a tracer ever ends it for good */
	syscall
	jmp	2b
arch_agent_end:

	.globl arch_agent_block
	.balign 8
arch_agent_block:				/* what the slots of a thread are made from */
	.fill	10, 8, 0
	mov	arch_agent_block + 8 * 2(%rip), %rbp
	jmp	*arch_agent_block + 8 * 15(%rip)
	.balign 8
	.fill	9, 8, 0

	.globl arch_agent_run, arch_agent_guest, arch_agent_park, arch_agent_boot, arch_agent_leave, arch_agent_dump_len
	.balign 8
arch_agent_run:		.long run - arch_agent_start
arch_agent_guest:	.long guest - arch_agent_start
arch_agent_park:	.long park - arch_agent_start
arch_agent_boot:	.long boot - arch_agent_start
arch_agent_leave:	.long leave_holder - arch_agent_start, leave_guest - arch_agent_start
arch_agent_dump_len:	.long dump_end - arch_agent_start

	.section .note.GNU-stack, "", @progbits
