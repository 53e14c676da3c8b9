/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine with real processes: births with given ids, failing programs, last acts. The tasks keep this test's own memory
 * (their plans have no TASK_UNMAP), so that their final registers can lead to functions of this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/proc/proc.h"
#include "common/restore/inner.h"

enum { THREADS = 8 };

/* What restored threads tell; shared memory. */
struct told {
	int tid[THREADS];
	uint64_t mask[THREADS];
	uint64_t slept_ns;
	int sleep_result;
	int fd_works;
};
static struct told *told;
static char stacks[THREADS][16384] __attribute__((aligned(16)));
static struct timespec asked;

/* Where restored threads go on. No thread-local storage is theirs: system calls only, and no errno. */
static long raw(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return ret;
}

__attribute__((noreturn, used)) static void alive(unsigned long k)
{
	raw(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&told->mask[k], 8);
	__atomic_store_n(&told->tid[k], (int)raw(SYS_gettid, 0, 0, 0, 0), __ATOMIC_RELEASE);
	for (;;)
		raw(SYS_pause, 0, 0, 0, 0);
}

__attribute__((noreturn, used)) static void slept(long result)
{
	struct timespec ts;

	raw(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0, 0);
	told->slept_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	told->sleep_result = (int)result;
	alive(0);
}

/* The thread was "inside" this nanosleep: its instruction pointer is behind the instruction. */
extern const char after_nanosleep[];
__asm__(".text\n\tsyscall\nafter_nanosleep:\n\tmov %rax, %rdi\n\tand $-16, %rsp\n\tcall slept\n");

static void start_at(struct plan_thread *th, size_t k)
{
	struct user_regs_struct *r = &th->regs.r;

	memset(r, 0, sizeof(*r));
	r->cs = 0x33;
	r->ss = 0x2b;
	r->rip = (uint64_t)(uintptr_t)alive;
	r->rsp = (uint64_t)(uintptr_t)stacks[k] + sizeof(stacks[k]) - 8;
	r->rdi = k;
	r->eflags = 0x202;
	th->sigmask = 1ull << (SIGUSR2 - 1);
}

static pid_t free_pid(void)
{
	/*
	 * A pid and the numbers behind it that nobody has now, and that nobody had a moment ago: a number is given back
	 * a little after its holder was waited for (release_task() in kernel/exit.c, 6.18).
	 */
	static pid_t last;

	for (pid_t pid = last ? last + 50 : 20000 + getpid() % 100 * 100; pid < 32000; pid += 50) {
		bool taken = false;

		for (pid_t k = 0; k < THREADS && !taken; k++) {
			cleanup_free char *path = xasprintf("/proc/%d", pid + k);

			taken = access(path, F_OK) == 0;
		}
		if (!taken)
			return last = pid;
	}
	fail_msg("no free pids");
	return 0;
}

static struct plan *make_plan(size_t nthreads)
{
	struct plan *plan = plan_new();
	struct plan_task *pt = arena_alloc(plan->arena, sizeof(*pt));
	CoreEntry core = CORE_ENTRY__INIT;
	ThreadInfoX86 ti = THREAD_INFO_X86__INIT;
	UserX86RegsEntry gp = USER_X86_REGS_ENTRY__INIT;
	UserX86FpregsEntry fp = USER_X86_FPREGS_ENTRY__INIT;
	uint32_t zero[64] = { 0 };
	struct err err = ERR_INIT;

