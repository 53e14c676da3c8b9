/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that need not be asked, because the kernel's own records tell what they would answer. To borrow a thread takes 40 us, most
 * of it for its way onto a processor and back; a row of numbers out of its task_struct takes one (common/task/alike.c).
 *
 * What a question gives is a function of some of these numbers, and each kind says of which (state_kind.told):
 *
 *	same	what those numbers mean need not be known: threads in which they are equal give the same answer, so one of them is asked.
 *		Pointers are equal when the objects are the same one: both threads hold a reference.
 *	own	the answer is the number, as the kernel's source shows; the kind puts it in its place (state_kind.tell).
 *
 * Threads that are equal in all that any kind names make a group, of which the first one is asked like any other. What its own numbers
 * would have told must then be what it said: if it is not, the words have another meaning in this kernel, and all of the group are asked.
 * A kind that says nothing, or names a number that this kernel does not have, has each thread asked.
 */
#ifndef CR_DUMP_TOLD_H
#define CR_DUMP_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of struct task_struct, by these names unless another one is given. */
enum told {
	TOLD_REAL_CRED, TOLD_ATOMIC_FLAGS, TOLD_SECCOMP_MODE, TOLD_SECCOMP_FILTER, TOLD_SECCOMP_COUNT, TOLD_SIGNAL, TOLD_MM, TOLD_CRED,
	TOLD_SESSION_KEYRING, /* cred->session_keyring */
	TOLD_FLAGS, /* PF_* */
	TOLD_SWITCHES, /* thread_info.flags */
	TOLD_FEATURES, /* of the processor, that the thread uses */
	TOLD_MEMPOLICY,
	TOLD_STACK, TOLD_STACK_SIZE, TOLD_STACK_FLAGS, /* sas_ss_* */
	TOLD_CLEAR_TID, /* clear_child_tid */
	TOLD_SLACK, /* timer_slack_ns */
	TOLD_PDEATH, /* pdeath_signal */
	TOLDS
};
#define TOLD(which) (1ull << (TOLD_##which))

struct told_rule { uint64_t same, own; /* of TOLD() */ };

struct dump_task;
struct program;
struct told_threads;

/* Who of t is to be asked; slots: of the questions, by index in state_kinds. */
struct told_threads *told_new(const struct dump_task *t, void *const *slots);
void told_free(struct told_threads *told);
/* Whether this thread has to be asked: first one of each group, and, when those have answered, others of groups that were none. */
bool told_asks(const struct told_threads *told, size_t thread);
/* A thread has answered: prog has what it said. */
void told_take(struct told_threads *told, size_t thread, const struct program *prog);
/* What a thread that is not asked would say; NULL: it is to be asked. */
struct program *told_by(struct told_threads *told, size_t thread);
/* For kinds that ask for nothing, or for what is one for all threads. */
struct told_rule told_nothing(const void *slot);

#endif
