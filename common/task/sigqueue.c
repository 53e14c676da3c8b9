/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pending signals with their siginfo, oldest first: of the process and of each thread. They are read from outside
 * (PTRACE_PEEKSIGINFO) and queued again by the thread itself, because only to itself may it send what claims to come
 * from the kernel or from another process. Programs run with all signals blocked, so none is delivered or ignored.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define SIGINFO_SIZE 128
#define NSIGNALS 64
#define FIRST_REALTIME 32 /* the kernel's SIGRTMIN; the C library keeps some of them for itself */
#define PEEK_BATCH 64

_Static_assert(sizeof(siginfo_t) == SIGINFO_SIZE, "the format's siginfo is the kernel's");

static void append(struct dump *d, SignalQueueEntry *q, size_t *cap, const siginfo_t *si)
{
	SiginfoEntry *e = arena_msg(d->arena, SiginfoEntry, siginfo_entry__init);

	if (q->n_signals == *cap) {
		SiginfoEntry **old = q->signals;

		*cap = *cap ? 2 * *cap : 8;
		q->signals = arena_alloc(d->arena, *cap * sizeof(*q->signals));
		if (old)
			memcpy(q->signals, old, q->n_signals * sizeof(*old));
	}
	e->siginfo.len = SIGINFO_SIZE;
	e->siginfo.data = arena_dup(d->arena, si, SIGINFO_SIZE);
	q->signals[q->n_signals++] = e;
}

/*
 * A timer has one entry of its own, and counts as overruns what it would have sent while that is pending. What an earlier restore
 * queued in its place stands beside it: the first of n is kept, and the other counted.
 */
static bool is_overrun(const SignalQueueEntry *q, size_t n, const SiginfoEntry *e)
{
	siginfo_t si, other;

	memcpy(&si, e->siginfo.data, sizeof(si));
	if (si.si_code != SI_TIMER)
		return false;
	for (size_t k = 0; k < n; k++) {
		memcpy(&other, q->signals[k]->siginfo.data, sizeof(other));
		if (other.si_signo != si.si_signo || other.si_code != SI_TIMER || other.si_timerid != si.si_timerid)
			continue;
		other.si_overrun = MIN(INT_MAX - 1, MAX(other.si_overrun, 0)) + 1;
		memcpy(q->signals[k]->siginfo.data, &other, sizeof(other));
		return true;
	}
	return false;
}

/*
 * A signal can be pending without a queued siginfo: when the queue was full. The kernel delivers it with an empty one
 * (collect_signal); so it is stored like that. Two queued entries of a standard signal exist only when
 * POSIX timers sent them, and cannot be queued twice by a call: those of one timer are one.
 */
static int check_queue(struct dump *d, SignalQueueEntry *q, size_t *cap, uint64_t pending, pid_t tid, struct err *err)
{
	uint64_t seen = 0;
	size_t kept = 0;

	for (size_t i = 0; i < q->n_signals; i++) {
		int signo;

		memcpy(&signo, q->signals[i]->siginfo.data, sizeof(signo));
		if (signo < 1 || signo > NSIGNALS)
			return err_refuse(err, "thread %d has signal %d pending", tid, signo);
		if (signo < FIRST_REALTIME && seen >> (signo - 1) & 1) {
			if (is_overrun(q, kept, q->signals[i]))
				continue;
			return err_hint(err,
					err_refuse(err, "signal %d is pending twice, from two POSIX timers", signo),
					"try again");
		}
		seen |= 1ull << (signo - 1);
		q->signals[kept++] = q->signals[i];
	}
	q->n_signals = kept;
	for (int signo = 1; signo <= NSIGNALS; signo++) {
		siginfo_t si;

		if (!((pending & ~seen) >> (signo - 1) & 1))
			continue;
		memset(&si, 0, sizeof(si));
		si.si_signo = signo;
		si.si_code = SI_USER;
		append(d, q, cap, &si);
	}
	return 0;
}

static int read_queue(struct dump *d, pid_t tid, bool shared, uint64_t pending, SignalQueueEntry **out,
		      struct err *err)
{
	SignalQueueEntry *q = arena_msg(d->arena, SignalQueueEntry, signal_queue_entry__init);
	siginfo_t batch[PEEK_BATCH];
	size_t cap = 0;

	for (;;) {
		struct __ptrace_peeksiginfo_args args = {
			.off = q->n_signals,
			.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
			.nr = PEEK_BATCH,
		};
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, batch);

