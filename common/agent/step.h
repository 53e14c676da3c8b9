/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent executes: the memory layout shared by the agent's assembly (common/arch/ARCH/agent.S)
 * and the program builder. The agent is an interpreter of system calls and nothing else: it walks an
 * array of steps, checks each result against the step's expectation, and leaves through an address that
 * its controller chose. It needs no stack and touches no floating point register, but for the last act of a restored thread.
 */
#ifndef CR_AGENT_STEP_H
#define CR_AGENT_STEP_H

#ifndef __ASSEMBLER__
#include <stdint.h>

enum step_expect {
	EXPECT_ANY = 0,	  /* any result is fine */
	EXPECT_OK = 1,	  /* anything but -4095..-1 */
	EXPECT_EQ = 2,	  /* exactly want */
	EXPECT_CLONE = 3, /* clone3: the parent expects want; the child goes on with the program whose header is at store */
};

struct agent_step {
	uint32_t nr;	 /* system call number */
	uint32_t expect; /* enum step_expect, and STEP_INDIRECT(n) for each arg that is the address of its value */
	uint64_t arg[6];
	int64_t want;
	int64_t result;	 /* written by the agent, -ENOSYS style errors included */
	uint64_t store;	 /* EXPECT_CLONE: address of the child's program header */
};

struct agent_header {
	uint64_t step;	   /* first step */
	uint64_t end;	   /* one past the last step */
	uint64_t epilogue; /* first step that runs even after a failure; == end when there is none */
	uint64_t failed;   /* address of the step whose expectation was not met, 0 = none; written by the agent */
	uint64_t exit;	   /* where to jump after the last step */
	uint64_t left;	   /* address of an int that the restore agent counts down when parked, 0 in a dump */
	uint64_t fpu;	   /* address of the floating point state that it loads then (arch_fpu_loadable()), or 0 */
};

_Static_assert(sizeof(struct agent_step) == 80, "agent.S knows this layout");
_Static_assert(sizeof(struct agent_header) == 56, "agent.S knows this layout");
#endif

/* Argument n is loaded from the address in arg[n]: the result field of an earlier step. */
#define STEP_INDIRECT(n) (0x100 << (n))
#define STEP_INDIRECT_ANY 0x3f00

#define STEP_NR 0
#define STEP_EXPECT 4
#define STEP_ARG(n) (8 + 8 * (n))
#define STEP_WANT 56
#define STEP_RESULT 64
#define STEP_STORE 72
#define STEP_SIZE 80

#define HEADER_STEP 0
#define HEADER_END 8
#define HEADER_EPILOGUE 16
#define HEADER_FAILED 24
#define HEADER_EXIT 32
#define HEADER_LEFT 40
#define HEADER_FPU 48

#endif