	fp.n_st_space = 32;
	fp.n_xmm_space = 64;
	fp.st_space = fp.xmm_space = zero;
	fp.mxcsr = 0x1f80;
	fp.cwd = 0x37f;
	ti.gpregs = &gp;
	ti.fpregs = &fp;
	gp.cs = 0x33;
	gp.ss = 0x2b;
	core.mtype = CORE_ENTRY__MARCH__X86_64;
	core.thread_info = &ti;
	plan->tasks = pt;
	plan->ntasks = 1;
	pt->pid = free_pid();
	plan->hole = pt->hole = 0x200000000000; /* free in every build: AddressSanitizer has its shadow below */
	plan->hole_len = pt->hole_len = 1 << 20;
	pt->nthreads = nthreads;
	pt->threads = arena_alloc(plan->arena, nthreads * sizeof(*pt->threads));
	for (size_t k = 0; k < nthreads; k++) {
		pt->threads[k].tid = pt->pid + (pid_t)k;
		pt->threads[k].prog = program_new();
		if (arch_core_decode(&core, plan->arena, &pt->threads[k].regs, &pt->threads[k].fpu, &err))
			fail_msg("%s: %s", err.object, err.reason);
		start_at(&pt->threads[k], k);
	}
	plan_clones(pt);
	program_try(pt->threads[0].prog, THREAD_CREDS, "until all threads are made", SYS_futex,
		    A(region_control(pt) + offsetof(struct control, gate)), A(0), A(0), A(0));
	program_call(pt->threads[0].prog, THREAD_AFTER_CREDS, "no parent death signal", SYS_prctl, A(PR_SET_PDEATHSIG), A(0));
	return plan;
}

static int make_born(struct plan *plan, struct births *b, enum born how, bool leave_stopped, struct err *err)
{
	struct slots slots = { 0 };
	int ret = controller_run(plan, NULL, &slots, err);

	if (!ret)
		ret = births_prepare(b, plan, &slots, err);
	if (!ret)
		ret = births_run(b, how, err);
	if (!ret)
		ret = births_finish(b, leave_stopped, err);
	if (ret)
		births_abort(b);
	slots_close(&slots);
	return ret;
}

static int make(struct plan *plan, struct births *b, bool leave_stopped, struct err *err)
{
	return make_born(plan, b, BORN_CHILD, leave_stopped, err);
}

static void wait_told(const int *word)
{
	uint64_t end = now_ns() + 10000000000ull;

	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE) && now_ns() < end)
		usleep(1000);
}

static void end_task(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static char task_state(pid_t pid, pid_t *tracer)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int fd = -1;
	struct proc_status st = { 0 };
	struct err err = ERR_INIT;

	if (proc_open(pid, &fd, &err) || proc_status(fd, "status", arena, &st, &err))
		return 0;
	*tracer = st.tracer;
	return st.state;
}

static void test_threads(void **state)
{
	cleanup_plan struct plan *plan = make_plan(THREADS);
	struct err err = ERR_INIT;
	struct births b;
	pid_t tracer = -1;

	memset(told, 0, sizeof(*told));
	if (make(plan, &b, false, &err))
		fail_msg("%s: %s (errno %d)", err.object, err.reason, err.errnum);
	for (size_t k = 0; k < THREADS; k++) {
		wait_told(&told->tid[k]);
		assert_int_equal(told->tid[k], plan->tasks[0].pid + (int)k);
		assert_int_equal(told->mask[k], 1ull << (SIGUSR2 - 1));
	}
	assert_int_not_equal(task_state(plan->tasks[0].pid, &tracer), 0);
	assert_int_equal(tracer, 0);
	end_task(plan->tasks[0].pid);
	births_release(&b);
}

/* The region is gone when the task runs, whatever its program was. */
static void test_region_unmapped(void **state)
{
	cleanup_plan struct plan *plan = make_plan(1);
	cleanup_arena struct arena *arena = arena_new();
	cleanup_fd int fd = -1;
	struct proc_maps maps;
	struct err err = ERR_INIT;
	struct births b;

	memset(told, 0, sizeof(*told));
	assert_int_equal(make(plan, &b, false, &err), 0);
	wait_told(&told->tid[0]);
	assert_int_equal(proc_open(plan->tasks[0].pid, &fd, &err), 0);
	assert_int_equal(proc_maps(fd, arena, &maps, &err), 0);
	assert_true(maps.n > 0);
	for (size_t i = 0; i < maps.n; i++)
		assert_true(maps.v[i].end <= plan->tasks[0].hole || maps.v[i].start >= plan->tasks[0].hole + b.len);
	end_task(plan->tasks[0].pid);
	births_release(&b);
}

