/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What comes when all threads are made and stopped: calls that the tracer makes a thread execute, one by one, because
 * afterwards the thread could not execute the agent's own (it stands below its seccomp filters, which only a tracer can
 * suspend).
 */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "common/remote/wait.h"
#include "common/restore/inner.h"

static bool has_late(const struct plan_task *pt)
{
	for (size_t k = 0; k < pt->nthreads; k++)
		if (pt->threads[k].late)
			return true;
	return false;
}

static size_t size_of(const struct plan_thread *pth)
{
	return pth->late ? (program_size(pth->late) + 63) & ~(size_t)63 : 0;
}

size_t late_size(const struct plan_task *pt)
{
	size_t n = 0;

	for (size_t k = 0; k < pt->nthreads; k++)
		n += size_of(&pt->threads[k]);
	return n;
}

void late_link(struct birth *b, const struct slots *slots)
{
	size_t at = b->late_off;

	for (size_t k = 0; k < b->pt->nthreads; k++) {
		const struct plan_thread *pth = &b->pt->threads[k];
		struct program_link l = {
			.base = b->pt->hole + at,
			.epilogue_phase = INT32_MAX,
			.slots = slots->fd,
			.nslots = slots->n,
		};

		if (pth->late)
			program_link(pth->late, &l, b->all->at + at);
		at += size_of(pth);
	}
}

/* Both stops of a call. */
static int through_call(pid_t tid, struct err *err)
{
	for (int stop = 0; stop < 2; stop++) {
		int status, ret;

		if (ptrace(PTRACE_SYSCALL, tid, 0, 0))
			return err_sys(err, "PTRACE_SYSCALL");
		ret = wait_tracee(tid, 0, &status);
		if (ret == -ECHILD || (!ret && !WIFSTOPPED(status)))
			return err_set(err, ERR_FAILED, 0, "the thread was killed");
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "waiting for the thread");
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			return err_set(err, ERR_FAILED, 0, "signal %d came in between", WSTOPSIG(status));
	}
	return 0;
}

static int execute(const struct birth *b, pid_t tid, struct agent_step *s, struct err *err)
{
	struct arch_regs regs;
	int ret = arch_get_regs(tid, &regs);
	uint64_t arg[6];

	for (int k = 0; k < 6; k++) { /* results of earlier steps are where the task sees them */
		arg[k] = s->arg[k];
		if (s->expect & STEP_INDIRECT(k))
			memcpy(&arg[k], b->all->at + (s->arg[k] - b->pt->hole), sizeof(arg[k]));
	}
	if (!ret) {
		arch_syscall_regs(&regs, arch_agent_syscall(b->pt->hole), (long)s->nr, arg);
		ret = arch_set_regs(tid, &regs);
	}
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "setting registers");
	ret = through_call(tid, err);
	if (ret)
		return ret;
	ret = arch_get_regs(tid, &regs);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "reading registers");
	s->result = arch_syscall_result(&regs);
	return 0;
}

static int run_thread(struct birth *b, const struct plan_thread *pth, size_t at, struct err *err)
{
	struct agent_header *h = (void *)(b->all->at + at);
	struct agent_step *s = (void *)(h + 1);
	int ret = 0;

	for (size_t i = 0; !ret && i < program_steps(pth->late); i++) {
		ret = execute(b, pth->tid, &s[i], err);
		if (ret || program_met((enum step_expect)(s[i].expect & 0xff), s[i].want, s[i].result))
			continue;
		program_absorb(pth->late, b->all->at + at);
		ret = step_error(b->all->plan, pth->late, program_at(pth->late, i), err);
	}
	return ret;
}

int late_run(struct birth *b, struct err *err)
{
	const struct plan_task *pt = b->pt;
	size_t at = b->late_off;
	int ret = 0;

	if (!has_late(pt))
		return 0;
	/* All of them: the leader's filters may come over all. */
	for (size_t k = 0; pt->seccomp && k < pt->nthreads; k++)
		if (ptrace(PTRACE_SETOPTIONS, pt->threads[k].tid, 0,
			   PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP))
			return err_object(err,
					  err_hint(err, err_sys(err, "cannot suspend seccomp"),
						   "it takes CAP_SYS_ADMIN, and a cr-restore without a seccomp filter"),
					  "thread %d", pt->threads[k].tid);
	for (size_t k = 0; !ret && k < pt->nthreads; k++) {
		if (pt->threads[k].late)
			ret = run_thread(b, &pt->threads[k], at, err);
		if (ret)
			err_object(err, ret, "thread %d", pt->threads[k].tid);
		at += size_of(&pt->threads[k]);
	}
	return ret;
}
