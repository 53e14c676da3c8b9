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

#include "common/base/fault.h"
#include "common/mm/mm.h"
#include "common/feature/feature.h"
#include "common/restore/inner.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* include/uapi/linux/memfd.h, since 6.3 */
#endif
#define SIGSET_BYTES 8
#define WATCH_MS 20 /* how often a waiting controller looks whether the task still lives */

struct control *birth_control(const struct birth *b)
{
	return (struct control *)(b->at + region_code_len());
}

/* ---- the region ---- */

static size_t layout(struct birth *b, const struct plan_task *pt)
{
	size_t at = region_code_len() + sizeof(struct control);

	b->scratch_off = at;
	at += pt->nthreads * 16;
	for (size_t i = 0; i < pt->nthreads; i++) {
		at = (at + 63) & ~(size_t)63;
		b->prog_off[i] = at;
		at += program_size(pt->threads[i].prog);
	}
	b->late_off = (at + 63) & ~(size_t)63;
	at = b->late_off + late_size(pt);
	return (at + PAGE - 1) & ~(PAGE - 1);
}

static void link_programs(struct birth *b, const struct slots *slots)
{
	const struct plan_task *pt = b->pt;
	uint64_t words = region_control(pt);

	for (size_t k = pt->nthreads; k-- > 0;) { /* the leader last: its clones need the others' addresses */
		size_t word = k ? offsetof(struct control, left_threads) : offsetof(struct control, left_leader);
		struct program_link l = {
			.base = pt->hole + b->prog_off[k],
			.exit = pt->hole + arch_agent_park,
			.left = words + word,
			.epilogue_phase = INT32_MAX,
			.slots = slots->fd,
			.nslots = slots->n,
		};

		program_link(pt->threads[k].prog, &l, b->at + b->prog_off[k]);
	}
}

int birth_prepare(struct birth *b, const struct plan_task *pt, const struct slots *slots, struct err *err)
{
	struct control *c;

	*b = (struct birth){ .pt = pt, .memfd = -1 };
	b->prog_off = xreallocarray(NULL, pt->nthreads, sizeof(*b->prog_off));
	b->len = layout(b, pt);
	if (b->len > pt->hole_len)
		return err_set(err, ERR_FAILED, ENOMEM, "the free range at %#lx has %lu bytes, the plan needs %zu",
			       (unsigned long)pt->hole, (unsigned long)pt->hole_len, b->len);
	b->memfd = memfd_create("cr-restore", MFD_CLOEXEC | MFD_EXEC);
	if (b->memfd < 0 && errno == EINVAL) /* before 6.3 there is no MFD_EXEC, and all are executable */
		b->memfd = memfd_create("cr-restore", MFD_CLOEXEC);
	if (b->memfd < 0)
		return err_sys(err, "memfd_create");
	if (ftruncate(b->memfd, (off_t)b->len))
		return err_sys(err, "memory for the plan (%zu bytes)", b->len);
	b->at = mmap(NULL, b->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, b->memfd, 0);
	if (b->at == MAP_FAILED) {
		b->at = NULL;
		return err_sys(err, "mapping %zu bytes for the plan", b->len);
	}
	memcpy(b->at, arch_agent_start, (size_t)(arch_agent_end - arch_agent_start));
	c = birth_control(b);
	c->left_leader = 1;
	c->left_threads = (uint32_t)pt->nthreads - 1;
	c->gate = pt->nthreads == 1;
	c->unmade = 1;
	link_programs(b, slots);
	late_link(b, slots);
	return 0;
}

void birth_release(struct birth *b)
{
	if (b->at)
		munmap(b->at, b->len);
	if (b->memfd >= 0)
		close(b->memfd);
	free(b->prog_off);
	*b = (struct birth){ .memfd = -1 };
}

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

/* One that is not the controller's child lives only if the controller comes to hold it. */
static void wait_held(struct control *c, pid_t controller)
{
	const struct timespec ts = { .tv_nsec = 10000000 };

	while (!__atomic_load_n(&c->held, __ATOMIC_ACQUIRE)) {
		if (kill(controller, 0) && errno == ESRCH)
			_exit(1);
		syscall(SYS_futex, &c->held, FUTEX_WAIT, 0, &ts);
	}
}

_Noreturn static void child_main(const struct birth *b, pid_t controller)
{
	size_t code = region_code_len();
	char *home = (char *)b->pt->hole;

	drop_rseq();
	/* A binary with file capabilities is not dumpable, and its /proc/self not its own (fs/exec.c,
	 * begin_new_exec()). Nobody with fewer capabilities than we have may trace us all the same. */
	prctl(PR_SET_DUMPABLE, 1);
	if (b->how == BORN_CHILD) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != controller)
			_exit(1);
	} else {
		wait_held(birth_control(b), controller);
	}
	if (mmap(home, code, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, b->memfd, 0) != home)
		_exit(errno == EEXIST ? 2 : 3);
	if (mmap(home + code, b->len - code, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, b->memfd,
		 (off_t)code) != home + code)
		_exit(errno == EEXIST ? 2 : 3);
	arch_agent_jump(b->pt->hole, b->pt->hole + b->prog_off[0]);
}

