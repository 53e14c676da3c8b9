/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process would learn from wait(2): whether the stop of a child was reported already, and whether it traces
 * somebody who is not in the tree. Children that are being frozen show both (wait_consider_task() in kernel/exit.c): a
 * tracer other than the parent leaves the group stop to the parent.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/task/task.h"

#define STATE_STOPPED 3

struct waits_slot {
	struct step_ref traces;
	struct data_ref *stops; /* siginfo of each stopped child, in the order of the tree; arena */
	bool asked;
};

/* Children that others made with an exit signal of their own choice look like traced ones. */
static int ask_waits(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct waits_slot *s = slot;
	size_t n = 0;

	if (d->task->threads[0].status.seccomp) /* one call more that its filter might not like: asked from outside */
		return 0;
	s->asked = true;
	s->traces = program_try(prog, 0, "tracees", SYS_waitid, A(P_ALL), A(0), A(0),
				A(WNOHANG | WNOWAIT | WEXITED | __WCLONE), A(0));
	s->stops = arena_alloc(d->arena, (d->task->nstopped + 1) * sizeof(*s->stops));
	for (size_t i = 0; i < d->ntasks && n < d->task->nstopped; i++)
		if (d->tasks[i]->parent == d->task && d->tasks[i]->stopped)		{
			s->stops[n] = program_data(prog, NULL, sizeof(siginfo_t));
			program_try(prog, 0, "stop of a child", SYS_waitid, A(P_PID), A((uint64_t)d->tasks[i]->pid),
				    A_DATA(s->stops[n++]), A(WNOHANG | WNOWAIT | WSTOPPED | __WALL), A(0));
		}
	return 0;
}

static bool is_thread_of(const struct dump_task *t, pid_t tid)
{
	for (size_t i = 0; i < t->nthreads; i++)
		if (t->threads[i].frozen->tid == tid)
			return true;
	return false;
}

/* One process of the host: is one of its threads traced by one of ours? */
static int check_process(const struct dump *d, int proc, const char *pid, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	struct proc_status st;
	int *tids, ret = 0;
	char path[64];
	size_t n;
	cleanup_fd int fd = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || proc_numbers(fd, "task", arena, &tids, &n, &ignore))
		return 0; /* gone */
	for (size_t i = 0; i < n && !ret; i++) {
		snprintf(path, sizeof(path), "task/%d/status", tids[i]);
		if (!proc_status(fd, path, arena, &st, &ignore) && st.tracer && is_thread_of(d->task, st.tracer))
			ret = err_hint(err, err_refuse(err, "it traces thread %d of pid %s (%s)", tids[i], pid, st.comm),
				       "end the debugging first");
	}
	return ret;
}

static int find_tracee(const struct dump *d, struct err *err)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int ret = 0;

	while (proc && !ret && (e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			ret = check_process(d, dirfd(proc), e->d_name, err);
	if (proc)
		closedir(proc);
	return ret;
}

static int dump_waits(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		      struct err *err)
{
	const struct waits_slot *s = slot;
	size_t n = 0;
	int ret = 0;

	if (!s->asked || program_result(prog, s->traces) != -ECHILD)
		ret = find_tracee(d, err);
	if (ret || !s->asked)
		return ret;
	for (size_t i = 0; i < d->ntasks && n < d->task->nstopped; i++) {
		struct dump_task *t = d->tasks[i];

		if (t->parent != d->task || !t->stopped)
			continue;
		/* There is nothing to learn of it, though it is stopped. */
		if (!((const siginfo_t *)program_answer(prog, s->stops[n++]))->si_pid) {
			t->threads[0].core->tc->has_stop_reported = true;
			t->threads[0].core->tc->stop_reported = true;
		}
	}
	return 0;
}

static bool pends(const SignalQueueEntry *q, int signo)
{
	for (size_t i = 0; q && i < q->n_signals; i++)
		if (q->signals[i]->siginfo.len >= sizeof(signo) && !memcmp(q->signals[i]->siginfo.data, &signo, sizeof(signo)))
			return true;
	return false;
}

/*
 * The stopped child tells its parent what to do: to take the report, when that was taken, and the signal that comes with the
 * stop, unless one was pending. Tasks are finished children first, and their stops are whole then (restore/finish.c).
 */
static int plan_waits(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		      struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const struct model_task *parent = &m->tasks[task->parent];
	const CoreEntry *theirs = parent->threads[0].core;
	const uint64_t chld = 1ull << (SIGCHLD - 1);
	struct plan_thread *to = &plan->tasks[task->parent].threads[0];

	if (task == parent || thread->core->tc->task_state != STATE_STOPPED)
		return 0;
	if (!to->late)
		to->late = program_new();
	if (thread->core->tc->stop_reported)
		program_call(to->late, 0, "knows that the child is stopped", SYS_waitid, A(P_PID), A((uint64_t)pt->pid), A(0),
			     A(WSTOPPED | WNOHANG | __WALL), A(0));
	if (!pends(theirs->tc->signals_s, SIGCHLD) && !pends(theirs->thread_core->signals_p, SIGCHLD))
		program_try(to->late, 0, "SIGCHLD of this stop", SYS_rt_sigtimedwait,
			    A_DATA(program_data(to->late, &chld, sizeof(chld))), A(0),
			    A_DATA(program_data(to->late, NULL, sizeof(struct timespec))), A(sizeof(chld)));
	return 0;
}

const struct state_kind waits_kind = {
	.name = "children and tracees",
	.scope = SCOPE_TASK,
	.slot_size = sizeof(struct waits_slot),
	.ask = ask_waits,
	.dump = dump_waits,
	.plan = plan_waits,
};