static void test_stopped(void **state)
{
	static const int signals[] = { 0, SIGTSTP, SIGSTOP }; /* 0: --leave-stopped */

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		cleanup_plan struct plan *plan = make_plan(3);
		struct err err = ERR_INIT;
		struct births b;
		pid_t tracer = -1;
		int status;

		memset(told, 0, sizeof(*told));
		plan->tasks[0].stop_signal = signals[i];
		program_call(plan->tasks[0].threads[0].prog, TASK_SESSION, "group", SYS_setpgid, A(0), A(0));
		if (make(plan, &b, signals[i] == 0, &err))
			fail_msg("%s: %s (errno %d)", err.object, err.reason, err.errnum);
		assert_int_equal(waitpid(plan->tasks[0].pid, &status, WUNTRACED), plan->tasks[0].pid);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(WSTOPSIG(status), signals[i] ? signals[i] : SIGSTOP);
		/* Let go by its tracer, a thread of a stopped group passes through the kernel once more before it sleeps. */
		for (int k = 0; k < 10000 && task_state(plan->tasks[0].pid, &tracer) != 'T'; k++)
			usleep(1000);
		assert_int_equal(task_state(plan->tasks[0].pid, &tracer), 'T');
		assert_int_equal(tracer, 0);
		for (int k = 0; k < 3; k++)
			assert_int_equal(told->tid[k], 0); /* nobody ran a single instruction of its own */
		kill(plan->tasks[0].pid, SIGCONT);
		for (int k = 0; k < 3; k++) {
			wait_told(&told->tid[k]);
			assert_int_not_equal(told->tid[k], 0);
		}
		end_task(plan->tasks[0].pid);
		births_release(&b);
	}
}

static void test_remaining_sleep(void **state)
{
	cleanup_plan struct plan *plan = make_plan(2);
	struct plan_thread *th = &plan->tasks[0].threads[0];
	struct err err = ERR_INIT;
	struct births b;
	uint64_t start = now_ns();

	memset(told, 0, sizeof(*told));
	asked = (struct timespec){ .tv_sec = 3600 };
	th->regs.r.rip = (uint64_t)(uintptr_t)after_nanosleep;
	th->regs.r.rax = (uint64_t)-EINTR;
	th->regs.r.rdi = (uint64_t)(uintptr_t)&asked;
	th->restart = (struct arch_restart){ .block = true, .nr = SYS_nanosleep, .arg = { (uint64_t)(uintptr_t)&asked } };
	th->restart_ns = 200000000;
	if (make(plan, &b, false, &err))
		fail_msg("%s: %s (errno %d)", err.object, err.reason, err.errnum);
	wait_told(&told->tid[0]);
	assert_int_equal(told->sleep_result, 0); /* and not EINTR */
	assert_true(told->slept_ns - start >= 200000000);
	end_task(plan->tasks[0].pid);
	births_release(&b);
}

/* A failing step is named with its errno, and nothing is left: neither process nor zombie. */
static void test_failing_step(void **state)
{
	for (size_t which = 0; which < 2; which++) {
		cleanup_plan struct plan *plan = make_plan(4);
		struct err err = ERR_INIT;
		struct births b;

		program_call(plan->tasks[0].threads[which ? 2 : 0].prog, THREAD_SELF, "cannot work", SYS_close, A(-5));
		if (make(plan, &b, false, &err) != -EBADF || err.errnum != EBADF)
			fail_msg("%s: %s (errno %d)", err.object, err.reason, err.errnum);
		assert_non_null(strstr(err.reason, "cannot work"));
		assert_non_null(strstr(err.reason, "close("));
		if (which)
			assert_non_null(strstr(err.object, "thread"));
		assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
		assert_int_equal(errno, ECHILD);
		births_release(&b);
	}
}

static void test_taken_pid(void **state)
{
	cleanup_plan struct plan *plan = make_plan(1);
	struct err err = ERR_INIT;
	struct births b;

	plan->tasks[0].pid = plan->tasks[0].threads[0].tid = getpid();
	assert_int_equal(make(plan, &b, false, &err), -EEXIST);
	births_release(&b);
}