		if (n < 0)
			return err_sys(err, "cannot read the pending signals of thread %d", tid);
		for (long i = 0; i < n; i++)
			append(d, q, &cap, &batch[i]);
		if (n < PEEK_BATCH)
			break;
	}
	*out = q;
	return check_queue(d, q, &cap, pending, tid, err);
}

static int dump_shared(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		       struct err *err)
{
	return read_queue(d, d->task->tid, true, thread->status.shd_pnd, &task_core(d)->signals_s, err);
}

static int dump_own(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		    struct err *err)
{
	return read_queue(d, thread->frozen->tid, false, thread->status.sig_pnd,
			  &task_thread_core(d, thread)->signals_p, err);
}

/* An expiry that happened after the timers were read: in the image they expire yet. */
static bool from_timer(const siginfo_t *si)
{
	return si->si_code == SI_TIMER || (si->si_signo == SIGALRM && si->si_code == SI_KERNEL);
}

/* Adds to a queue what has been sent since it was read: the kernel appends, and nothing leaves while the thread is
 * frozen. */
static int read_again(struct dump *d, pid_t tid, bool shared, SignalQueueEntry *q, struct err *err)
{
	SignalQueueEntry *now;
	size_t cap = 0, known = q->n_signals;
	int ret = read_queue(d, tid, shared, 0, &now, err);

	if (ret || now->n_signals <= known)
		return ret;
	for (size_t i = known; i < now->n_signals; i++) {
		siginfo_t si;

		memcpy(&si, now->signals[i]->siginfo.data, sizeof(si));
		if (from_timer(&si))
			continue;
		if (q->n_signals == known) /* makes room: the array in use has no spare */
			cap = known;
		append(d, q, &cap, &si);
	}
	return 0;
}

int task_signals_late(struct dump *d, struct err *err)
{
	int ret = read_again(d, d->task->tid, true, task_core(d)->signals_s, err);

	for (size_t i = 0; !ret && i < d->task->nthreads; i++) {
		struct dump_thread *t = &d->task->threads[i];

		if (!t->frozen->dead)
			ret = read_again(d, t->frozen->tid, false, task_thread_core(d, t)->signals_p, err);
	}
	return ret;
}

static int plan_queue(const SignalQueueEntry *q, bool shared, struct plan_task *pt, struct plan_thread *pth,
		      struct err *err)
{
	for (size_t i = 0; q && i < q->n_signals; i++) {
		const ProtobufCBinaryData *si = &q->signals[i]->siginfo;
		struct data_ref data;
		int signo;

		if (si->len != SIGINFO_SIZE)
			return err_image(err, "thread %d: pending signal %zu has a siginfo of %zu bytes", pth->tid, i,
					 si->len);
		memcpy(&signo, si->data, sizeof(signo));
		if (signo < 1 || signo > NSIGNALS || signo == SIGKILL)
			return err_image(err, "thread %d: pending signal %zu has number %d", pth->tid, i, signo);
		/* It cannot be blocked: the task is about to stop, and comes back stopped. */
		if (signo == SIGSTOP) {
			if (!pt->stop_signal)
				pt->stop_signal = SIGSTOP;
			continue;
		}
		data = program_data(pth->prog, si->data, si->len);
		if (shared)
			program_call(pth->prog, THREAD_SIGQUEUE, "pending signal of the process", SYS_rt_sigqueueinfo,
				     A((uint64_t)pt->pid), A((uint64_t)signo), A_DATA(data));
		else
			program_call(pth->prog, THREAD_SIGQUEUE, "pending signal", SYS_rt_tgsigqueueinfo,
				     A((uint64_t)pt->pid), A((uint64_t)pth->tid), A((uint64_t)signo), A_DATA(data));
	}
	return 0;
}

static int plan_shared(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		       struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	return plan_queue(thread->core->tc->signals_s, true, pt, pth, err);
}

static int plan_own(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	return plan_queue(thread->core->thread_core->signals_p, false, pt, pth, err);
}

const struct state_kind sigqueue_shared_kind = {
	.name = "pending signals of the process",
	.scope = SCOPE_TASK,
	.dump = dump_shared,
	.plan = plan_shared,
};

const struct state_kind sigqueue_kind = {
	.name = "pending signals",
	.scope = SCOPE_THREAD,
	.dump = dump_own,
	.plan = plan_own,
};
