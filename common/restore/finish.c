/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last act. All threads sleep in the agent, and everything is in place but what only a tracer can give: registers,
 * floating point state, signal masks, the inside of an interrupted call, and the removal of the agent's own memory.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/fault.h"
#include "common/remote/wait.h"
#include "common/restore/commit.h"
#include "common/restore/inner.h"

#define EVENT_STOP_OF(status) ((status) >> 16 == PTRACE_EVENT_STOP)

/* Waits for the next stop of a traced thread. Somebody may kill the task at any time: that is noticed here. */
static int wait_stop(pid_t tid, int *status, struct err *err)
{
	int ret = wait_tracee(tid, 0, status);

	if (ret == -ECHILD || (!ret && !WIFSTOPPED(*status)))
		return err_object(err, err_set(err, ERR_FAILED, 0, "the thread was killed"), "thread %d", tid);
	if (ret)
		ret = err_object(err, err_set(err, ERR_FAILED, -ret, "waiting for the thread"), "thread %d", tid);
	return ret;
}

static int thread_sys(pid_t tid, const char *what, struct err *err)
{
	return err_object(err, err_sys(err, "%s", what), "thread %d", tid);
}

static int interrupt_all(struct birth *b, struct err *err)
{
	const struct plan_task *pt = b->pt;

	for (size_t k = 0; k < pt->nthreads; k++) {
		pid_t tid = pt->threads[k].tid;

		if (k >= b->seized) {
			if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD))
				return thread_sys(tid, "PTRACE_SEIZE", err);
			b->seized = k + 1;
		}
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0))
			return thread_sys(tid, "PTRACE_INTERRUPT", err);
	}
	return 0;
}

static int stop_all(struct birth *b, struct err *err)
{
	const struct plan_task *pt = b->pt;
	int status, ret;

	for (size_t k = 0; k < pt->nthreads; k++) {
		ret = wait_stop(pt->threads[k].tid, &status, err);
		if (ret)
			return ret;
		if (!EVENT_STOP_OF(status))
			return err_object(err,
					  err_set(err, ERR_FAILED, 0, "signal %d came in between", WSTOPSIG(status)),
					  "thread %d", pt->threads[k].tid);
	}
	return 0;
}

/* ---- calls with remaining time ---- */

/* Arguments for being inside the call again: the relative time that was left goes to the thread's scratch memory. All
 * else is the task's own, which is in place. What ppoll, clock_nanosleep(TIMER_ABSTIME) and the like need is no
 * business of ours: the kernel restarts those with their arguments. */
static void restart_args(struct birth *b, size_t k, uint64_t arg[6])
{
	const struct plan_thread *pth = &b->pt->threads[k];
	size_t off = b->scratch_off + 16 * k;
	int64_t ts[2] = { (int64_t)(pth->restart_ns / 1000000000), (int64_t)(pth->restart_ns % 1000000000) };

	memcpy(arg, pth->restart.arg, 6 * sizeof(*arg));
	if (pth->restart_ns == UINT64_MAX)
		return;
	memcpy(b->all->at + off, ts, sizeof(ts));
	switch (pth->restart.nr) {
	case SYS_nanosleep:
		arg[0] = b->pt->hole + off;
		break;
	case SYS_clock_nanosleep:
		arg[2] = b->pt->hole + off;
		break;
	case SYS_futex:
		if (arg[3] && (arg[1] & 0x7f) == 0) /* FUTEX_WAIT: relative; FUTEX_WAIT_BITSET is absolute */
			arg[3] = b->pt->hole + off;
		break;
#ifdef SYS_poll
	case SYS_poll:
		arg[2] = (pth->restart_ns + 999999) / 1000000;
		break;
#endif
	default:
		break;
	}
}

/*
 * Enters the call and leaves it at once: with an interrupt pending when the call begins, it does not sleep but sets up
 * its restart block and returns -ERESTART_RESTARTBLOCK, which the thread, let go with that in its registers, acts on.
 */
static int enter_call(struct birth *b, size_t k, struct err *err)
{
	pid_t tid = b->pt->threads[k].tid;
	struct arch_regs regs;
	uint64_t arg[6];
	int ret;

	restart_args(b, k, arg);
	ret = arch_get_regs(tid, &regs);
	if (!ret) {
		arch_syscall_regs(&regs, arch_agent_syscall(b->pt->hole), (long)b->pt->threads[k].restart.nr, arg);
		ret = arch_set_regs(tid, &regs);
	}
	if (ret)
		return err_object(err, err_set(err, ERR_FAILED, -ret, "setting registers"), "thread %d", tid);
	if (ptrace(PTRACE_SYSCALL, tid, 0, 0))
		return thread_sys(tid, "PTRACE_SYSCALL", err);
	return 0;
}