static void test_death_at_step(void **state)
{
	cleanup_plan struct plan *plan = make_plan(2);
	struct err err = ERR_INIT;
	struct births b;

	program_call(plan->tasks[0].threads[1].prog, THREAD_SELF, "the end", SYS_exit_group, A(3));
	assert_int_not_equal(make(plan, &b, false, &err), 0);
	assert_non_null(strstr(err.reason, "exited with 3"));
	births_release(&b);
}

static void test_fault_points(void **state)
{
	static const char *const points[] = { "restore:after-clone=5", "restore:after-program=5", "restore:before-detach=5" };

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		cleanup_plan struct plan *plan = make_plan(3);
		struct err err = ERR_INIT;
		struct births b;

		setenv("CR_FAULT", points[i], 1);
		assert_int_equal(make(plan, &b, false, &err), -EIO);
		unsetenv("CR_FAULT");
		assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
		births_release(&b);
	}
}

static pid_t parent_of(pid_t pid)
{
	cleanup_fd int fd = -1;
	struct proc_stat st = { 0 };
	struct err err = ERR_INIT;

	return proc_open(pid, &fd, &err) || proc_stat(fd, "stat", &st, &err) ? 0 : st.ppid;
}

/* A controller of its own makes the plan's task, and exits with 0 when that worked. */
static void make_and_exit(struct plan *plan, enum born how)
{
	pid_t controller = fork();
	int status;

	assert_true(controller >= 0);
	if (!controller) {
		struct err err = ERR_INIT;
		struct births b;
		int ret = make_born(plan, &b, how, false, &err);

		if (ret)
			fprintf(stderr, "%s: %s (errno %d)\n", err.object, err.reason, err.errnum);
		else if (how == BORN_SIBLING && parent_of(plan->tasks[0].pid) != getppid())
			ret = 1;
		_exit(ret != 0);
	}
	assert_int_equal(waitpid(controller, &status, 0), controller);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A parent death signal that kills: a child gets it when the controller exits, an orphan and a sibling do not. */
static void test_parents(void **state)
{
	static const enum born ways[] = { BORN_CHILD, BORN_ORPHAN, BORN_SIBLING };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_plan struct plan *plan = make_plan(3);
		pid_t pid = plan->tasks[0].pid;
		int status;

		memset(told, 0, sizeof(*told));
		for (size_t k = 0; k < 3; k++)
			program_call(plan->tasks[0].threads[k].prog, THREAD_AFTER_CREDS, "parent death signal", SYS_prctl,
				     A(PR_SET_PDEATHSIG), A(SIGTERM));
		make_and_exit(plan, ways[i]);
		if (ways[i] != BORN_CHILD) {
			for (size_t k = 0; k < 3; k++)
				wait_told(&told->tid[k]);
			assert_int_equal(told->tid[2], pid + 2);
			assert_int_equal(parent_of(pid), getpid()); /* we are the next ancestor, or the controller's parent */
			assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
			kill(pid, SIGKILL);
		}
		/* Without __WALL: an ordinary child, whose end is told by SIGCHLD. */
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == (ways[i] == BORN_CHILD ? SIGTERM : SIGKILL));
	}
}

/* What fails leaves nothing, whoever the parent is. */
static void test_failing_parents(void **state)
{
	static const enum born ways[] = { BORN_ORPHAN, BORN_SIBLING };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		cleanup_plan struct plan *plan = make_plan(2);
		pid_t controller = fork();
		int status;

		assert_true(controller >= 0);
		if (!controller) {
			struct err err = ERR_INIT;
			struct births b;

			program_call(plan->tasks[0].threads[1].prog, THREAD_SELF, "cannot work", SYS_close, A(-5));
			if (make_born(plan, &b, ways[i], false, &err) != -EBADF)
				_exit(1);
			births_release(&b);
			err = (struct err)ERR_INIT;
			plan->tasks[0].pid = plan->tasks[0].threads[0].tid = getpid();
			_exit(make_born(plan, &b, ways[i], false, &err) != -EEXIST);
		}
		assert_int_equal(waitpid(controller, &status, 0), controller);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		/* Its corpse is ours to bury. */
		assert_int_equal(waitpid(plan->tasks[0].pid, &status, 0), plan->tasks[0].pid);
		assert_int_equal(waitpid(-1, &status, __WALL), -1);
	}
}

