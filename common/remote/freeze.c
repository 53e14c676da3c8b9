/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing and thawing a process with ptrace. PTRACE_SEIZE changes nothing in the target, and a tracer that dies lets
 * its tracees go on with the registers they have: that is what makes a dump safe against its own death.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/feature/feature.h"
#include "common/proc/proc.h"
#include "common/remote/burial.h"
#include "common/remote/freezer.h"
#include "common/remote/frozen.h"
#include "common/remote/wait.h"

#define PF_KTHREAD 0x00200000
#define ASK_AGAIN_NS 20000000u
#define SEIZES 10 /* that are refused before we believe it */
#define SEIZED_BEFORE 2
#define CLONE_VFORK_FLAG 0x4000ull
#define REAPED_BY_TWO_FROM 64

static int refuse_traced(pid_t by, struct err *err)
{
	char comm[64] = "?";
	struct proc_stat tracer;
	struct err ignore = ERR_INIT;
	cleanup_fd int fd = -1;

	if (!proc_open(by, &fd, &ignore) && !proc_stat(fd, "stat", &tracer, &ignore))
		snprintf(comm, sizeof(comm), "%s", tracer.comm);
	return err_hint(err, err_refuse(err, "it is traced by pid %d (%s)", by, comm), "detach the tracer first");
}

int freeze_check(pid_t pid, int proc_fd, const struct proc_stat *st, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct proc_stat now = *st;
	struct proc_status status;
	int ret;

	/* Perhaps its first thread is gone in this instant, and another takes its place. */
	for (int i = 0; i < SEIZES && (now.state == 'X' || (now.state == 'Z' && now.num_threads <= 1)); i++) {
		sched_yield();
		ret = proc_stat(proc_fd, "stat", &now, err);
		if (ret)
			return ret;
	}
	st = &now;
	if (pid == getpid())
		return err_refuse(err, "this is the dumper itself");
	if (pid == 1)
		return err_refuse(err, "this is init of the dumper's own pid namespace");
	if (st->flags & PF_KTHREAD)
		return err_refuse(err, "this is a kernel thread");
	if ((st->state == 'Z' && st->num_threads <= 1) || st->state == 'X')
		return err_refuse(err, "this task is dead already (state %c)", st->state);
	ret = proc_status(proc_fd, "status", arena, &status, err);
	if (ret)
		return ret;
	if (status.tgid != pid)
		return err_hint(err, err_refuse(err, "this is a thread of process %d", status.tgid), "use -t %d",
				status.tgid);
	return status.tracer ? refuse_traced(status.tracer, err) : freezer_check_file(proc_fd, "cgroup", err);
}

/* Whether it is in a stop of ours: only then it tells its mask. */
static bool stands(pid_t tid)
{
	uint64_t mask;

	return ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(mask), &mask) == 0;
}

/* Why a thread cannot be seized; 0 when it is on its way out, which is refused with EPERM as well. */
static int seize_error(struct err *err, int proc_fd, pid_t tid)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	struct proc_status st;
	int errnum = errno;
	char path[32];

	if (errnum == ESRCH)
		return 0;
	if (errnum == ENOSYS && feature_blame("ptrace_seize", errnum, err))
		return -errnum;
	if (errnum == EPERM) {
		snprintf(path, sizeof(path), "task/%d/status", tid);
		if (proc_status(proc_fd, path, arena, &st, &ignore) || st.state == 'Z' || st.state == 'X')
			return 0;
		if (st.tracer == gettid())
			return SEIZED_BEFORE;
		if (st.tracer)
			return refuse_traced(st.tracer, err);
	}
	errno = errnum;
	if (errno == EPERM)
		return err_hint(err, err_sys(err, "not allowed to trace thread %d", tid),
				"run as root, or with CAP_SYS_PTRACE (see also kernel.yama.ptrace_scope)");
	return err_sys(err, "cannot trace thread %d", tid);
}

/*
 * execve(2) of a thread kills all others, in our stop or not; then it is the leader, and has the leader's number (de_thread() in
 * fs/exec.c). So the dead may be refused, and he who is found alive behind the refusal is another; and he may be ours already,
 * asked to stop under the number that he had. 1 = seized, 0 = it is on its way out.
 */
