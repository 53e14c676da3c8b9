/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Switches of arch_prctl(2) that no image can hold: refused when they are not what the dumper itself has. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/kinds.h"

#define GET_CPUID 0x1011
#define GET_XCOMP_PERM 0x1022
#define GET_UNTAG_MASK 0x4001
#define SHSTK_STATUS 0x5005

static const struct question {
	const char *name;
	int option;
	bool by_pointer;
} questions[] = {
	{ "ARCH_SET_CPUID (cpuid faulting)", GET_CPUID, false },
	{ "ARCH_REQ_XCOMP_PERM (AMX)", GET_XCOMP_PERM, true },
	{ "ARCH_ENABLE_TAGGED_ADDR (linear address masking)", GET_UNTAG_MASK, true },
	{ "ARCH_SHSTK_ENABLE (shadow stack)", SHSTK_STATUS, true },
};
#define NQUESTIONS ARRAY_SIZE(questions)

struct answer { int64_t result; uint64_t value; };

struct arch_prctl_slot {
	struct answer *own;
	struct step_ref result[NQUESTIONS];
	struct data_ref value[NQUESTIONS];
};

static int ask_arch_prctl(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct arch_prctl_slot *s = slot;
	bool fresh;

	s->own = dump_recall(d, questions, NQUESTIONS * sizeof(*s->own), &fresh);
	for (size_t i = 0; i < NQUESTIONS; i++) {
		const struct question *q = &questions[i];

		if (fresh) {
			long r = syscall(SYS_arch_prctl, q->option, q->by_pointer ? &s->own[i].value : NULL);

			s->own[i].result = r < 0 ? -errno : r;
		}
		if (s->own[i].result < 0)
			continue; /* this kernel or CPU does not have it */
		s->value[i] = program_data(prog, NULL, sizeof(uint64_t));
		s->result[i] = program_try(prog, 0, q->name, SYS_arch_prctl, A((uint64_t)q->option),
					   q->by_pointer ? A_DATA(s->value[i]) : A(0));
	}
	return 0;
}

/*
 * TIF_NOCPUID (arch/x86/kernel/process.c); what the first thread of the process may use (arch/x86/kernel/fpu/xstate.c,
 * fpu_xstate_prctl()); the mask of its memory (arch/x86/kernel/process_64.c); thread.features (arch/x86/kernel/shstk.c), which is not
 * there where the kernel knows no shadow stacks, and then nobody is asked for them.
 */
static struct told_rule arch_prctl_told(const void *slot)
{
	const struct arch_prctl_slot *s = slot;
	struct told_rule rule = { .same = TOLD(SWITCHES) | TOLD(SIGNAL) | TOLD(MM) };

	for (size_t i = 0; i < NQUESTIONS; i++)
		if (questions[i].option == SHSTK_STATUS && s->own[i].result >= 0)
			rule.same |= TOLD(FEATURES);
	return rule;
}

static int dump_arch_prctl(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			   struct err *err)
{
	const struct arch_prctl_slot *s = slot;

	for (size_t i = 0; i < NQUESTIONS; i++) {
		if (s->own[i].result < 0)
			continue;
		if (program_result(prog, s->result[i]) != s->own[i].result ||
		    *(const uint64_t *)program_answer(prog, s->value[i]) != s->own[i].value)
			return err_refuse(err, "thread %d has changed a switch that no image can hold: %s",
					  thread->frozen->tid, questions[i].name);
	}
	return 0;
}

extern const struct state_kind arch_prctl_kind;
const struct state_kind arch_prctl_kind = {
	.name = "arch_prctl switches",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct arch_prctl_slot),
	.ask = ask_arch_prctl,
	.told = arch_prctl_told,
	.dump = dump_arch_prctl,
};
