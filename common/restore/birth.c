/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a task: a child with the right pid that maps the region, jumps into the agent, and there runs the plan's
 * program. From its first instruction on it dies with the controller: by the parent death signal until credentials
 * change, and by PTRACE_O_EXITKILL all the time. Siblings and orphans have another parent: only the latter helps, and
 * they wait for it.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/mm/mm.h"
#include "common/feature/feature.h"
#include "common/image/source.h"
#include "common/proc/proc.h"
#include "common/restore/inner.h"

#define SIGSET_BYTES 8
#define WATCH_MS 20 /* how often a waiting controller looks whether the tasks still live */
#define CORPSE_ROUNDS 50 /* how many of these to one look at those that nobody traces yet */

/* ---- the child ---- */

/* The C library registered an rseq area, which will be gone: the kernel would kill us when it cannot write there. */
static void drop_rseq(void)
{
	void *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (!__rseq_size)
		return;
	/* The size registered is the area's, which newer C libraries no longer tell: 32 was the first and is the least.
	 */
	if (syscall(SYS_rseq, area, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) && errno == EINVAL)
		syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

/* Nobody becomes another user, out of reach of a controller with few privileges, before that holds him; and one that is not the
 * controller's child lives only if he comes to be held. */
static void wait_held(struct shared_control *c, pid_t controller)
{
	const struct timespec ts = { .tv_nsec = 10000000 };

	while (!__atomic_load_n(&c->held, __ATOMIC_ACQUIRE)) {
		if (kill(controller, 0) && errno == ESRCH)
			_exit(1);
		syscall(SYS_futex, &c->held, FUTEX_WAIT, 0, &ts);
	}
}

/*
 * What is the controller's alone goes before it is inherited: images of thousands of tasks would go through the table of each
 * of them.
 */
static void close_others(const struct births *b)
{
	unsigned next = 0;

	for (size_t i = 0; i < b->nkept; i++) {
		unsigned fd = (unsigned)b->kept[i];

		if (fd > next)
			syscall(SYS_close_range, next, fd - 1, 0);
		next = fd + 1;
	}
	syscall(SYS_close_range, next, UINT32_MAX, 0);
}

_Noreturn static void child_main(const struct births *b, pid_t controller)
{
	size_t code = region_code_len();
	char *home = (char *)b->plan->hole;

	drop_rseq();
	/* A binary with file capabilities is not dumpable, and its /proc/self not its own (fs/exec.c,
	 * begin_new_exec()). Nobody with fewer capabilities than we have may trace us all the same. */
	prctl(PR_SET_DUMPABLE, 1);
	if (b->how == BORN_CHILD) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != controller)
			_exit(1);
	}
	wait_held(births_shared(b), controller);
	if (mmap(home, code, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, b->memfd, 0) != home)
		_exit(errno == EEXIST ? 2 : 3);
	if (mmap(home + code, b->len - code, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, b->memfd,
		 (off_t)code) != home + code)
		_exit(errno == EEXIST ? 2 : 3);
	if (b->plan->ntasks > 1)
		close_others(b);
	arch_agent_jump(b->plan->hole, b->plan->hole + b->v[0].prog_off[0]);
}