static int seize(int proc_fd, pid_t tid, struct err *err)
{
	for (int i = 1;; i++) {
		struct err why = ERR_INIT;

		if (!ptrace(PTRACE_SEIZE, tid, NULL, NULL))
			return 1;
		int ret = seize_error(&why, proc_fd, tid);
		if (ret == SEIZED_BEFORE)
			return ret;
		if (ret != -EPERM || i == SEIZES) {
			if (ret)
				*err = why;
			return ret;
		}
		sched_yield();
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
 * repeated at once, so that the program never sees it, however the freeze ends. 0: it is gone, at whatever moment.
 */
static int look(int proc_fd, struct frozen_thread *t, struct err *err)
{
	int ret = arch_get_regs(t->tid, &t->regs);

	if (ret == -ESRCH)
		return 0;
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read the registers of thread %d", t->tid);
	if (ptrace(PTRACE_GETSIGMASK, t->tid, (void *)sizeof(t->sigmask), &t->sigmask) < 0)
		return errno == ESRCH ? 0 : err_sys(err, "cannot read the signal mask of thread %d", t->tid);
	if (arch_spurious_eintr(&t->regs) && !deliverable(proc_fd, t)) {
		arch_keep_interrupted(&t->regs);
		ret = arch_set_regs(t->tid, &t->regs);
		if (ret == -ESRCH)
			return 0;
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot write the registers of thread %d", t->tid);
	}
	return 1;
}

/* Whether the thread is inside a call that waits for a child made with CLONE_VFORK. */
static bool in_vfork(int proc_fd, pid_t tid)
{
	struct err ignore = ERR_INIT;
	cleanup_free char *text = NULL;
	cleanup_fd int mem = -1;
	uint64_t nr, arg;
	char path[64];

	snprintf(path, sizeof(path), "task/%d/syscall", tid);
	if (proc_read(proc_fd, path, 4096, &text, &ignore))
		return false;
	/* "56 0x4100 0x0 ...": the number and the arguments */
	char *rest = text, *word = strsep(&rest, " ");

	if (parse_u64(word, 10, &nr))
		return false;
	word = strsep(&rest, " ");
	if (!word || strncmp(word, "0x", 2) || parse_u64(word + 2, 16, &arg))
		return false;
	if (nr == SYS_clone3) { /* struct clone_args begins with the flags */
		snprintf(path, sizeof(path), "task/%d/mem", tid);
		mem = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
		if (mem < 0 || arg > INT64_MAX || pread_full(mem, &arg, sizeof(arg), (off_t)arg))
			return false;
	}
	return nr == SYS_vfork || ((nr == SYS_clone || nr == SYS_clone3) && arg & CLONE_VFORK_FLAG);
}

/*
 * A thread that did not stop in time. Who waits for a child made with vfork(2) sleeps until that calls exec or exits, and no
 * tracer can wake it: nobody can read its registers, or ask anything in its name (wait_for_vfork_done() in kernel/fork.c
 * sleeps for a kill and nothing else). Children are frozen after their parents, so this one has had all the time to do it.
 */
static int timed_out(int proc_fd, pid_t tid, struct err *err)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "task/%d/cgroup", tid);
	ret = freezer_check_file(proc_fd, path, err);
	if (ret)
		return ret;
	if (in_vfork(proc_fd, tid))
		return err_hint(err, err_refuse(err, "thread %d waits for the child that it made with vfork, and cannot be stopped",
						tid),
				"it goes on when the child calls exec or exits: a longer --timeout waits for that");
	return err_hint(err, err_set(err, ERR_FAILED, ETIMEDOUT, "thread %d did not stop", tid),
			"it may be in uninterruptible sleep; try a longer --timeout");
}

/*
 * Brings a seized and interrupted thread to its stop. 1 = stopped, 0 = it is gone, or -errno. It is asked again from time to time:
 * while execve(2) gives a thread the leader's number, the first asking may have gone to the dead one (de_thread() in fs/exec.c).
 */
