/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent for x86-64. Position-independent, no relocations, no stack, no floating point: the code may be copied to
 * any address and run there by a thread whose state is not ours.
 *
 *	guest	tells the holder that a second thread is inside, then
 *	run	interprets the program whose header is in r12 (common/agent/step.h), then jumps to header.exit
 *	park	an exit for restores: counts *header.left down, wakes its waiters, sleeps for ever
 *	boot	one system call that makes a mapping; when nobody stops it there, unmaps it again and leaves
 *	leave	an exit for dumps when the dumper is gone: gives memory back and returns to where the thread was
 *
 * leave exists twice, with a block of slots each, because two threads may have to leave at the same time: the
 * holder (which owns the data mapping and unmaps it) and the thread that was asked last. The slots hold the thread's
 * registers; they are written by the dumper before the thread's registers are changed, so at every instant the thread is either
 * untouched or on a path that ends where it was.
 *
 * The kernel preserves all registers over a system call but rax, rcx and r11 (Documentation: arch/x86/entry/entry_64.S,
 * entry_SYSCALL_64), flags included.
 */
#include "common/agent/step.h"

	.section .rodata.agent, "a", @progbits
	.globl arch_agent_start, arch_agent_end
	.balign 16
arch_agent_start:

guest:						/* the holder must not unmap the data from now on */
	mov	slots_1 + 8 * 22(%rip), %rax
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
	mov	STEP_EXPECT(%r13), %ebp
	test	$STEP_INDIRECT_ANY, %ebp
	jnz	7f
2:	syscall
	movzbl	%bpl, %ebp
	cmp	$3, %ebp			/* EXPECT_CLONE */
	jne	3f
	test	%rax, %rax
	jnz	3f
	mov	STEP_STORE(%r13), %r12		/* the new thread: its own program from here on */
	jmp	run
3:	mov	%rax, STEP_RESULT(%r13)
	test	%ebp, %ebp			/* EXPECT_ANY */
	jz	5f
	cmp	$1, %ebp			/* EXPECT_OK */
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
	test	$STEP_INDIRECT(\n), %ebp
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

park:
	mov	HEADER_LEFT(%r12), %rdi
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
2:	mov	$34, %eax			/* pause; only a tracer ever ends it for good */
	syscall
	jmp	2b

boot:
	syscall					/* mmap: the dumper stops the thread at its exit */
	mov	%rax, %rdi
	mov	slots_0 + 8 * 20(%rip), %rsi	/* length */
	mov	$11, %eax			/* munmap; harmless when the mmap failed */
	syscall
	jmp	mask_0

/*
 * Slots, 8 bytes each: 0 r15 1 r14 2 r13 3 r12 4 rbp 5 rbx 6 r11 7 r10 8 r9 9 r8 10 rax 11 rcx 12 rdx 13 rsi 14 rdi
 * 15 rip 16 rsp 17 flags | 18 call number, 19-21 its arguments | 22 busy flag's address | 23 signal mask.
 * Signals stay blocked until the last system call, so nothing is pushed while rsp points into the slots.
 */
	.macro LEAVE n
leave_\n:
	lea	slots_\n + 8 * 17(%rip), %rsp
	popfq
	mov	slots_\n + 8 * 16(%rip), %rsp
	mov	slots_\n + 8 * 22(%rip), %rax
	movl	$0, (%rax)
	mov	slots_\n + 8 * 18(%rip), %rax
	mov	slots_\n + 8 * 19(%rip), %rdi
	mov	slots_\n + 8 * 20(%rip), %rsi
	mov	slots_\n + 8 * 21(%rip), %rdx
	syscall
mask_\n:
	mov	$14, %eax			/* rt_sigprocmask(SIG_SETMASK, &mask, NULL, 8) */
	mov	$2, %edi
	lea	slots_\n + 8 * 23(%rip), %rsi
	mov	$0, %edx
	mov	$8, %r10d
	syscall
	mov	slots_\n + 8 * 0(%rip), %r15
	mov	slots_\n + 8 * 1(%rip), %r14
	mov	slots_\n + 8 * 2(%rip), %r13
	mov	slots_\n + 8 * 3(%rip), %r12
	mov	slots_\n + 8 * 4(%rip), %rbp
	mov	slots_\n + 8 * 5(%rip), %rbx
	mov	slots_\n + 8 * 6(%rip), %r11
	mov	slots_\n + 8 * 7(%rip), %r10
	mov	slots_\n + 8 * 8(%rip), %r9
	mov	slots_\n + 8 * 9(%rip), %r8
	mov	slots_\n + 8 * 10(%rip), %rax
	mov	slots_\n + 8 * 11(%rip), %rcx
	mov	slots_\n + 8 * 12(%rip), %rdx
	mov	slots_\n + 8 * 13(%rip), %rsi
	mov	slots_\n + 8 * 14(%rip), %rdi
	jmp	*slots_\n + 8 * 15(%rip)
	.endm

	LEAVE 0
	LEAVE 1

	.balign 8
slots_0:
	.fill	24, 8, 0
slots_1:
	.fill	24, 8, 0
arch_agent_end:

	.globl arch_agent_run, arch_agent_guest, arch_agent_park, arch_agent_boot, arch_agent_leave, arch_agent_slots
	.balign 8
arch_agent_run:		.long run - arch_agent_start
arch_agent_guest:	.long guest - arch_agent_start
arch_agent_park:	.long park - arch_agent_start
arch_agent_boot:	.long boot - arch_agent_start
arch_agent_leave:	.long leave_0 - arch_agent_start, leave_1 - arch_agent_start
arch_agent_slots:	.long slots_0 - arch_agent_start, slots_1 - arch_agent_start

	.section .note.GNU-stack, "", @progbits