/* The pid or a negative errno; the child does not return. */
static pid_t clone_root(const struct births *b, pid_t controller)
{
	pid_t want = b->plan->tasks[0].pid;
	struct clone_args args = {
		.flags = b->how == BORN_SIBLING ? CLONE_PARENT : 0,
		.exit_signal = b->how == BORN_SIBLING ? 0 : SIGCHLD, /* a sibling inherits ours */
		.set_tid = (uint64_t)(uintptr_t)&want,
		.set_tid_size = 1,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		child_main(b, controller);
	return pid < 0 ? -errno : (pid_t)pid;
}

/*
 * A process in between makes the task and is gone before the task does anything. It has no exit signal: then it is
 * there for us to wait for even where SIGCHLD is ignored (do_notify_parent() in kernel/signal.c).
 */
static pid_t clone_orphan(const struct births *b)
{
	struct clone_args args = { 0 };
	struct shared_control *c = births_shared(b);
	pid_t self = getpid(), ret;
	long between = syscall(SYS_clone3, &args, sizeof(args));
	int status;

	if (between < 0)
		return -errno;
	if (!between) {
		ret = clone_root(b, self);
		c->clone_errno = ret < 0 ? -ret : 0;
		_exit(ret < 0);
	}
	while (waitpid((pid_t)between, &status, __WALL) < 0 && errno == EINTR)
		;
	if (c->clone_errno)
		return -c->clone_errno;
	/* A killed one may have been before or after its clone: what it made, if anything, sees no controller hold it.
	 */
	return status ? -EINTR : b->plan->tasks[0].pid;
}

static int task_gone(struct birth *b, int status, struct err *err);

static int clone_error(pid_t pid, enum born how, int errnum, struct err *err)
{
	int ret = feature_blame("clone3_set_tid", errnum, err);

	if (ret)
		return ret;
	ret = err_set(err, ERR_FAILED, errnum, "clone3 with pid %d", pid);
	if (errnum == EINVAL && how == BORN_SIBLING)
		return err_hint(err, ret, "init of a pid namespace has no siblings: leave out --restore-sibling");
	return ret;
}

/* The tracer of a task is all that keeps it from going on when we die, once it has credentials of its own. */
static int seize(struct birth *b, struct err *err)
{
	pid_t pid = b->pt->pid;
	int status, errnum;

	if (!ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) {
		b->seized = 1;
		return 0;
	}
	errnum = errno;
	/* It may be dead already: then how it died says more. */
	if (b == b->all->v) {
		const bool dies = !kill(pid, SIGKILL);

		b->all->begun = false;
		if (dies && b->all->how == BORN_CHILD && waitpid(pid, &status, __WALL) == pid)
			return task_gone(b, status, err);
	}
	return err_set(err, ERR_FAILED, errnum, "PTRACE_SEIZE");
}

static int make_root(struct births *b, struct err *err)
{
	uint64_t all = ~0ull, before;
	struct shared_control *c = births_shared(b);
	pid_t pid;
	int ret;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, SIGSET_BYTES);
	pid = b->how == BORN_ORPHAN ? clone_orphan(b) : clone_root(b, getpid());
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, SIGSET_BYTES);
	if (pid < 0)
		return clone_error(b->plan->tasks[0].pid, b->how, -pid, err);
	b->begun = true;
	fault("restore:born");
	ret = seize(&b->v[0], err);
	if (ret)
		return ret;
	__atomic_store_n(&c->held, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &c->held, FUTEX_WAKE, 1);
	return 0;
}

/* ---- waiting ---- */

static int of_task(const struct birth *b, int ret, struct err *err)
{
	return err_task(err, b->pt->pid, b->pt->comm, ret);
}

/* Error of a thread whose program stopped at a step. */
static int failed_step(const struct birth *b, size_t k, struct err *err)
{
	struct program *p = b->pt->threads[k].prog;
	int64_t want;
	size_t i;
	int ret;

	program_absorb(p, b->all->at + b->prog_off[k]);
	i = (size_t)MAX(program_failed(p), 0);
	ret = (int)program_result(p, (struct step_ref){ (uint32_t)i });
	if (program_expect(p, i, &want) == EXPECT_CLONE && ret < 0 && ret >= -4095) /* a thread or a child */
		ret = clone_error((pid_t)want, BORN_CHILD, -ret, err);
	else
		ret = step_error(b->all->plan, p, i, err);
	if (k)
		err_object(err, ret, "thread %d", b->pt->threads[k].tid);
	return of_task(b, ret, err);
}

static int look_for_failures(const struct births *b, struct err *err)
{
	for (size_t i = 0; i < b->plan->ntasks; i++)
		for (size_t k = 0; k < b->plan->tasks[i].nthreads; k++) {
			const struct agent_header *h = (const void *)(b->at + b->v[i].prog_off[k]);

			if (__atomic_load_n(&h->failed, __ATOMIC_ACQUIRE))
				return failed_step(&b->v[i], k, err);
		}
	return 0;
}

