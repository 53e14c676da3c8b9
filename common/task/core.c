/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of core images: what a task is (alive, stopped), and the processor state of each thread.
 *
 * A thread that was inside a system call left it when it was stopped. The image holds registers that repeat the call. A
 * call with remaining time (nanosleep, poll, a futex wait) cannot be repeated so, because its arguments hold the whole
 * time: v1.1 gives it an EINTR; our restart field says which call it was and what time remains, so that our
 * restorer puts the thread back inside it.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/io.h"
#include "common/sock/tcp.h"
#include "common/task/task.h"

#define STATE_ALIVE 1
#define STATE_DEAD 2
#define STATE_STOPPED 3

/* ---- the task ---- */

static int dump_task_core(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			  struct err *err)
{
	TaskCoreEntry *tc = task_core(d);
	int stop = thread->frozen->stop_signal;

	tc->task_state = stop ? STATE_STOPPED : STATE_ALIVE;
	if (stop) {
		tc->has_stop_signo = true;
		tc->stop_signo = (uint32_t)stop;
	}
	tc->exit_code = 0;
	tc->has_exit_signal = d->task->parent && d->task->stat.exit_signal != SIGCHLD;
	tc->exit_signal = tc->has_exit_signal ? (uint32_t)d->task->stat.exit_signal : 0;
	tc->flags = d->task->stat.flags;
	tc->blk_sigset = thread->frozen->sigmask;
	return 0;
}

static int plan_task_core(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			  struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc;
	uint32_t signo = tc->has_stop_signo ? tc->stop_signo : SIGSTOP;

	if (tc->task_state == STATE_DEAD)
		return err_refuse(err, "the image is of a dead task (zombie)");
	if (tc->task_state == STATE_ALIVE)
		return 0;
	if (tc->task_state != STATE_STOPPED)
		return err_image(err, "unknown task state %u", tc->task_state);
	if (signo != SIGSTOP && signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU)
		return err_image(err, "stopped by signal %u, which stops nothing", signo);
	pt->stop_signal = (int)signo;
	return 0;
}

const struct state_kind task_core_kind = {
	.name = "task",
	.scope = SCOPE_TASK,
	.dump = dump_task_core,
	.plan = plan_task_core,
};

/* ---- a thread ---- */

/* The signals that this thread would take if it went on now. A signal for the whole process is taken by the first
 * thread that does not block it (kernel/signal.c, complete_signal, looks at the leader first). */
static uint64_t deliverable(const struct dump *d, const struct dump_thread *thread)
{
	uint64_t shared = thread->status.shd_pnd;

	for (size_t i = 0; shared && i < d->task->nthreads && &d->task->threads[i] != thread; i++)
		shared &= d->task->threads[i].frozen->sigmask;
	return (thread->status.sig_pnd | shared) & ~thread->frozen->sigmask;
}

/* Which of them comes first: faults before all, then the lowest number (kernel/signal.c, next_signal). */
static int first_signal(uint64_t set)
{
	const uint64_t faults = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGILL - 1) |
				1ull << (SIGTRAP - 1) | 1ull << (SIGFPE - 1) | 1ull << (SIGSYS - 1);

	return __builtin_ctzll(set & faults ? set & faults : set) + 1;
}

/* A handler is about to run: then the kernel does not repeat every call, and the program waits for just that. */
static void resolve_for_handler(const struct dump *d, struct dump_thread *thread, uint64_t pending,
				struct arch_regs *regs)
{
	const TaskCoreEntry *tc = d->task->threads[0].core->tc;
	int signo = first_signal(pending);
	size_t i = (size_t)signo - 1 - (signo > SIGKILL) - (signo > SIGSTOP);
	bool restarts = false;

	if (!(thread->status.sig_cgt >> (signo - 1) & 1))
		return;
	if (tc && i < tc->n_sigactions)
		restarts = tc->sigactions[i]->flags & SA_RESTART;
	arch_interrupt_syscall(regs, restarts);
}

/* What the kernel wrote to the call's own "remaining" argument when it was interrupted. UINT64_MAX: it has none. */
static uint64_t remaining_ns(const struct dump *d, const struct arch_restart *r)
{
	uint64_t addr = r->nr == SYS_nanosleep ? r->arg[1] : r->nr == SYS_clock_nanosleep ? r->arg[3] : 0;
	struct timespec ts;

	if (!addr || addr > LONG_MAX || pread_full(d->task->fz.mem_fd, &ts, sizeof(ts), (off_t)addr))
		return UINT64_MAX;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec > 999999999 || ts.tv_sec > INT64_MAX / 2000000000)
		return UINT64_MAX;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Names the call that a thread is inside for the second time: true when that was needed and possible. Without a name it
 * has to end with EINTR, as in every v1.1 image. */
