/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The alternate signal stack. */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define AUTODISARM (1u << 31) /* SS_AUTODISARM */

struct kernel_stack { uint64_t sp; uint32_t flags, pad; uint64_t size; };
_Static_assert(sizeof(struct kernel_stack) == sizeof(stack_t), "stack_t of a 64-bit kernel");

struct stack_slot { struct data_ref old; };

static int ask_stack(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct stack_slot *s = slot;

	s->old = program_data(prog, NULL, sizeof(struct kernel_stack));
	program_call(prog, 0, "alternate signal stack", SYS_sigaltstack, A(0), A_DATA(s->old));
	return 0;
}

/* kernel/signal.c, do_sigaltstack(): the flags say besides whether there is one, and whether the stack pointer is on it just now. */
static struct told_rule stack_told(const void *slot)
{
	return (struct told_rule){ .own = TOLD(STACK) | TOLD(STACK_SIZE) | TOLD(STACK_FLAGS) };
}

static void tell_stack(const uint64_t numbers[TOLDS], struct program *prog, const void *slot)
{
	const struct stack_slot *s = slot;
	struct kernel_stack k;

	memcpy(&k, program_answer(prog, s->old), sizeof(k));
	k.sp = numbers[TOLD_STACK];
	k.size = numbers[TOLD_STACK_SIZE];
	k.flags = (k.flags & SS_ONSTACK) | (numbers[TOLD_STACK_FLAGS] & AUTODISARM) | (k.size ? 0 : SS_DISABLE);
	program_set_answer(prog, s->old, &k, sizeof(k));
}

static int dump_stack(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		      struct err *err)
{
	const struct stack_slot *s = slot;
	const struct kernel_stack *k = program_answer(prog, s->old);
	ThreadSasEntry *e = arena_msg(d->arena, ThreadSasEntry, thread_sas_entry__init);

	e->ss_sp = k->sp;
	e->ss_size = k->size;
	/* ONSTACK tells where the stack pointer is just now, and follows from the registers. */
	e->ss_flags = k->flags & ~(uint32_t)SS_ONSTACK;
	task_thread_core(d, thread)->sas = e;
	return 0;
}

static int plan_stack(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadSasEntry *e = thread->core->thread_core->sas;
	struct kernel_stack k;
	struct data_ref data;

	if (!e)
		return 0;
	k = (struct kernel_stack){ .sp = e->ss_sp, .flags = e->ss_flags & ~(uint32_t)SS_ONSTACK, .size = e->ss_size };
	if (k.flags & ~(AUTODISARM | SS_DISABLE))
		return err_image(err, "thread %d: alternate stack with flags 0x%x", pth->tid, e->ss_flags);
	/* A new thread has none; the leader may have inherited one from the restorer. */
	if (k.flags & SS_DISABLE && thread != &task->threads[0])
		return 0;
	data = program_data(pth->prog, &k, sizeof(k));
	program_call(pth->prog, THREAD_SELF, "alternate signal stack", SYS_sigaltstack, A_DATA(data), A(0));
	return 0;
}

const struct state_kind sigaltstack_kind = {
	.name = "alternate signal stack",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct stack_slot),
	.ask = ask_stack,
	.told = stack_told,
	.tell = tell_stack,
	.dump = dump_stack,
	.plan = plan_stack,
};