static int task_gone(struct birth *b, int status, struct err *err)
{
	int ret;

	b->dead = WIFEXITED(status) || WIFSIGNALED(status);
	ret = look_for_failures(b->all, err); /* whose step fails says so, and ends: that may be before it is seized */
	if (ret)
		return ret;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		ret = err_set(err, ERR_FAILED, EEXIST, "address %#lx is in use in the restorer itself",
			      (unsigned long)b->pt->hole);
	else if (WIFEXITED(status))
		ret = err_set(err, ERR_FAILED, 0, "the new process exited with %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		ret = err_set(err, ERR_FAILED, 0, "the new process was killed by signal %d (%s)", WTERMSIG(status),
			      strsignal(WTERMSIG(status)));
	else
		ret = err_set(err, ERR_FAILED, 0, "the new process got signal %d (%s)", WSTOPSIG(status),
			      strsignal(WSTOPSIG(status)));
	return of_task(b, ret, err);
}

/* What tracers hear of their tasks without asking. */
static int look_for_events(struct births *b, struct err *err)
{
	siginfo_t any = { .si_pid = 0 };

	/* One call for all, which nearly always says no. */
	if (!syscall(SYS_waitid, P_ALL, 0, &any, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL, NULL) && !any.si_pid)
		return 0;
	for (size_t i = 0; i < b->plan->ntasks; i++) {
		struct birth *t = &b->v[i];
		int status;

		if (!t->seized || waitpid(t->pt->pid, &status, __WALL | WNOHANG) != t->pt->pid)
			continue;
		/* A SIGCONT that is queued again notifies the tracer (kernel/signal.c, ptrace_trap_notify). */
		if (!WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_STOP || WSTOPSIG(status) != SIGTRAP)
			return task_gone(t, status, err);
		if (ptrace(PTRACE_CONT, t->pt->pid, 0, 0))
			return of_task(t, err_sys(err, "PTRACE_CONT"), err);
	}
	return 0;
}

/* A task that nobody traces yet and that was killed: its parent is in the agent and says nothing. */
static int look_for_corpses(const struct births *b, struct err *err)
{
	for (size_t i = 1; i < b->plan->ntasks; i++) {
		const struct birth *t = &b->v[i];
		struct err ignore = ERR_INIT;
		struct proc_stat st;
		cleanup_fd int fd = -1;

		if (t->seized || t->pt->kind != TASK_IS_LIVE || proc_open(t->pt->pid, &fd, &ignore) ||
		    proc_stat(fd, "stat", &st, &ignore) || (st.state != 'Z' && st.state != 'X'))
			continue;
		return of_task(t, err_set(err, ERR_FAILED, 0, "the new process was killed"), err);
	}
	return 0;
}

/* The steps of the leader, in the order in which it takes them. */
static const struct agent_step *leader_steps(const struct birth *b)
{
	return (const void *)(b->all->at + b->prog_off[0] + sizeof(struct agent_header));
}

static void show_progress(struct births *b)
{
	uint64_t done = 0;

	if (!progress_due(&b->progress))
		return;
	for (size_t i = 0; i < b->plan->ntasks; i++) {
		const struct agent_step *s = leader_steps(&b->v[i]);
		size_t n = program_steps(b->plan->tasks[i].threads[0].prog);

		done += b->v[i].written;
		for (size_t k = 0; k < n; k++)
			if (s[k].nr == SYS_preadv && s[k].result > 0)
				done += (uint64_t)s[k].result;
	}
	progress_show(&b->progress, done, b->memory_bytes, "of memory read");
}