static bool name_restarted(const struct dump *d, const struct dump_thread *thread, const struct arch_regs *regs, struct arch_restart *r)
{
	unsigned char code[48];
	uint64_t ip = arch_ip(regs), back;
	long nr = -1;

	if (r->nr != SYS_restart_syscall)
		return false;
	if (ip > sizeof(code) + ARCH_SYSCALL_LEN && ip <= LONG_MAX &&
	    !pread_full(d->task->fz.mem_fd, code, sizeof(code), (off_t)(ip - ARCH_SYSCALL_LEN - sizeof(code))))
		nr = arch_restarted_call(code, sizeof(code));
	if (ip > sizeof(code) + ARCH_SYSCALL_LEN && ip <= LONG_MAX && nr < 0 && arch_is_wrapped_call(code, sizeof(code)) &&
	    !pread_full(d->task->fz.mem_fd, &back, sizeof(back), (off_t)arch_sp(regs)) && back > sizeof(code) && back <= LONG_MAX &&
	    !pread_full(d->task->fz.mem_fd, code, sizeof(code), (off_t)(back - sizeof(code))))
		nr = arch_wrapped_call(code, sizeof(code));
	r->block = nr >= 0;
	r->nr = (uint64_t)nr;
	if (!r->block)
		log_info(
			d->log,
			"thread %d: an interrupted call will end with EINTR, as its code does not tell which one it is",
			thread->frozen->tid);
	return r->block;
}

static void put_restart(struct dump *d, ThreadCoreEntry *tcore, const struct arch_restart *r)
{
	RestartEntry *e = arena_msg(d->arena, RestartEntry, restart_entry__init);

	e->nr = (uint32_t)r->nr;
	e->n_args = ARRAY_SIZE(r->arg);
	e->args = arena_dup(d->arena, r->arg, sizeof(r->arg));
	e->remaining_ns = remaining_ns(d, r);
	tcore->restart = e;
}

/*
 * A connect(2) that waited, and whose connection has come about since. Where it was, it returns 0 when it is repeated; a restored socket
 * is connected already, and would say so (EISCONN; net/ipv4/af_inet.c, __inet_stream_connect()).
 */
static void end_connect(const struct dump *d, struct arch_regs *regs)
{
	uint64_t arg[6];

	if (arch_repeated_call(regs, arg) == SYS_connect && !d->opts->tcp_close && arg[0] <= INT_MAX &&
	    tcp_is_connected(d->task, (int)arg[0]))
		arch_in_syscall(regs, SYS_connect, 0);
}

static int dump_thread_core(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			    struct err *err)
{
	struct frozen_thread *frozen = thread->frozen;
	ThreadCoreEntry *tcore = task_thread_core(d, thread);
	struct arch_regs regs = frozen->regs;
	uint64_t pending = deliverable(d, thread);
	struct arch_restart restart;
	struct arch_fpu fpu;
	int ret;

	if (pending)
		resolve_for_handler(d, thread, pending, &regs);
	end_connect(d, &regs);
	arch_resolve_syscall(&regs, pending, &restart);
	if (restart.block && name_restarted(d, thread, &regs, &restart))
		arch_in_syscall(&regs, (long)restart.nr, -EINTR);
	ret = arch_get_fpu(frozen->tid, d->arena, &fpu, err);
	if (ret)
		return ret;
	arch_core_encode(thread->core, &regs, &fpu, d->arena);
	if (thread != &d->task->threads[0]) {
		tcore->has_blk_sigset = true;
		tcore->blk_sigset = frozen->sigmask;
	}
	if (restart.block)
		put_restart(d, tcore, &restart);
	return 0;
}

static int check_restart(const RestartEntry *e, pid_t tid, struct err *err)
{
	switch (e->nr) {
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_futex:
	case SYS_poll:
		break;
	default:
		return err_image(err, "thread %d: system call %u has no remaining time to go on with", tid, e->nr);
	}
	return e->n_args == 6 ? 0 : err_image(err, "thread %d: a system call with %zu arguments", tid, e->n_args);
}

/* Registers, mask and restart come with the frame of the plan (restore/build.c); what a restart names is checked
 * here. */
static int plan_thread_core(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core;

	return tcore->restart ? check_restart(tcore->restart, thread->tid, err) : 0;
}

const struct state_kind thread_core_kind = {
	.name = "registers",
	.scope = SCOPE_THREAD,
	.dump = dump_thread_core,
	.plan = plan_thread_core,
};
