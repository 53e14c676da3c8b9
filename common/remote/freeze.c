/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing and thawing a process with ptrace. PTRACE_SEIZE changes nothing in the target, and a tracer that dies lets
 * its tracees go on with the registers they have: that is what makes a dump safe against its own death.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/feature/feature.h"
#include "common/proc/proc.h"
#include "common/remote/remote.h"
#include "common/remote/wait.h"

#define PF_KTHREAD 0x00200000
/* Most answers take a few microseconds: less than going to sleep and being woken. */
#define LOOKS_BEFORE_SLEEP 40
/* A process that makes threads faster than we stop them is stopped by the first pass that finds none. */
#define FREEZE_PASSES 1000

struct pass {
	size_t *cap;
	uint64_t deadline_ns; /* 0 = none */
};

/* Everything that makes a target unfit, told before it is touched. */
static int check_target(pid_t pid, int proc_fd, const struct proc_stat *st, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct proc_status status;
	int ret;

	if (pid == getpid())
		return err_refuse(err, "this is the dumper itself");
	if (pid == 1)
		return err_refuse(err, "this is init of the dumper's own pid namespace");
	if (st->flags & PF_KTHREAD)
		return err_refuse(err, "this is a kernel thread");
	if (st->state == 'Z' || st->state == 'X')
		return err_refuse(err, "this task is dead already (state %c)", st->state);
	ret = proc_status(proc_fd, "status", arena, &status, err);
	if (ret)
		return ret;
	if (status.tgid != pid)
		return err_hint(err, err_refuse(err, "this is a thread of process %d", status.tgid), "use -t %d",
				status.tgid);
	if (status.tracer) {
		char comm[64] = "?";
		struct proc_stat tracer;
		struct err ignore = ERR_INIT;
		cleanup_fd int fd = -1;

		if (!proc_open(status.tracer, &fd, &ignore) && !proc_stat(fd, "stat", &tracer, &ignore))
			snprintf(comm, sizeof(comm), "%s", tracer.comm);
		return err_hint(err, err_refuse(err, "it is traced by pid %d (%s)", status.tracer, comm),
				"detach the tracer first");
	}
	return 0;
}

static int seize_error(struct err *err, pid_t tid)
{
	int errnum = errno;

	if (errnum == ENOSYS && feature_blame("ptrace_seize", errnum, err))
		return -errnum;
	errno = errnum;
	if (errno == EPERM)
		return err_hint(err, err_sys(err, "not allowed to trace thread %d", tid),
				"run as root, or with CAP_SYS_PTRACE (see also kernel.yama.ptrace_scope)");
	return err_sys(err, "cannot trace thread %d", tid);
}

/*
 * A leader that was killed says nothing to its tracer until all other threads are reaped (delay_group_leader() in
 * kernel/exit.c), and those may be ours to reap: waiting for it alone would be for ever.
 */
static bool is_corpse(pid_t tid)
{
	struct err ignore = ERR_INIT;
	struct proc_stat st;
	cleanup_fd int fd = -1;

	if (proc_open(tid, &fd, &ignore))
		return true;
	return proc_stat(fd, "stat", &st, &ignore) || st.state == 'Z' || st.state == 'X';
}

int wait_tracee(pid_t tid, uint64_t deadline_ns, int *status)
{
	int looks = 0;

	for (bool slept = false;;) {
		pid_t got = waitpid(tid, status, __WALL | WNOHANG);
		uint64_t now;
		sigset_t chld;

		if (!got && looks++ < LOOKS_BEFORE_SLEEP)
			continue;

		if (got == tid)
			return 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (slept && is_corpse(tid))
			return -ECHILD;
		now = now_ns();
		if (deadline_ns && now >= deadline_ns)
			return -ETIMEDOUT;
		/* A SIGCHLD may belong to another tracee, and several melt into one: look again after 1 ms at the
		 * latest. */
		uint64_t ns = deadline_ns ? MIN(deadline_ns - now, (uint64_t)1000000) : 1000000;
		struct timespec ts = { 0, (long)ns };

		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		sigtimedwait(&chld, NULL, &ts);
		slept = true;
	}
}