static int restart_calls(struct birth *b, struct arch_regs *after, struct err *err)
{
	const struct plan_task *pt = b->pt;
	int status, ret;

	for (size_t k = 0; k < pt->nthreads; k++)
		if (pt->threads[k].restart.block && (ret = enter_call(b, k, err)))
			return ret;
	for (size_t k = 0; k < pt->nthreads; k++) {
		pid_t tid = pt->threads[k].tid;

		if (!pt->threads[k].restart.block)
			continue;
		ret = wait_stop(tid, &status, err);
		if (ret)
			return ret;
		if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) || ptrace(PTRACE_CONT, tid, 0, 0))
			return thread_sys(tid, "PTRACE_CONT", err);
	}
	for (size_t k = 0; k < pt->nthreads; k++) {
		if (!pt->threads[k].restart.block)
			continue;
		ret = wait_stop(pt->threads[k].tid, &status, err);
		if (!ret && !EVENT_STOP_OF(status))
			ret = err_object(err,
					 err_set(err, ERR_FAILED, 0, "signal %d came in between", WSTOPSIG(status)),
					 "thread %d", pt->threads[k].tid);
		if (!ret && (ret = arch_get_regs(pt->threads[k].tid, &after[k])))
			ret = err_set(err, ERR_FAILED, -ret, "reading registers");
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- final state ---- */

/* Does a system call instruction stand there? Most threads of a task sleep in the same place: it is read once for those in a row. */
static bool calls_at(struct birth *b, pid_t tid, uint64_t ip)
{
	union { long word; unsigned char code[sizeof(long)]; } at;

	if (b->call_known && b->call_at == ip)
		return b->call_is;
	errno = 0;
	at.word = ptrace(PTRACE_PEEKTEXT, tid, (void *)ip, 0);
	b->call_known = true;
	b->call_at = ip;
	b->call_is = !errno && arch_find_syscall(at.code, ARCH_SYSCALL_LEN) == 0;
	return b->call_is;
}

/* A signal that came while the thread was being made, from a child that runs already, say, is to end the call that it slept in. */
static void stay_in_call(struct birth *b, pid_t tid, struct arch_regs *regs)
{
	if (arch_sleeps_again(regs) && calls_at(b, tid, arch_ip(regs)))
		arch_enter_interrupted(regs);
}

static int set_thread(struct birth *b, size_t k, const struct arch_regs *after, struct err *err)
{
	const struct plan_thread *pth = &b->pt->threads[k];
	struct arch_regs regs = pth->regs;
	int ret;

	if (pth->restart.block) {
		arch_in_syscall(&regs, (long)pth->restart.nr, arch_syscall_result(after));
	} else {
		arch_in_syscall(&regs, -1, 0);
		stay_in_call(b, pth->tid, &regs);
	}
	ret = arch_set_regs(pth->tid, &regs);
	if (ret)
		return err_object(err, err_set(err, ERR_FAILED, -ret, "setting registers"), "thread %d", pth->tid);
	ret = birth_loads_fpu(b, k) ? 0 : arch_set_fpu(pth->tid, &pth->fpu, err);
	return ret ? err_object(err, ret, "thread %d", pth->tid) : 0;
}

static int set_mask(const struct plan_thread *pth, struct err *err)
{
	/* SIGKILL and SIGSTOP cannot be blocked: the kernel takes them out (kernel/ptrace.c). */
	if (ptrace(PTRACE_SETSIGMASK, pth->tid, (void *)8, &pth->sigmask))
		return thread_sys(pth->tid, "PTRACE_SETSIGMASK", err);
	return 0;
}

/*
 * The leader unmaps the agent: after that it can run nothing more, so it is held at the exit of the call. In three parts, so that
 * many leaders are on their way at the same time.
 */
static int unmap_begin(struct birth *b, struct err *err)
{
	const struct plan_task *pt = b->pt;
	uint64_t arg[6] = { pt->hole, b->all->len };
	struct arch_regs regs;
	int ret = arch_get_regs(pt->pid, &regs);

	if (!ret) {
		arch_syscall_regs(&regs, arch_agent_syscall(pt->hole), SYS_munmap, arg);
		ret = arch_set_regs(pt->pid, &regs);
	}
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "registers of the leader");
	return ptrace(PTRACE_SYSCALL, pt->pid, 0, 0) ? err_sys(err, "PTRACE_SYSCALL") : 0;
}

static int wait_call(const struct plan_task *pt, struct err *err)
{
	int status, ret = wait_stop(pt->pid, &status, err);

	if (!ret && WSTOPSIG(status) != (SIGTRAP | 0x80))
		ret = err_set(err, ERR_FAILED, 0, "signal %d came in between", WSTOPSIG(status));
	return ret;
}

