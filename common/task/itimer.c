/* SPDX-License-Identifier: GPL-2.0-or-later */
/* setitimer(2): the three interval timers of a process. Armed last, with the time that remained. */
#include <sys/syscall.h>
#include <sys/time.h>

#include "common/task/task.h"

struct kernel_itimerval { int64_t isec, iusec, vsec, vusec; };

struct itimer_slot { struct data_ref value[3]; };

static const struct { int which; const char *name; } timers[3] = {
	{ ITIMER_REAL, "real interval timer" },
	{ ITIMER_VIRTUAL, "virtual interval timer" },
	{ ITIMER_PROF, "profiling interval timer" },
};

static int ask_itimer(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct itimer_slot *s = slot;

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		s->value[i] = program_data(prog, NULL, sizeof(struct kernel_itimerval));
		program_call(prog, 0, timers[i].name, SYS_getitimer, A((uint64_t)timers[i].which), A_DATA(s->value[i]));
	}
	return 0;
}

static TaskTimersEntry *timers_entry(struct dump *d)
{
	TaskCoreEntry *tc = task_core(d);

	if (!tc->timers)
		tc->timers = arena_msg(d->arena, TaskTimersEntry, task_timers_entry__init);
	return tc->timers;
}

static int dump_itimer(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		       struct err *err)
{
	const struct itimer_slot *s = slot;
	TaskTimersEntry *t = timers_entry(d);
	ItimerEntry **out[3] = { &t->real, &t->virt, &t->prof };

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		const struct kernel_itimerval *k = program_answer(prog, s->value[i]);
		ItimerEntry *e = arena_msg(d->arena, ItimerEntry, itimer_entry__init);

		e->isec = (uint64_t)k->isec;
		e->iusec = (uint64_t)k->iusec;
		e->vsec = (uint64_t)k->vsec;
		e->vusec = (uint64_t)k->vusec;
		*out[i] = e;
	}
	return 0;
}

static int plan_itimer(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		       struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskTimersEntry *t = thread->core->tc->timers;

	if (!t)
		return err_image(err, "core-%d.img has no timers", thread->tid);
	const ItimerEntry *in[3] = { t->real, t->virt, t->prof };

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		struct kernel_itimerval k;
		const ItimerEntry *e = in[i];

		if (e->iusec > 999999 || e->isec > INT64_MAX)
			return err_image(err, "%s: invalid interval", timers[i].name);
		if (e->vusec > 999999 || e->vsec > INT64_MAX)
			return err_image(err, "%s: invalid value", timers[i].name);
		k = (struct kernel_itimerval){ (int64_t)e->isec, (int64_t)e->iusec, (int64_t)e->vsec,
					       (int64_t)e->vusec };
		/* Expired, its signal still pending: it goes on with the interval once that is taken. */
		if (!k.vsec && !k.vusec) {
			k.vsec = k.isec;
			k.vusec = k.iusec;
		}
		if (k.vsec || k.vusec)
			program_call(pth->prog, TASK_TIMERS, timers[i].name, SYS_setitimer,
				     A((uint64_t)timers[i].which), A_DATA(program_data(pth->prog, &k, sizeof(k))),
				     A(0));
	}
	return 0;
}

const struct state_kind itimer_kind = {
	.name = "interval timers",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct itimer_slot),
	.ask = ask_itimer,
	.dump = dump_itimer,
	.plan = plan_itimer,
};