/* Whether signals wait that this thread would take now: then an EINTR is theirs. */
static bool deliverable(int proc_fd, const struct frozen_thread *t)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	struct proc_status s;
	char path[64];

	snprintf(path, sizeof(path), "task/%d/status", t->tid);
	return proc_status(proc_fd, path, arena, &s, &ignore) || ((s.sig_pnd | s.shd_pnd) & ~t->sigmask);
}

/*
 * Reads what the thread was doing. epoll_wait() and its like give up with EINTR when a stop comes; they are set to be
 * repeated at once, so that the program never sees it, however the freeze ends.
 */
static int look(int proc_fd, struct frozen_thread *t, struct err *err)
{
	int ret = arch_get_regs(t->tid, &t->regs);

	if (ret == -ESRCH)
		return 0;
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read the registers of thread %d", t->tid);
	if (ptrace(PTRACE_GETSIGMASK, t->tid, (void *)sizeof(t->sigmask), &t->sigmask) < 0)
		return err_sys(err, "cannot read the signal mask of thread %d", t->tid);
	if (arch_spurious_eintr(&t->regs) && !deliverable(proc_fd, t)) {
		arch_resume_regs(&t->regs, false);
		ret = arch_set_regs(t->tid, &t->regs);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot write the registers of thread %d", t->tid);
	}
	return 1;
}

/* Brings a seized and interrupted thread to its stop. 1 = stopped, 0 = it is gone, or -errno. */
static int settle(int proc_fd, struct frozen_thread *t, uint64_t deadline_ns, struct err *err)
{
	for (;;) {
		int status, ret = wait_tracee(t->tid, deadline_ns, &status);

		if (ret == -ETIMEDOUT)
			return err_hint(err, err_set(err, ERR_FAILED, ETIMEDOUT, "thread %d did not stop", t->tid),
					"it may be in uninterruptible sleep; try a longer --timeout");
		if (ret == -ECHILD)
			return 0;
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot wait for thread %d", t->tid);
		if (!WIFSTOPPED(status))
			return 0;
		if (status >> 16 == PTRACE_EVENT_STOP) {
			t->stop_signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
			return look(proc_fd, t, err);
		}
		/* A signal came in between: it takes its course, and the stop we asked for follows right after. */
		if (ptrace(PTRACE_CONT, t->tid, NULL, (long)(status >> 16 ? 0 : WSTOPSIG(status))) < 0 &&
		    errno != ESRCH)
			return err_sys(err, "cannot pass a signal on to thread %d", t->tid);
	}
}

/* Whether tid was frozen by an earlier pass: one of the first n. */
static bool known(const struct freeze *fz, size_t n, pid_t tid, size_t *hint)
{
	/* The kernel lists threads in the same order every time: the next one is nearly always where we look first. */
	if (*hint < n && fz->threads[*hint].tid == tid) {
		(*hint)++;
		return true;
	}
	for (size_t i = 0; i < n; i++)
		if (fz->threads[i].tid == tid) {
			*hint = i + 1;
			return true;
		}
	return false;
}

/* One pass over task/: seizes and interrupts all that are new, then waits for them. Returns how many were new, or
 * -errno. */
static int pass(struct freeze *fz, int proc_fd, const struct pass *p, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	size_t n = 0, first = fz->nthreads, hint = 0, kept = first;
	int *tids = NULL, ret;

	ret = proc_numbers(proc_fd, "task", arena, &tids, &n, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++) {
		if (known(fz, first, tids[i], &hint))
			continue;
		if (ptrace(PTRACE_SEIZE, tids[i], NULL, NULL) < 0) {
			if (errno == ESRCH)
				continue; /* ended meanwhile */
			if (errno == EPERM) {
				/* An exiting thread is refused with EPERM as well; it is not in the next pass. */
				char path[32];
				struct proc_stat st;
				struct err ignore = ERR_INIT;

				snprintf(path, sizeof(path), "task/%d/stat", tids[i]);
				errno = EPERM;
				if (proc_stat(proc_fd, path, &st, &ignore) || st.state == 'Z' || st.state == 'X')
					continue;
				errno = EPERM;
			}
			return seize_error(err, tids[i]);
		}
		array_reserve(&fz->threads, p->cap, fz->nthreads, sizeof(*fz->threads));
		fz->threads[fz->nthreads++] = (struct frozen_thread){ .tid = tids[i] };
		if (ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL) < 0 && errno != ESRCH)
			return err_sys(err, "cannot stop thread %d", tids[i]);
		if (!fz->frozen_ns)
			fz->frozen_ns = now_ns();
	}
	n = fz->nthreads - first;
	for (size_t i = first; i < fz->nthreads; i++) {
		ret = settle(proc_fd, &fz->threads[i], p->deadline_ns, err);
		if (ret < 0)
			return ret;
		if (ret)
			fz->threads[kept++] = fz->threads[i];
	}
	fz->nthreads = kept;
	return (int)n;
}