static int settle(int proc_fd, struct frozen_thread *t, uint64_t deadline_ns, struct err *err)
{
	for (;;) {
		uint64_t again = now_ns() + ASK_AGAIN_NS;
		int status, ret = wait_tracee(t->tid, deadline_ns ? MIN(again, deadline_ns) : again, &status);

		if (ret == -ETIMEDOUT && deadline_ns && now_ns() >= deadline_ns)
			return timed_out(proc_fd, t->tid, err);
		if (ret == -ETIMEDOUT) {
			ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL);
			continue;
		}
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

bool freeze_stands(const struct freeze *fz)
{
	return fz->settled && stands(fz->threads[0].tid);
}

/* When the first thread is not in our stop any more, somebody has called execve(2), or all have been killed. */
static bool drop_fallen(struct freeze *fz)
{
	size_t kept = 0;

	if (!fz->settled || freeze_stands(fz))
		return false;
	for (size_t i = 0; i < fz->nthreads; i++)
		if (i >= fz->settled || stands(fz->threads[i].tid))
			fz->threads[kept++] = fz->threads[i];
	fz->settled -= fz->nthreads - kept;
	fz->nthreads = kept;
	return true;
}

/*
 * EIO: dead and reaped by another's execve (kernel/ptrace.c, ptrace_request(): lock_task_sighand()); waiting for it will tell. Dead or
 * gone, it may have the leader's number now, being ours, and run on. To be asked twice changes nothing for who stands.
 */
static int interrupt(const struct freeze *fz, pid_t tid, struct err *err)
{
	if (!ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return 0;
	if (errno != ESRCH && errno != EIO)
		return err_sys(err, "cannot stop thread %d", tid);
	ptrace(PTRACE_INTERRUPT, fz->pid, NULL, NULL);
	return 0;
}

int freeze_seize(struct freeze *fz, int proc_fd, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	size_t n = 0, first = fz->nthreads, hint = 0;
	bool leader = false;
	int *tids = NULL, ret;

	ret = proc_numbers(proc_fd, "task", arena, &tids, &n, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++) {
		/* A list that was read while a thread took the leader's number has it twice: of the old one and of the new one. */
		if ((leader && tids[i] == fz->pid) || known(fz, first, tids[i], &hint))
			continue;
		leader |= tids[i] == fz->pid;
		ret = seize(proc_fd, tids[i], err);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		array_reserve(&fz->threads, &fz->cap, fz->nthreads, sizeof(*fz->threads));
		fz->threads[fz->nthreads++] = (struct frozen_thread){ .tid = tids[i] };
		if (n > 1 && fz->burial)
			burial_add(fz->burial, tids[i]);
		/* Seized before: perhaps not interrupted, because it got another number just then. */
		ret = ret == SEIZED_BEFORE && stands(tids[i]) ? 0 : interrupt(fz, tids[i], err);
		if (ret < 0)
			return ret;
		if (!fz->frozen_ns)
			fz->frozen_ns = now_ns();
	}
	if (fz->nthreads == first && drop_fallen(fz))
		return 1; /* the next pass will find out who is there now */
	return (int)(fz->nthreads - first);
}

/* Whether it stands where it stood when it was looked at: no stop of it has come since. */
static bool stands_still(pid_t tid)
{
	siginfo_t si = { 0 };

	return stands(tid) && !waitid(P_PID, (id_t)tid, &si, WSTOPPED | WNOHANG | WNOWAIT | __WALL) && !si.si_pid;
}

/*
 * Who vanished instead of stopping may have called execve(2), and be the leader now: on his way to the stop that we asked for, in it,
 * or running on, if he had changed his number when we asked.
 */
static int settle_again(struct freeze *fz, int proc_fd, uint64_t deadline_ns, struct err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < fz->nthreads; i++) {
		struct frozen_thread *t = &fz->threads[i];
		int ret = 1;

		if (!stands_still(t->tid)) {
			ret = stands(t->tid) ? 0 : interrupt(fz, t->tid, err);
			if (!ret)
				ret = settle(proc_fd, t, deadline_ns, err);
		}
		if (ret < 0)
			return ret;
		if (ret)
			fz->threads[kept++] = *t;
	}
	fz->nthreads = fz->settled = kept;
	return 0;
}

/* A thread that has become the leader may be found after threads that it made since. */
static void put_leader_first(struct freeze *fz)
{
	for (size_t i = 1; i < fz->nthreads; i++)
		if (fz->threads[i].tid == fz->pid) {
			struct frozen_thread leader = fz->threads[i];

			memmove(fz->threads + 1, fz->threads, i * sizeof(leader));
			fz->threads[0] = leader;
			return;
		}
}

int freeze_settle(struct freeze *fz, int proc_fd, uint64_t deadline_ns, struct err *err)
{
	size_t kept = fz->settled, n = fz->nthreads;
	int ret;

	for (size_t i = fz->settled; i < n; i++) {
		ret = settle(proc_fd, &fz->threads[i], deadline_ns, err);
		if (ret < 0)
			return ret;
		if (ret)
			fz->threads[kept++] = fz->threads[i];
	}
	fz->nthreads = fz->settled = kept;
	ret = kept == n ? 0 : settle_again(fz, proc_fd, deadline_ns, err);
	put_leader_first(fz);
	return ret;
}

void freeze_wait_begin(void)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL); /* so that wait_tracee() can sleep on it */
}

static int freeze_all(struct freeze *fz, int proc_fd, uint64_t deadline_ns, struct err *err)
{
	struct proc_stat st;
	int ret;

	for (int i = 0; i < FREEZE_PASSES; i++) {
		ret = freeze_seize(fz, proc_fd, err);
		if (ret > 0)
			ret = freeze_settle(fz, proc_fd, deadline_ns, err) ?: 1;
		if (ret < 0)
			return ret;
		if (ret > 0)
			continue;
		ret = proc_stat(proc_fd, "stat", &st, err);
		if (ret)
			return ret;
		/* /proc/PID was opened before: were the pid used anew, it would give ESRCH. The leader must still live.
		 */
		if (!fz->nthreads)
			return err_set(err, ERR_FAILED, ESRCH, "it has ended");
		return 0;
	}
	return err_set(err, ERR_FAILED, 0, "it makes new threads faster than they can be stopped");
}