static int unmap_enter(struct birth *b, struct err *err)
{
	int ret = wait_call(b->pt, err);

	return !ret && ptrace(PTRACE_SYSCALL, b->pt->pid, 0, 0) ? err_sys(err, "PTRACE_SYSCALL") : ret;
}

static int unmap_end(struct birth *b, struct err *err)
{
	struct arch_regs regs;
	int ret = wait_call(b->pt, err);

	if (ret)
		return ret;
	ret = arch_get_regs(b->pt->pid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "registers of the leader");
	if (arch_syscall_result(&regs))
		return err_set(err, ERR_FAILED, (int)-arch_syscall_result(&regs), "munmap of the agent");
	return 0;
}

/*
 * Brings the whole group to a stop before anybody runs: the leader alone takes the signal while all are still traced,
 * and the others join (stop_others()). A signal other than SIGSTOP may be ignored (orphaned group, handler):
 * the pending interrupt catches that, and SIGSTOP takes its place.
 */
static int stop_group(const struct plan_task *pt, int sig, struct err *err)
{
	int status, ret;

	for (;;) {
		uint64_t mask = sig == SIGSTOP ? ~0ull : ~(1ull << (sig - 1));

		if (ptrace(PTRACE_SETSIGMASK, pt->pid, (void *)8, &mask))
			return err_sys(err, "PTRACE_SETSIGMASK");
		if (syscall(SYS_tgkill, pt->pid, pt->pid, SIGSTOP))
			return err_sys(err, "tgkill");
		if (ptrace(PTRACE_CONT, pt->pid, 0, 0))
			return err_sys(err, "PTRACE_CONT");
		ret = wait_stop(pt->pid, &status, err);
		if (ret)
			return ret;
		if (EVENT_STOP_OF(status) || WSTOPSIG(status) != SIGSTOP)
			return err_set(err, ERR_FAILED, 0, "signal %d came in between", WSTOPSIG(status));
		if (ptrace(PTRACE_INTERRUPT, pt->pid, 0, 0) || ptrace(PTRACE_CONT, pt->pid, 0, (void *)(long)sig))
			return err_sys(err, "PTRACE_CONT with the stop signal");
		ret = wait_stop(pt->pid, &status, err);
		if (ret)
			return ret;
		if (EVENT_STOP_OF(status) && WSTOPSIG(status) == sig)
			return 0;
		if (sig == SIGSTOP)
			return err_set(err, ERR_FAILED, 0, "the task does not stop");
		sig = SIGSTOP;
	}
}

/*
 * The other threads take their part in the stop while they are traced: only then is it whole, and the parent told, at a time
 * when the parent can be made to forget what it knows already. A stop comes before anything else that waits for a thread
 * (get_signal() in kernel/signal.c), so none executes an instruction.
 */
static int stop_others(const struct plan_task *pt, struct err *err)
{
	for (size_t k = 1; k < pt->nthreads; k++)
		if (ptrace(PTRACE_CONT, pt->threads[k].tid, 0, 0))
			return thread_sys(pt->threads[k].tid, "PTRACE_CONT", err);
	for (size_t k = 1; k < pt->nthreads; k++) {
		pid_t tid = pt->threads[k].tid;
		int status, ret = wait_stop(tid, &status, err);

		if (ret)
			return ret;
		if (!EVENT_STOP_OF(status) || WSTOPSIG(status) == SIGTRAP)
			return err_object(err, err_set(err, ERR_FAILED, 0, "signal %d came in between", WSTOPSIG(status)),
					  "thread %d", tid);
	}
	return 0;
}

/* All that the agent is needed for, and the other threads. */
static int finish_threads(struct birth *b, struct err *err)
{
	const struct plan_task *pt = b->pt;
	cleanup_free struct arch_regs *after = xzalloc(pt->nthreads * sizeof(*after));
	int ret = stop_all(b, err);

	if (!ret)
		ret = late_run(b, err);
	if (!ret)
		ret = restart_calls(b, after, err);
	for (size_t k = 1; !ret && k < pt->nthreads; k++) {
		ret = set_thread(b, k, &after[k], err);
		if (!ret)
			ret = set_mask(&pt->threads[k], err);
	}
	b->after = after[0];
	return ret;
}

static int finish_leader(struct birth *b, int stop, struct err *err)
{
	const struct plan_task *pt = b->pt;
	int ret = set_thread(b, 0, &b->after, err);

	if (!ret && stop)
		ret = stop_group(pt, stop, err);
	if (!ret && stop)
		ret = stop_others(pt, err);
	if (!ret)
		ret = set_mask(&pt->threads[0], err);
	return ret;
}