/* The controller dies: so does what it was making, at every named point. */
static void test_controller_death(void **state)
{
	static const char *const points[] = { "restore:after-clone", "restore:after-program", "restore:before-detach" };

	for (size_t i = 0; i < 3 * ARRAY_SIZE(points); i++) {
		cleanup_plan struct plan *plan = make_plan(3);
		pid_t controller = fork(), tracer;
		int status;

		assert_true(controller >= 0);
		if (!controller) {
			struct err err = ERR_INIT;
			struct births b;

			setenv("CR_FAULT", points[i % 3], 1);
			make_born(plan, &b, (enum born)(i / 3), false, &err);
			_exit(1);
		}
		assert_int_equal(waitpid(controller, &status, 0), controller);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		for (int k = 0; k < 5000; k++) {
			char st = task_state(plan->tasks[0].pid, &tracer);

			if (!st || st == 'Z')
				break;
			usleep(1000);
		}
		assert_int_equal(task_state(plan->tasks[0].pid, &tracer), 'Z'); /* ours to reap, as the next ancestor */
		assert_int_equal(waitpid(plan->tasks[0].pid, &status, __WALL), plan->tasks[0].pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

/* Descriptors of the controller's program move clear of the targets, and tasks find them there. */
static void test_slots(void **state)
{
	cleanup_plan struct plan *plan = make_plan(1);
	struct program *c = plan->controller, *p = plan->tasks[0].threads[0].prog;
	int targets[] = { 0, 1, 2, 40 };
	struct slots slots = { 0 };
	struct err err = ERR_INIT;
	uint32_t null = plan_slot(plan, "null"), rd = plan_slot(plan, "read end"), wr = plan_slot(plan, "write end");
	uint32_t mine = plan_slot_fd(plan, "mine", STDIN_FILENO);
	struct data_ref fds = program_data(c, NULL, 8);
	struct step_ref open_step, pipe_step;

	plan->fds = targets;
	plan->nfds = ARRAY_SIZE(targets);
	open_step = program_call(c, MAKE_OBJECTS, "open", SYS_openat, A((uint64_t)AT_FDCWD), A_DATA(program_string(c, "/dev/null")),
				 A(O_RDWR));
	plan_slot_is(plan, null, open_step);
	pipe_step = program_call(c, MAKE_OBJECTS, "pipe", SYS_pipe2, A_DATA(fds), A(0));
	plan_slot_from_data(plan, rd, pipe_step, fds, 0);
	plan_slot_from_data(plan, wr, pipe_step, fds, 4);
	program_call_eq(c, MAKE_CONTENT, "fill", 5, SYS_write, A_SLOT(wr), A_DATA(program_string(c, "hello")), A(5));
	program_call(c, MAKE_CONTENT, "result of a step that was moved", SYS_fcntl, A_RESULT(open_step), A(F_GETFD));
	program_call_eq(p, TASK_FILES, "in place", 1, SYS_dup3, A_SLOT(rd), A(1), A(0));
	assert_int_equal(controller_run(plan, NULL, &slots, &err), 0);
	for (size_t i = 0; i < slots.n; i++)
		assert_true(slots.fd[i] > 40);
	assert_true(slots.fd[mine] != STDIN_FILENO && fcntl(STDIN_FILENO, F_GETFD) >= 0);
	slots_close(&slots);
	(void)null;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),		cmocka_unit_test(test_region_unmapped),
		cmocka_unit_test(test_stopped),		cmocka_unit_test(test_remaining_sleep),
		cmocka_unit_test(test_failing_step),	cmocka_unit_test(test_taken_pid),
		cmocka_unit_test(test_death_at_step),	cmocka_unit_test(test_fault_points),
		cmocka_unit_test(test_controller_death), cmocka_unit_test(test_slots),
		cmocka_unit_test(test_parents),		cmocka_unit_test(test_failing_parents),
	};

	if (geteuid() != 0) {
		puts("skip: setting pids needs privileges");
		return 0;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