/* The pid or a negative errno; the child does not return. */
static pid_t clone_task(const struct birth *b, pid_t controller)
{
	pid_t want = b->pt->pid;
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
static pid_t clone_orphan(const struct birth *b)
{
	struct clone_args args = { 0 };
	struct control *c = birth_control(b);
	pid_t self = getpid(), ret;
	long between = syscall(SYS_clone3, &args, sizeof(args));
	int status;

	if (between < 0)
		return -errno;
	if (!between) {
		ret = clone_task(b, self);
		c->clone_errno = ret < 0 ? -ret : 0;
		_exit(ret < 0);
	}
	while (waitpid((pid_t)between, &status, __WALL) < 0 && errno == EINTR)
		;
	if (c->clone_errno)
		return -c->clone_errno;
	/* A killed one may have been before or after its clone: what it made, if anything, sees no controller hold it.
	 */
	return status ? -EINTR : b->pt->pid;
}

static int child_gone(struct birth *b, int status, struct err *err);

static int clone_error(const struct birth *b, int errnum, struct err *err)
{
	int ret = feature_blame("clone3_set_tid", errnum, err);

	if (ret)
		return ret;
	ret = err_set(err, ERR_FAILED, errnum, "clone3 with pid %d", b->pt->pid);
	if (errnum == EINVAL && b->how == BORN_SIBLING)
		return err_hint(err, ret, "init of a pid namespace has no siblings: leave out --restore-sibling");
	return ret;
}

static int make_child(struct birth *b, struct err *err)
{
	uint64_t all = ~0ull, before;
	struct control *c = birth_control(b);
	int status;
	pid_t pid;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, SIGSET_BYTES);
	pid = b->how == BORN_ORPHAN ? clone_orphan(b) : clone_task(b, getpid());
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, SIGSET_BYTES);
	if (pid < 0)
		return clone_error(b, -pid, err);
	b->pid = pid;
	if (ptrace(PTRACE_SEIZE, b->pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)) {
		int errnum = errno;

		/* It may be dead already: then how it died says more. */
		kill(b->pid, SIGKILL);
		if (b->how == BORN_CHILD && waitpid(b->pid, &status, __WALL) == b->pid)
			return child_gone(b, status, err);
		b->pid = 0;
		return err_set(err, ERR_FAILED, errnum, "PTRACE_SEIZE");
	}
	b->seized = 1;
	__atomic_store_n(&c->held, 1, __ATOMIC_RELEASE);
	if (b->how != BORN_CHILD)
		syscall(SYS_futex, &c->held, FUTEX_WAKE, 1);
	return 0;
}

/* ---- waiting ---- */

/* Error of a thread whose program stopped at a step. */
static int failed_step(const struct birth *b, size_t k, struct err *err)
{
	struct program *p = b->pt->threads[k].prog;
	int ret;

	program_absorb(p, b->at + b->prog_off[k]);
	ret = step_error(p, (size_t)MAX(program_failed(p), 0), err);
	if (k)
		err_object(err, ret, "thread %d", b->pt->threads[k].tid);
	return ret;
}

static int look_for_failures(const struct birth *b, struct err *err)
{
	for (size_t k = 0; k < b->pt->nthreads; k++) {
		const struct agent_header *h = (const void *)(b->at + b->prog_off[k]);

		if (__atomic_load_n(&h->failed, __ATOMIC_ACQUIRE))
			return failed_step(b, k, err);
	}
	return 0;
}

/* Text for the step that a thread was at when it died: the first one without a result is a good guess, so only say so.
 */