/*
 * Whoever goes on may end at once, and all its threads with it: also those that we hold still, of which nobody hears before we have
 * taken notice (wait(2) with __WALL; kernel/exit.c, delay_group_leader() and wait_task_zombie()). The end of our own child is left
 * to those who wait for it.
 */
static int let_go(const struct plan_task *pt, bool ours, struct err *err)
{
	bool ended = false;

	for (size_t k = 0; k < pt->nthreads; k++) {
		if (!ptrace(PTRACE_DETACH, pt->threads[k].tid, 0, 0))
			continue;
		if (errno != ESRCH)
			return thread_sys(pt->threads[k].tid, "PTRACE_DETACH", err);
		ended = true;
	}
	for (size_t k = pt->nthreads; ended && k-- > (ours ? 1 : 0);)
		/* Of those that were let go there is nothing to wait for: ECHILD. */
		while (waitpid(pt->threads[k].tid, NULL, __WALL) < 0 && errno == EINTR)
			;
	return 0;
}

/* One act for every live task, and the task's name on an error. */
#define FOR_LIVE(b, i, ret) \
	for (size_t i = 0; !(ret) && i < (b)->plan->ntasks; i++) \
		if ((b)->plan->tasks[i].kind == TASK_IS_LIVE)

static int with_task(const struct births *b, size_t i, int ret, struct err *err)
{
	return ret ? err_task(err, b->plan->tasks[i].pid, b->plan->tasks[i].comm, ret) : 0;
}

/*
 * Everything but letting go: children before their parents, who may have to know that they are stopped, and who lives in the memory
 * of another before that one. All the others unmap the agent together.
 */
static int finish_all(struct births *b, bool leave_stopped, struct err *err)
{
	cleanup_free bool *unmaps = xzalloc(b->plan->ntasks);
	int ret = 0;

	for (size_t i = b->plan->ntasks; !ret && i-- > 0;) {
		const struct plan_task *pt = &b->plan->tasks[i];
		int stop = pt->stop_signal ? pt->stop_signal : leave_stopped ? SIGSTOP : 0;

		if (pt->kind != TASK_IS_LIVE)
			continue;
		ret = finish_threads(&b->v[i], err);
		if (!ret && !pt->vm_of)
			ret = unmap_begin(&b->v[i], err);
		unmaps[i] = !pt->vm_of && !stop;
		if (!ret && !pt->vm_of && stop)
			ret = unmap_enter(&b->v[i], err);
		if (!ret && !pt->vm_of && stop)
			ret = unmap_end(&b->v[i], err);
		if (!ret && !unmaps[i])
			ret = finish_leader(&b->v[i], stop, err);
		ret = with_task(b, i, ret, err);
	}
	for (size_t i = b->plan->ntasks; !ret && i-- > 0;)
		if (unmaps[i])
			ret = with_task(b, i, unmap_enter(&b->v[i], err), err);
	for (size_t i = b->plan->ntasks; !ret && i-- > 0;) {
		if (!unmaps[i])
			continue;
		ret = unmap_end(&b->v[i], err);
		if (!ret)
			ret = finish_leader(&b->v[i], 0, err);
		ret = with_task(b, i, ret, err);
	}
	return ret;
}

static int finish_tree(struct births *b, bool leave_stopped, struct err *err)
{
	struct commit commit = { .fd = -1 };
	int ret = 0, fail;

	FOR_LIVE(b, i, ret)
		ret = with_task(b, i, interrupt_all(&b->v[i], err), err);
	if (!ret)
		ret = finish_all(b, leave_stopped, err);
	fail = ret ? 0 : fault("restore:before-detach");
	if (fail)
		ret = err_set(err, ERR_FAILED, fail, "fault point restore:before-detach");
	if (!ret)
		ret = commit_open(&commit, b, err);
	if (!ret)
		ret = commit_tree(&commit, b, err);
	if (!ret && b->committed)
		b->committed(b->committed_arg);
	if (!ret && b->plan->ntasks > 1)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	/* The parents last: whoever waits for a child finds it as it was. */
	for (size_t i = b->plan->ntasks; !ret && i-- > 0;)
		if (b->plan->tasks[i].kind == TASK_IS_LIVE)
			ret = with_task(b, i, let_go(&b->plan->tasks[i], i == 0, err), err);
	commit_close(&commit);
	return ret;
}

int births_finish(struct births *b, bool leave_stopped, struct err *err)
{
	sigset_t chld, before;
	int ret;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &before); /* wait_tracee() sleeps on it */
	ret = finish_tree(b, leave_stopped, err);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return ret;
}
