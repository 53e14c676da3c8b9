/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Switches of prctl(2) for which the format has no field. One that is not what a task started here has (that is what the
 * dumper itself answers to the same question) goes into our list of switches, or is refused by its name where
 * nothing can set it again.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#ifndef PR_GET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

static const struct question {
	const char *name;
	int option;
	unsigned long arg;
	bool by_pointer; /* the answer is an int at the second argument */
	int set;	 /* option that sets it again, 0 = none */
} questions[] = {
	{ "PR_SET_TSC", PR_GET_TSC, 0, true, PR_SET_TSC },
	{ "PR_MCE_KILL", PR_MCE_KILL_GET, 0, false, PR_MCE_KILL },
	{ "PR_SET_MDWE", PR_GET_MDWE, 0, false, PR_SET_MDWE },
	{ "PR_SET_SPECULATION_CTRL store bypass", PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, false,
	  PR_SET_SPECULATION_CTRL },
	{ "PR_SET_SPECULATION_CTRL indirect branch", PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, false,
	  PR_SET_SPECULATION_CTRL },
	{ "PR_SET_SPECULATION_CTRL L1D flush", PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, false,
	  PR_SET_SPECULATION_CTRL },
	{ "PR_SET_TIMING", PR_GET_TIMING, 0, false },
	{ "PR_SET_TAGGED_ADDR_CTRL", PR_GET_TAGGED_ADDR_CTRL, 0, false },
	{ "PR_SET_UNALIGN", PR_GET_UNALIGN, 0, true },
	{ "PR_SET_FPEMU", PR_GET_FPEMU, 0, true },
	{ "PR_SET_FPEXC", PR_GET_FPEXC, 0, true },
	{ "PR_SET_ENDIAN", PR_GET_ENDIAN, 0, true },
	{ "PR_SVE_SET_VL", PR_SVE_GET_VL, 0, false },
};
#define NQUESTIONS ARRAY_SIZE(questions)

struct prctl_slot {
	int64_t *own; /* what we answer; two for each question: result and value */
	struct step_ref result[NQUESTIONS];
	struct data_ref value[NQUESTIONS];
	struct step_ref io_flusher;
};

/* Two for each question: result and value. */
static int64_t *own_answers(struct dump *d)
{
	bool fresh;
	int64_t *own = dump_recall(d, questions, 2 * NQUESTIONS * sizeof(*own), &fresh);

	for (size_t i = 0; fresh && i < NQUESTIONS; i++) {
		const struct question *q = &questions[i];
		int value = 0;
		long r = prctl(q->option, q->by_pointer ? (unsigned long)&value : q->arg, 0, 0, 0);

		own[2 * i] = r < 0 ? -errno : r;
		own[2 * i + 1] = value;
	}
	return own;
}

static int ask_prctl(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct prctl_slot *s = slot;

	/* Asking needs CAP_SYS_RESOURCE, as setting does. */
	s->io_flusher =
		program_try(prog, 0, "PR_SET_IO_FLUSHER", SYS_prctl, A(PR_GET_IO_FLUSHER), A(0), A(0), A(0), A(0));
	s->own = own_answers(d);
	for (size_t i = 0; i < NQUESTIONS; i++) {
		const struct question *q = &questions[i];

		s->value[i] = program_data(prog, NULL, sizeof(int));
		/* What does not exist here cannot differ either. */
		if (s->own[2 * i] >= 0)
			s->result[i] = program_try(prog, 0, q->name, SYS_prctl, A((uint64_t)q->option),
						   q->by_pointer ? A_DATA(s->value[i]) : A(q->arg), A(0), A(0), A(0));
	}
	return 0;
}

/*
 * kernel/sys.c: PF_IO_FLUSHER (which takes a privilege to ask for), PF_MCE_* are flags, MDWE is of the memory. Of x86-64: TIF_NOTSC
 * (arch/x86/kernel/process.c, get_tsc_mode()), and of speculation TIF_SPEC_L1D_FLUSH and bits of atomic_flags (arch/x86/kernel/cpu/bugs.c,
 * arch_prctl_spec_ctrl_get()).
 */
static struct told_rule prctl_told(const void *slot)
{
	return (struct told_rule){ .same = TOLD(CRED) | TOLD(FLAGS) | TOLD(MM) | TOLD(SWITCHES) | TOLD(ATOMIC_FLAGS) };
}

/* The call that sets it again: option, then its arguments. */
static PrctlEntry *switch_of(struct dump *d, const struct question *q, int64_t result, int value)
{
	PrctlEntry *e = arena_msg(d->arena, PrctlEntry, prctl_entry__init);

	e->option = (uint32_t)q->set;
	switch (q->set) {
	case PR_SET_SPECULATION_CTRL:
		e->arg = q->arg;
		e->has_arg2 = true;
		e->arg2 = (uint64_t)result & ~(uint64_t)PR_SPEC_PRCTL;
		break;
	case PR_MCE_KILL:
		e->arg = PR_MCE_KILL_SET;
		e->has_arg2 = true;
		e->arg2 = (uint64_t)result;
		break;
	default:
		e->arg = q->by_pointer ? (uint64_t)(unsigned)value : (uint64_t)result;
	}
	return e;
}

static int dump_prctl(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		      struct err *err)
{
	ThreadCoreEntry *tcore = task_thread_core(d, thread);
	const struct prctl_slot *s = slot;

	if (program_result(prog, s->io_flusher) == 1)
		return err_refuse(err, "thread %d is marked by PR_SET_IO_FLUSHER", thread->frozen->tid);
	for (size_t i = 0; i < NQUESTIONS; i++) {
		int64_t own = s->own[2 * i];

		/* Strict mode takes the time stamp counter away, and does so again (kernel/seccomp.c, disable_TSC()). */
		if (questions[i].option == PR_GET_TSC && thread->status.seccomp == 1)
			continue;
		int64_t its = program_result(prog, s->result[i]);
		int value = *(const int *)program_answer(prog, s->value[i]);

		if (own < 0 || (its == own && value == s->own[2 * i + 1]))
			continue;
		if (its < 0 || !questions[i].set)
			return err_refuse(err, "thread %d has changed a switch that no image can hold: %s",
					  thread->frozen->tid, questions[i].name);
		if (!tcore->prctls)
			tcore->prctls = arena_alloc(d->arena, NQUESTIONS * sizeof(*tcore->prctls));
		tcore->prctls[tcore->n_prctls++] = switch_of(d, &questions[i], its, value);
	}
	return 0;
}

static int plan_prctl(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *c = thread->core->thread_core;

	for (size_t i = 0; i < c->n_prctls; i++) {
		const PrctlEntry *e = c->prctls[i];
		const char *name = NULL;

		for (size_t k = 0; k < NQUESTIONS; k++)
			if (questions[k].set && (uint32_t)questions[k].set == e->option)
				name = questions[k].name;
		if (!name)
			return err_image(err, "thread %d: prctl option %u is no switch that is kept", pth->tid, e->option);
		/* One of the whole address space, which forbids much: when nothing more is mapped or protected. */
		if (e->option == PR_SET_MDWE && thread != &task->threads[0])
			continue;
		program_call(pth->prog, e->option == PR_SET_MDWE ? TASK_SEAL : THREAD_AFTER_CREDS, name, SYS_prctl,
			     A(e->option), A(e->arg), A(e->has_arg2 ? e->arg2 : 0), A(0), A(0));
	}
	return 0;
}

const struct state_kind prctl_kind = {
	.name = "prctl switches",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct prctl_slot),
	.ask = ask_prctl,
	.told = prctl_told,
	.dump = dump_prctl,
	.plan = plan_prctl,
};