static int child_gone(struct birth *b, int status, struct err *err)
{
	if (WIFEXITED(status)) {
		b->pid = 0;
		if (WEXITSTATUS(status) == 2)
			return err_set(err, ERR_FAILED, EEXIST, "address %#lx is in use in the restorer itself",
				       (unsigned long)b->pt->hole);
		return err_set(err, ERR_FAILED, 0, "the new process exited with %d", WEXITSTATUS(status));
	}
	if (WIFSIGNALED(status)) {
		b->pid = 0;
		return err_set(err, ERR_FAILED, 0, "the new process was killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	}
	return err_set(err, ERR_FAILED, 0, "the new process got signal %d (%s)", WSTOPSIG(status),
		       strsignal(WSTOPSIG(status)));
}

/* The steps of the leader, in the order in which it takes them. */
static const struct agent_step *leader_steps(const struct birth *b)
{
	return (const void *)(b->at + b->prog_off[0] + sizeof(struct agent_header));
}

static void show_progress(struct birth *b)
{
	const struct agent_step *s = leader_steps(b);
	size_t n = program_steps(b->pt->threads[0].prog);
	uint64_t done = b->written;

	if (!progress_due(&b->progress))
		return;
	for (size_t i = 0; i < n; i++)
		if (s[i].nr == SYS_preadv && s[i].result > 0)
			done += (uint64_t)s[i].result;
	progress_show(&b->progress, done, b->memory_bytes, "of memory read");
}

uint64_t birth_memory_us(const struct birth *b)
{
	const struct program *p = b->pt->threads[0].prog;
	struct timespec from, to;
	const char *data;
	size_t len;

	program_data_bytes(p, &len);
	data = b->at + b->prog_off[0] + program_size(p) - len;
	memcpy(&from, data + b->pt->content_from.off, sizeof(from));
	memcpy(&to, data + b->pt->content_to.off, sizeof(to));
	return (uint64_t)((to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
}

static int wait_zero(struct birth *b, uint32_t *word, struct err *err)
{
	const struct timespec watch = { .tv_nsec = WATCH_MS * 1000000l };

	for (;;) {
		uint32_t left = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		int status, ret;

		if (!left)
			return look_for_failures(b, err);
		if (syscall(SYS_futex, word, FUTEX_WAIT, left, &watch) == 0 || errno == EAGAIN) {
			/* park wakes us for a failure too, and then the word does not reach zero */
			ret = __atomic_load_n(word, __ATOMIC_ACQUIRE) ? look_for_failures(b, err) : 0;
		} else {
			show_progress(b);
			ret = look_for_failures(b, err);
			if (!ret && waitpid(b->pid, &status, __WALL | WNOHANG) == b->pid) {
				/* A SIGCONT that is queued again notifies the tracer (kernel/signal.c,
				 * ptrace_trap_notify). */
				if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP &&
				    WSTOPSIG(status) == SIGTRAP)
					ret = ptrace(PTRACE_CONT, b->pid, 0, 0) ? err_sys(err, "PTRACE_CONT") : 0;
				else
					ret = child_gone(b, status, err);
			}
		}
		if (ret)
			return ret;
	}
}

static void count_written(void *ctx, uint64_t done)
{
	struct birth *b = ctx;

	b->written = done;
	show_progress(b);
}

/* Our share of the pages. The leader waits for it at the end of its own. */
static int write_pages(struct birth *b, struct err *err)
{
	struct control *c = birth_control(b);
	struct err failed = ERR_INIT;
	int ret;

	if (b->pt->nown == b->pt->npages)
		return 0;
	ret = wait_zero(b, &c->unmade, err);
	if (ret)
		return ret;
	ret = pages_restore(b->pt, b->pid, count_written, b, err);
	/* A step of its own that failed says more than that we could not go on. */
	if (ret && look_for_failures(b, &failed)) {
		*err = failed;
		return ret;
	}
	if (ret)
		return ret;
	__atomic_store_n(&c->filled, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &c->filled, FUTEX_WAKE, 1);
	return 0;
}

int birth_run(struct birth *b, enum born how, struct err *err)
{
	struct control *c = birth_control(b);
	int ret, fail;

	b->how = how;
	ret = make_child(b, err);
	if (ret)
		return ret;
	fail = fault("restore:after-clone");
	if (fail)
		return err_set(err, ERR_FAILED, fail, "fault point restore:after-clone");
	ret = write_pages(b, err);
	if (ret)
		return ret;
	if (b->pt->nthreads > 1) {
		ret = wait_zero(b, &c->left_threads, err);
		if (ret)
			return ret;
		__atomic_store_n(&c->gate, 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &c->gate, FUTEX_WAKE, 1);
	}
	ret = wait_zero(b, &c->left_leader, err);
	if (ret)
		return ret;
	fail = fault("restore:after-program");
	if (fail)
		return err_set(err, ERR_FAILED, fail, "fault point restore:after-program");
	return 0;
}

void birth_abort(struct birth *b)
{
	pid_t pid = b->pid;

	if (!pid)
		return;
	kill(pid, SIGKILL);
	/* A traced thread stays a zombie until its tracer has seen it; the leader comes last, by the kernel's own rule.
	 */
	for (size_t k = 1; k < b->seized; k++)
		while (waitpid(b->pt->threads[k].tid, NULL, __WALL) > 0)
			;
	for (;;) {
		int status;
		pid_t got = waitpid(pid, &status, __WALL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || WIFEXITED(status) || WIFSIGNALED(status))
			break;
	}
	b->pid = 0;
}