uint64_t births_memory_us(const struct births *b)
{
	uint64_t sum = b->late_us;

	for (size_t i = 0; i < b->plan->ntasks; i++) {
		const struct plan_task *pt = &b->plan->tasks[i];
		const struct program *p = pt->threads[0].prog;
		struct timespec from, to;
		const char *data;
		size_t len;

		if (!pt->content_to.len)
			continue;
		program_data_bytes(p, &len);
		data = b->at + b->v[i].prog_off[0] + program_size(p) - len;
		memcpy(&from, data + pt->content_from.off, sizeof(from));
		memcpy(&to, data + pt->content_to.off, sizeof(to));
		sum += (uint64_t)((to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
	}
	return sum;
}

/* A failure that does not keep the word from becoming zero is for the caller to find, at the end of what he waits for. */
static int wait_zero(struct births *b, uint32_t *word, struct err *err)
{
	const struct timespec watch = { .tv_nsec = WATCH_MS * 1000000l };

	for (int rounds = 1;; rounds++) {
		uint32_t left = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		int ret = 0;

		if (!left)
			return 0;
		if (syscall(SYS_futex, word, FUTEX_WAIT, left, &watch) == 0 || errno == EAGAIN) {
			/* park wakes us for a failure too, and then the word does not reach zero */
			ret = __atomic_load_n(word, __ATOMIC_ACQUIRE) == left ? look_for_failures(b, err) : 0;
		} else {
			show_progress(b);
			ret = look_for_failures(b, err);
			if (!ret)
				ret = look_for_events(b, err);
			if (!ret && rounds % CORPSE_ROUNDS == 0)
				ret = look_for_corpses(b, err);
		}
		if (ret)
			return ret;
	}
}

static void open_gate(uint32_t *gate)
{
	__atomic_store_n(gate, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, gate, FUTEX_WAKE, INT32_MAX);
}

static void count_written(void *ctx, uint64_t done)
{
	struct birth *b = ctx;

	b->written = done;
	show_progress(b->all);
}

/* The number that the leader's userfaultfd has, or negative. */
static int uffd_of(const struct birth *b)
{
	const struct plan_task *pt = b->pt;
	const struct program *p = pt->threads[0].prog;

	for (size_t place = 0; pt->nfills && place < program_steps(p); place++)
		if (program_at(p, place) == pt->uffd.i)
			return (int)leader_steps(b)[place].result;
	return -1;
}

/* What the images have of it, and what files have. */
static int write_memory(struct birth *b, void (*tick)(void *ctx, uint64_t done), struct err *err)
{
	const struct plan_task *pt = b->pt;
	int ret = pt->nown == pt->npages ? 0 : pages_restore(b->all->model, pt, pt->pid, uffd_of(b), tick, b, err);

	return ret ? ret : file_copies_restore(b->all->model, pt, pt->pid, b->all->slots->fd, err);
}

/* Our share of the pages. The leader waits for it at the end of its own. */
static int write_pages(struct birth *b, struct err *err)
{
	struct control *c = birth_control(b);
	struct err failed = ERR_INIT;
	int ret;

	if (!plan_is_filled(b->pt) || b->pt->pages_late)
		return 0;
	ret = wait_zero(b->all, &c->unmade, err);
	if (ret)
		return ret;
	ret = write_memory(b, count_written, err);
	/* A step of its own that failed says more than that we could not go on. */
	if (ret && look_for_failures(b->all, &failed)) {
		*err = failed;
		return ret;
	}
	if (ret)
		return of_task(b, ret, err);
	open_gate(&c->filled);
	return 0;
}

/* Sets that wait until all are born: each of two threads takes the next one. */
struct late { struct births *b; size_t next; };

static int write_late(struct late *l, bool tell, struct err *err)
{
	int ret = 0;

	for (size_t i; !ret && (i = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED)) < l->b->plan->ntasks;) {
		struct birth *b = &l->b->v[i];

		if (!b->pt->pages_late)
			continue;
		ret = write_memory(b, NULL, err);
		if (ret)
			of_task(b, ret, err);
		b->written = b->pt->set->size;
		if (tell)
			show_progress(l->b);
	}
	return ret;
}

static int write_beside(void *arg, struct err *err)
{
	return write_late(arg, false, err);
}

static int write_late_pages(struct births *b, struct err *err)
{
	struct late l = { .b = b };
	struct aside beside = { 0 };
	struct err failed = ERR_INIT;
	uint64_t start = now_us();
	int ret, back;

	while (l.next < b->plan->ntasks && !b->plan->tasks[l.next].pages_late)
		l.next++;
	if (l.next == b->plan->ntasks)
		return 0;
	aside_start(&beside, write_beside, &l);
	ret = write_late(&l, true, err);
	back = aside_join(&beside, err);
	b->late_us = now_us() - start;
	ret = ret ? ret : back;
	/* A step that failed says more than that the task could not be written to. */
	if (ret && look_for_failures(b, &failed))
		*err = failed;
	return ret;
}

/*
 * What comes from a pipe comes once: before any of it is taken, all tasks stand that could be refused their numbers, but for copies of
 * those that are filled.
 */
static int wait_streamed(struct births *b, struct err *err)
{
	const struct source *source = b->model ? image_dir_source(b->model->dir) : NULL;
	int ret = 0;

	for (size_t i = 0; source && source_more(source) && !ret && i < b->plan->ntasks; i++) {
		const struct plan_task *pt = &b->plan->tasks[i];

		/* Who reads all of its own pages, that went into memory before, asks nobody for any. */
		if (pt->kind == TASK_IS_LIVE && !pt->copy_of && plan_is_filled(pt))
			ret = wait_zero(b, &birth_control(&b->v[i])->unmade, err);
	}
	return ret;
}

static int fault_point(const char *name, struct err *err)
{
	int fail = fault(name);

	return fail ? err_set(err, ERR_FAILED, fail, "fault point %s", name) : 0;
}

/* From the first task to all of them in their groups. */
static int run_tree(struct births *b, struct err *err)
{
	struct shared_control *c = births_shared(b);
	int ret;

	if (b->plan->ntasks == 1)
		return 0;
	ret = wait_zero(b, &c->born_left, err);
	if (!ret)
		ret = look_for_failures(b, err);
	for (size_t i = 1; !ret && i < b->plan->ntasks; i++)
		if (b->plan->tasks[i].kind == TASK_IS_LIVE) {
			ret = seize(&b->v[i], err);
			if (ret)
				of_task(&b->v[i], ret, err);
		}
	if (!ret)
		ret = write_late_pages(b, err);
	if (ret)
		return ret;
	open_gate(&c->born_gate);
	ret = wait_zero(b, &c->grouped_left, err);
	if (!ret)
		ret = look_for_failures(b, err);
	if (!ret)
		open_gate(&c->grouped_gate);
	return ret;
}

static int run_rest(struct births *b, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < b->plan->ntasks; i++) {
		struct control *c = birth_control(&b->v[i]);

		if (b->plan->tasks[i].nthreads == 1)
			continue;
		ret = wait_zero(b, &c->left_threads, err);
		if (!ret)
			ret = look_for_failures(b, err);
		if (!ret)
			open_gate(&c->gate);
	}
	if (!ret)
		ret = wait_zero(b, &births_shared(b)->left_leaders, err);
	return ret ? ret : look_for_failures(b, err);
}