int freeze_memory(struct freeze *fz, int proc_fd, struct err *err)
{
	if (fz->mem_fd >= 0)
		return 0;
	fz->mem_fd = openat(proc_fd, "mem", O_RDWR | O_CLOEXEC);
	return fz->mem_fd < 0 ? err_sys(err, "cannot open its memory") : 0;
}

int freeze_process(pid_t pid, unsigned timeout_ms, const struct log *log, struct freeze *fz, struct err *err)
{
	uint64_t deadline = timeout_ms ? now_ns() + timeout_ms * 1000000ull : 0;
	cleanup_fd int proc_fd = -1;
	struct proc_stat st;
	int ret;

	*fz = (struct freeze){ .pid = pid, .mem_fd = -1, .timeout_ms = timeout_ms };
	ret = proc_open(pid, &proc_fd, err);
	if (ret)
		return ret;
	ret = proc_stat(proc_fd, "stat", &st, err);
	if (ret)
		return err_task(err, pid, NULL, ret);
	ret = freeze_check(pid, proc_fd, &st, err);
	if (ret)
		return err_task(err, pid, st.comm, ret);
	fz->start_time = st.start_time;
	freeze_wait_begin();
	for (int i = 0; i < FREEZE_PASSES; i++) {
		ret = freeze_all(fz, proc_fd, deadline, err);
		if (!ret)
			ret = freeze_dead_leader(fz, &proc_fd, err);
		if (ret <= 0)
			break;
	}
	if (ret > 0)
		ret = err_set(err, ERR_FAILED, 0, "its first thread could not be stopped");
	if (!ret)
		ret = freeze_memory(fz, proc_fd, err);
	if (ret) {
		freeze_end(fz, THAW_RUN);
		return err_task(err, pid, st.comm, ret);
	}
	log_info(log, "pid %d (%s): %zu threads frozen", pid, st.comm, fz->nthreads);
	return 0;
}

/* Threads that have been killed, in the order in which the kernel wakes them: so that one is reaped while the next ones die. */
struct dying { const struct freeze *fz; size_t from, to; };

static int reap_some(void *arg, struct err *err)
{
	const struct dying *d = arg;
	int status;

	/* Others may be gone before we ask. */
	for (size_t i = d->from; i < d->to; i++)
		while (!d->fz->threads[i].dead && waitpid(d->fz->threads[i].tid, &status, __WALL) > 0 && !WIFEXITED(status) &&
		       !WIFSIGNALED(status))
			;
	return 0;
}

/*
 * Who reaps a thread gives up all that the kernel has of it, which takes longer than its death when its /proc files were read. Of many
 * threads two of ours take a half each: any thread may wait for a tracee of another (is_effectively_child() in kernel/exit.c).
 */
static void reap(const struct freeze *fz)
{
	size_t half = fz->nthreads < REAPED_BY_TWO_FROM ? fz->nthreads : fz->nthreads / 2;
	struct dying leader = { fz, 0, MIN(fz->nthreads, (size_t)1) }, mine = { fz, 1, half }, other = { fz, half, fz->nthreads };
	struct err ignore = ERR_INIT;
	struct aside beside = { 0 };

	if (half < fz->nthreads)
		aside_start(&beside, reap_some, &other);
	reap_some(&mine, &ignore);
	aside_join(&beside, &ignore);
	reap_some(&leader, &ignore); /* who reports when all others are gone */
}

static void release(struct freeze *fz)
{
	free(fz->threads);
	if (fz->mem_fd >= 0)
		close(fz->mem_fd);
	*fz = (struct freeze){ .mem_fd = -1 };
}

void freeze_end_all(struct freeze *const *v, size_t n, enum thaw how)
{
	/*
	 * All signals first. Nobody runs before the last of them is sent: a dead child's parent cannot act on it, and
	 * whoever is stopped stops before his first instruction.
	 */
	for (size_t i = 0; i < n && how != THAW_RUN; i++)
		if (v[i]->nthreads)
			kill(v[i]->pid, how == THAW_KILL ? SIGKILL : SIGSTOP);
	/* Children before parents: who waits for them finds them as they were. */
	for (size_t i = n; i-- > 0;) {
		if (how == THAW_KILL)
			reap(v[i]);
		else
			for (size_t k = v[i]->nthreads; k-- > 0;)
				if (!v[i]->threads[k].dead)
					ptrace(PTRACE_DETACH, v[i]->threads[k].tid, NULL, NULL);
		release(v[i]);
	}
}

void freeze_end(struct freeze *fz, enum thaw how)
{
	freeze_end_all(&fz, 1, how);
}