static int freeze_all(struct freeze *fz, int proc_fd, const struct pass *p, struct err *err)
{
	struct proc_stat st;
	int ret;

	for (int i = 0; i < FREEZE_PASSES; i++) {
		ret = pass(fz, proc_fd, p, err);
		if (ret < 0)
			return ret;
		if (ret > 0)
			continue;
		ret = proc_stat(proc_fd, "stat", &st, err);
		if (ret)
			return ret;
		/* /proc/PID was opened before: were the pid used anew, it would give ESRCH. The leader must still live.
		 */
		if (!fz->nthreads || st.state == 'Z' || st.state == 'X' || fz->threads[0].tid != fz->pid)
			return err_refuse(err, "its first thread has ended while others live on");
		return 0;
	}
	return err_set(err, ERR_FAILED, 0, "it makes new threads faster than they can be stopped");
}

int freeze_process(pid_t pid, unsigned timeout_ms, const struct log *log, struct freeze *fz, struct err *err)
{
	size_t cap = 0;
	struct pass p = { &cap, timeout_ms ? now_ns() + timeout_ms * 1000000ull : 0 };
	cleanup_fd int proc_fd = -1;
	struct proc_stat st;
	sigset_t chld;
	int ret;

	*fz = (struct freeze){ .pid = pid, .mem_fd = -1 };
	ret = proc_open(pid, &proc_fd, err);
	if (ret)
		return ret;
	ret = proc_stat(proc_fd, "stat", &st, err);
	if (ret)
		return err_task(err, pid, NULL, ret);
	ret = check_target(pid, proc_fd, &st, err);
	if (ret)
		return err_task(err, pid, st.comm, ret);
	fz->start_time = st.start_time;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL); /* so that wait_tracee() can sleep on it */
	ret = freeze_all(fz, proc_fd, &p, err);
	if (!ret) {
		fz->mem_fd = openat(proc_fd, "mem", O_RDWR | O_CLOEXEC);
		if (fz->mem_fd < 0)
			ret = err_sys(err, "cannot open its memory");
	}
	if (ret) {
		freeze_end(fz, THAW_RUN);
		return err_task(err, pid, st.comm, ret);
	}
	log_info(log, "pid %d (%s): %zu threads frozen", pid, st.comm, fz->nthreads);
	return 0;
}

void freeze_end(struct freeze *fz, enum thaw how)
{
	int status;

	if (how == THAW_KILL && fz->nthreads) {
		kill(fz->pid, SIGKILL);
		/* The leader reports last; others may be gone before we ask. */
		for (size_t i = fz->nthreads; i-- > 0;)
			while (waitpid(fz->threads[i].tid, &status, __WALL) > 0 && !WIFEXITED(status) &&
			       !WIFSIGNALED(status))
				;
	} else {
		/* The signal waits until the threads run again, and stops them before their first instruction. */
		if (how == THAW_STOP && fz->nthreads)
			kill(fz->pid, SIGSTOP);
		for (size_t i = fz->nthreads; i-- > 0;)
			ptrace(PTRACE_DETACH, fz->threads[i].tid, NULL, NULL);
	}
	free(fz->threads);
	if (fz->mem_fd >= 0)
		close(fz->mem_fd);
	*fz = (struct freeze){ .mem_fd = -1 };
}