int births_run(struct births *b, enum born how, struct err *err)
{
	int ret;

	b->how = how;
	/* What is left of a tree whose root was killed comes to us, and we can wait for it. */
	if (b->plan->ntasks > 1)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	ret = make_root(b, err);
	if (!ret)
		ret = fault_point("restore:after-clone", err);
	if (ret)
		return of_task(&b->v[0], ret, err);
	if (!ret)
		ret = wait_streamed(b, err);
	for (size_t i = 0; !ret && i < b->plan->ntasks; i++)
		ret = write_pages(&b->v[i], err);
	if (!ret)
		ret = run_tree(b, err);
	if (!ret)
		ret = run_rest(b, err);
	return ret ? ret : fault_point("restore:after-program", err);
}

static void reap(pid_t pid)
{
	for (;;) {
		int status;
		pid_t got = waitpid(pid, &status, __WALL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || WIFEXITED(status) || WIFSIGNALED(status))
			break;
	}
}

/*
 * Only what is surely ours is killed: the root, and whom we trace. The others die with their parents, and come to us
 * as orphans. Whoever has another user's ids by now may be out of reach of a restorer without CAP_KILL: that one dies
 * when the restorer ends, of PTRACE_O_EXITKILL, and is not waited for.
 */
void births_abort(struct births *b)
{
	if (!b->begun)
		return;
	for (size_t i = 0; i < b->plan->ntasks; i++)
		if (!b->v[i].dead && (!i || b->v[i].seized))
			b->v[i].beyond = kill(b->plan->tasks[i].pid, SIGKILL) && errno == EPERM;
	for (size_t i = 0; i < b->plan->ntasks; i++) {
		const struct plan_task *pt = &b->plan->tasks[i];

		/* A traced thread stays a zombie until its tracer has seen it; the leader comes last, by the kernel's
		 * own rule. */
		for (size_t k = 1; k < b->v[i].seized && !b->v[i].beyond; k++)
			while (waitpid(pt->threads[k].tid, NULL, __WALL) > 0)
				;
		if (!b->v[i].dead && !b->v[i].beyond)
			reap(pt->pid);
		b->v[i].dead = true;
	}
	/* Those whose parents had not been waited for yet. */
	for (size_t i = 1; i < b->plan->ntasks; i++)
		if (!b->v[i].beyond)
			reap(b->plan->tasks[i].pid);
	b->begun = false;
	if (b->plan->ntasks > 1)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
}
