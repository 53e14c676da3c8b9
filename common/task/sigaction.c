/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signal dispositions: what the kernel keeps for each signal but SIGKILL and SIGSTOP, in its own layout. */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define NSIGNALS 64
#define NACTIONS (NSIGNALS - 2)
#define SIGSET_SIZE 8

struct kernel_sigaction { uint64_t handler, flags, restorer, mask; };

struct sigaction_slot { struct data_ref actions; };

static bool has_action(int signo)
{
	return signo != SIGKILL && signo != SIGSTOP;
}

static int ask_sigaction(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct sigaction_slot *s = slot;
	uint32_t i = 0;

	s->actions = program_data(prog, NULL, NACTIONS * sizeof(struct kernel_sigaction));
	for (int signo = 1; signo <= NSIGNALS; signo++)
		if (has_action(signo))
			program_call(prog, 0, "signal disposition", SYS_rt_sigaction, A((uint64_t)signo), A(0),
				     A_DATA_AT(s->actions, i++ * (uint32_t)sizeof(struct kernel_sigaction)),
				     A(SIGSET_SIZE));
	return 0;
}

static int dump_sigaction(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			  struct err *err)
{
	const struct sigaction_slot *s = slot;
	const struct kernel_sigaction *k = program_answer(prog, s->actions);
	TaskCoreEntry *tc = task_core(d);

	tc->n_sigactions = NACTIONS;
	tc->sigactions = arena_alloc(d->arena, NACTIONS * sizeof(*tc->sigactions));
	for (size_t i = 0; i < NACTIONS; i++) {
		SaEntry *e = arena_msg(d->arena, SaEntry, sa_entry__init);

		e->sigaction = k[i].handler;
		e->flags = k[i].flags;
		e->restorer = k[i].restorer;
		e->mask = k[i].mask;
		e->has_compat_sigaction = true;
		tc->sigactions[i] = e;
	}
	return 0;
}

static int plan_sigaction(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			  struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc;
	const bool root = task == m->tasks, alone = m->ntasks == 1;
	const struct kernel_sigaction none = { 0 };
	struct kernel_sigaction k[NACTIONS];
	struct data_ref data;
	uint32_t i = 0;

	if (tc->n_sigactions != NACTIONS)
		return err_image(err, "%zu signal dispositions where %d belong", tc->n_sigactions, NACTIONS);
	for (i = 0; i < NACTIONS; i++) {
		const SaEntry *e = tc->sigactions[i];

		if (e->has_compat_sigaction && e->compat_sigaction)
			return err_refuse(err, "a signal disposition of 32-bit code");
		k[i] = (struct kernel_sigaction){ e->sigaction, e->flags, e->restorer, e->mask };
	}
	/* The root makes those of the restorer the default ones, before it makes anybody: then all begin with them. */
	if (root && !alone) {
		data = program_data(pth->prog, &none, sizeof(none));
		for (int signo = 1; signo <= NSIGNALS; signo++)
			if (has_action(signo))
				program_call(pth->prog, TASK_BORN, "default signal disposition", SYS_rt_sigaction,
					     A((uint64_t)signo), A_DATA(data), A(0), A(SIGSET_SIZE));
	}
	i = 0;
	for (int signo = 1; signo <= NSIGNALS; signo++) {
		const struct kernel_sigaction *a = has_action(signo) ? &k[i++] : &none;

		if (has_action(signo) && (alone || memcmp(a, &none, sizeof(none))))
			program_call(pth->prog, TASK_SIGNALS, "signal disposition", SYS_rt_sigaction, A((uint64_t)signo),
				     A_DATA(program_data(pth->prog, a, sizeof(*a))), A(0), A(SIGSET_SIZE));
	}
	return 0;
}

const struct state_kind sigaction_kind = {
	.name = "signal dispositions",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct sigaction_slot),
	.ask = ask_sigaction,
	.dump = dump_sigaction,
	.plan = plan_sigaction,
};
