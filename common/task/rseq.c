/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restartable sequences: the registration of a thread, and threads that are inside a sequence.
 */
#include <errno.h>
#include <limits.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/task/task.h"

#define RSEQ_CS_OFFSET 8	      /* struct rseq: rseq_cs */
#define NO_RESTART_ON_SIGNAL (1u << 1) /* RSEQ_CS_FLAG_NO_RESTART_ON_SIGNAL, ignored or deadly since 6.0 */
#define AREA_MAX 4096

/* struct rseq_cs: one critical section, described by the program */
struct section { uint32_t version, flags; uint64_t start_ip, post_commit_offset, abort_ip; };

static int read_config(pid_t tid, struct __ptrace_rseq_configuration *c, struct err *err)
{
	*c = (struct __ptrace_rseq_configuration){ 0 };
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(*c), c) < 0)
		return err_sys(err, "cannot read the rseq registration of thread %d", tid);
	return 0;
}

/* Pointer to the section that the registration names; 0 when there is none. */
static uint64_t section_pointer(const struct __ptrace_rseq_configuration *c, int mem_fd)
{
	uint64_t p = 0;

	if (!c->rseq_abi_pointer || c->rseq_abi_pointer > LONG_MAX ||
	    pread_full(mem_fd, &p, sizeof(p), (off_t)(c->rseq_abi_pointer + RSEQ_CS_OFFSET)))
		return 0;
	return p <= LONG_MAX ? p : 0;
}

/* Whether ip is inside the section at address p, which goes to *s. */
static bool inside(uint64_t ip, uint64_t p, int mem_fd, struct section *s)
{
	return p && !pread_full(mem_fd, s, sizeof(*s), (off_t)p) && ip - s->start_ip < s->post_commit_offset;
}

/*
 * A thread stopped inside a section must go on at the section's abort address: what it did so far is void as soon as
 * the kernel or we touch it (kernel/rseq.c, rseq_ip_fixup). To be done before any other code runs in the thread,
 * because the kernel forgets the section then. True when the section asks to be left alone.
 */
static bool abort_section(uint64_t p, int mem_fd, struct arch_regs *regs)
{
	struct section s;

	if (!inside(arch_ip(regs), p, mem_fd, &s))
		return false;
	if (s.flags & NO_RESTART_ON_SIGNAL)
		return true;
	arch_set_ip(regs, s.abort_ip);
	return false;
}

/* The sequences of all threads, read before the first question is asked: answering clears them. */
struct rseq_slot { uint64_t *section; struct __ptrace_rseq_configuration *config; };

static int ask_rseq(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct rseq_slot *r = slot;

	r->section = arena_alloc(d->arena, d->task->nthreads * sizeof(*r->section));
	r->config = arena_alloc(d->arena, d->task->nthreads * sizeof(*r->config));
	for (size_t i = d->task->fz.speaker; i < d->task->nthreads; i++) {
		struct frozen_thread *t = d->task->threads[i].frozen;
		int ret = read_config(t->tid, &r->config[i], err);
		uint64_t p;

		if (ret)
			return ret;
		p = section_pointer(&r->config[i], d->task->fz.mem_fd);
		r->section[i] = abort_section(p, d->task->fz.mem_fd, &t->regs) ? p : 0;
	}
	return 0;
}

static int dump_rseq(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		     struct err *err)
{
	const struct rseq_slot *r = slot;
	struct __ptrace_rseq_configuration c = r->config[thread - d->task->threads];
	RseqEntry *e;

	if (c.flags)
		return err_refuse(err, "thread %d has an rseq registration with flags 0x%x", thread->frozen->tid,
				  c.flags);
	e = arena_msg(d->arena, RseqEntry, rseq_entry__init);
	e->rseq_abi_pointer = c.rseq_abi_pointer;
	e->rseq_abi_size = c.rseq_abi_size;
	e->signature = c.signature;
	if (r->section[thread - d->task->threads]) {
		e->has_rseq_cs_pointer = true;
		e->rseq_cs_pointer = r->section[thread - d->task->threads];
	}
	task_thread_core(d, thread)->rseq_entry = e;
	return 0;
}

static int plan_rseq(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		     struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const RseqEntry *e = thread->core->thread_core->rseq_entry;

	if (!e || !e->rseq_abi_pointer)
		return 0;
	if (e->rseq_abi_size < 32 || e->rseq_abi_size > AREA_MAX)
		return err_image(err, "thread %d: an rseq area of %u bytes", pth->tid, e->rseq_abi_size);
	program_call(pth->prog, THREAD_SELF, "restartable sequences", SYS_rseq, A(e->rseq_abi_pointer),
		     A(e->rseq_abi_size), A(0), A(e->signature));
	return 0;
}

const struct state_kind rseq_kind = {
	.name = "rseq",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct rseq_slot),
	.ask = ask_rseq,
	.told = told_nothing,
	.dump = dump_rseq,
	.plan = plan_rseq,
};
