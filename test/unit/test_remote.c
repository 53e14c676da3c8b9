/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing and borrowing threads, and dying while doing so. The victim checks its own registers, flags, sleeps and signals all
 * the time; whatever the dumper does and whenever it dies, the victim must go on and be as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/remote/frozen.h"

#define THREADS 11
/* signal(7): epoll_wait() ends with EINTR at a stop. A visitor that is killed before it has seen the stop cannot mend that. */
#define LENIENT 100
static volatile unsigned long *counters; /* shared with the victim */

/* Registers and flags must survive a long stay in user mode. */
static bool registers_hold(unsigned long x)
{
	unsigned long carry;
	int same = 0;

	__asm__ volatile("mov %2, %%rbx\n\tmov %2, %%r12\n\tmov %2, %%r13\n\tmov %2, %%r14\n\tmov %2, %%r15\n\t"
			 "mov %2, %%r8\n\tmov %2, %%r9\n\tmov %2, %%r10\n\tmov $3000, %%ecx\n\tstc\n"
			 "1:\tlea -1(%%ecx), %%ecx\n\tjecxz 2f\n\tjmp 1b\n"
			 "2:\tsetc %%al\n\tmovzbl %%al, %%eax\n\tmov %%rax, %0\n\t"
			 "cmp %2, %%rbx\n\tjne 3f\n\tcmp %2, %%r12\n\tjne 3f\n\tcmp %2, %%r13\n\tjne 3f\n\t"
			 "cmp %2, %%r14\n\tjne 3f\n\tcmp %2, %%r15\n\tjne 3f\n\tcmp %2, %%r8\n\tjne 3f\n\t"
			 "cmp %2, %%r9\n\tjne 3f\n\tcmp %2, %%r10\n\tjne 3f\n\tmovl $1, %1\n3:\n"
			 : "=m"(carry), "+m"(same)
			 : "D"(x)
			 : "rax", "rbx", "rcx", "r8", "r9", "r10", "r12", "r13", "r14", "r15", "cc", "memory");
	return same && carry == 1;
}

static void *victim_thread(void *arg)
{
	long k = (long)arg;
	unsigned long x = (unsigned long)k + 1;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	for (;;) {
		struct timespec ts = { 0, 300000 };
		struct epoll_event ev;
		sigset_t mask;

		if (!registers_hold(x))
			abort();
		x = x * 6364136223846793005ul + 1;
		if (k % 4 == 1 && nanosleep(&ts, NULL))
			abort(); /* EINTR without a signal */
		if (k % 4 == 2 && epoll_wait(ep, &ev, 1, 1) && !counters[LENIENT])
			abort();
		if (sigprocmask(SIG_BLOCK, NULL, &mask) || sigismember(&mask, SIGUSR1) || sigismember(&mask, SIGURG))
			abort();
		counters[k]++;
	}
	return NULL;
}

static pid_t start_victim(void)
{
	pid_t pid;

	memset((void *)counters, 0, THREADS * sizeof(*counters));
	pid = fork();
	if (!pid) {
		pthread_t t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (long i = 1; i < THREADS; i++)
			pthread_create(&t, NULL, victim_thread, (void *)i);
		victim_thread(0);
	}
	/* Every thread has made its mappings and gone round. */
	for (int k = 0; k < THREADS; k++)
		while (counters[k] < 3)
			usleep(1000);
	return pid;
}

static long count_maps(pid_t pid)
{
	char path[64];
	FILE *f;
	long n = 0;
	int c;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

struct visit { const struct program *p; struct step_ref tid; const struct freeze *fz; };

static int right_tid(void *ctx, size_t thread, struct err *err)
{
	const struct visit *v = ctx;

	return program_result(v->p, v->tid) == v->fz->threads[thread].tid ? 0 : -EINVAL;
}

/* One whole visit: freeze, ask every thread, let go. */
static int visit(pid_t victim, struct err *err)
{
	cleanup_program struct program *p = program_new(), *q = program_new();
	struct step_ref tid[2];
	struct remote *r;
	struct freeze fz;
	int ret = freeze_process(victim, 0, NULL, &fz, err);

	if (ret)
		return ret;
	for (int i = 0; i < 20; i++) {
		tid[0] = program_call(p, 0, "tid", SYS_gettid, A(0));
		tid[1] = program_call(q, 0, "tid", SYS_gettid, A(0));
	}
	ret = remote_open(&fz, &(struct remote_needs){ .size = program_size(p), .others = program_size(q) }, NULL, &r, err);
	if (!ret) {
		remote_prepare(r, p, true);
		remote_prepare(r, q, false);
		ret = remote_run(r, p, err);
		if (!ret)
			ret = right_tid(&(struct visit){ p, tid[0], &fz }, 0, err);
		if (!ret)
			ret = remote_run_others(r, q, &(struct remote_done){ NULL, right_tid, &(struct visit){ q, tid[1], &fz } }, err);
		ret = remote_close(r, err) ?: ret;
	}
	freeze_end(&fz, THAW_RUN);
	return ret;
}

static _Noreturn void visit_for_ever(pid_t victim)
{
	for (;;) {
		struct err err = ERR_INIT;
		int ret = visit(victim, &err);

		if (ret == -EBUSY)
			usleep(1000);
		else if (ret) {
			err_print(&err, "visitor", false, stderr);
			_exit(3);
		}
	}
}

/* The victim must be as before: every thread counts, nothing was added to its address space. */
static void assert_unharmed(pid_t victim, long maps)
{
	unsigned long then[THREADS];
	int status;
	bool ok = false;

	for (int k = 0; k < THREADS; k++)
		then[k] = counters[k];
	for (int wait = 0; wait < 15000 && !ok; wait++) {
		ok = count_maps(victim) == maps;
		for (int k = 0; k < THREADS; k++)
			ok = ok && counters[k] > then[k] + 1;
		if (waitpid(victim, &status, WNOHANG)) {
			fail_msg("the victim died: status 0x%x", status);
			return;
		}
		usleep(1000);
	}
	assert_true(ok);
}

static void end_victim(pid_t victim)
{
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	counters[LENIENT] = 0;
}

static void a_visit_gets_answers_and_leaves_nothing(void **state)
{
	pid_t victim = start_victim();
	long maps = count_maps(victim);

	for (int i = 0; i < 50; i++) {
		struct err err = ERR_INIT;
		int ret = visit(victim, &err);

		if (ret)
			err_print(&err, "visit", false, stderr);
		assert_int_equal(ret, 0);
	}
	assert_unharmed(victim, maps);
	end_victim(victim);
}

static void a_visitor_may_die_at_every_named_point(void **state)
{
	static const char *const points[] = {
		"dump:agent-written", "dump:in-mmap",	 "dump:mapped",	    "dump:holder-ready", "dump:holder-in",
		"dump:holder-runs",   "dump:holder-ran", "dump:guest-perhaps", "dump:guest-in",	 "dump:guest-expected",
		"dump:guest-runs",    "dump:guest-ran",     "dump:guest-out",	 "dump:in-munmap",  "dump:agent-left",
	};
	pid_t victim = start_victim();
	long maps = count_maps(victim);

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		pid_t visitor = fork();
		int status;

		if (!visitor) {
			setenv("CR_FAULT", points[i], 1);
			visit_for_ever(victim);
		}
		waitpid(visitor, &status, 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_unharmed(victim, maps);
	}
	end_victim(victim);
}

static void a_visitor_may_be_killed_at_any_instant(void **state)
{
	pid_t victim = start_victim();
	long maps = count_maps(victim);
	unsigned seed = (unsigned)getpid();

	counters[LENIENT] = 1;
	print_message("seed %u\n", seed);
	for (int i = 0; i < 200; i++) {
		pid_t visitor = fork();
		struct timespec ts = { 0, rand_r(&seed) % 6000 * 1000 };
		int status;

		if (!visitor)
			visit_for_ever(victim);
		nanosleep(&ts, NULL);
		kill(visitor, SIGKILL);
		waitpid(visitor, &status, 0);
		assert_true(WIFSIGNALED(status));
		/* The next visitor comes at once every other time: it must get along with what the last one left. */
		if (i % 2)
			assert_unharmed(victim, maps);
	}
	assert_unharmed(victim, maps);
	end_victim(victim);
}

static void unfit_targets_are_refused(void **state)
{
	struct freeze fz;
	struct err err = ERR_INIT;
	pid_t zombie = fork(), tracer;
	int status, ready[2];

	if (!zombie)
		_exit(0);
	usleep(20000);
	assert_true(freeze_process(zombie, 0, NULL, &fz, &err) < 0);
	assert_int_equal(err.kind, ERR_REFUSED);
	waitpid(zombie, &status, 0);
	err = (struct err)ERR_INIT;
	assert_true(freeze_process(zombie, 0, NULL, &fz, &err) < 0);
	assert_int_equal(err.errnum, ESRCH);
	err = (struct err)ERR_INIT;
	assert_true(freeze_process(getpid(), 0, NULL, &fz, &err) < 0);
	err = (struct err)ERR_INIT;
	assert_true(freeze_process(1, 0, NULL, &fz, &err) < 0);
	assert_int_equal(err.kind, ERR_REFUSED);

	/* Somebody else's tracee: the tracer is named. */
	pid_t victim = start_victim();

	assert_int_equal(pipe(ready), 0);
	tracer = fork();
	if (!tracer) {
		if (ptrace(PTRACE_SEIZE, victim, 0, 0) || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &status, 1), 1);
	err = (struct err)ERR_INIT;
	assert_true(freeze_process(victim, 0, NULL, &fz, &err) < 0);
	assert_non_null(strstr(err.reason, "traced by pid"));
	kill(tracer, SIGKILL);
	waitpid(tracer, &status, 0);
	end_victim(victim);
}

static int proc_of(pid_t pid)
{
	struct err err = ERR_INIT;
	int fd = -1;

	assert_int_equal(proc_open(pid, &fd, &err), 0);
	return fd;
}

static struct freeze knows(pid_t victim, pid_t first, pid_t second)
{
	struct freeze fz = { .pid = victim, .mem_fd = -1 };

	array_reserve(&fz.threads, &fz.cap, 2, sizeof(*fz.threads));
	fz.threads[fz.nthreads++] = (struct frozen_thread){ .tid = first };
	if (second)
		fz.threads[fz.nthreads++] = (struct frozen_thread){ .tid = second };
	fz.settled = 1;
	return fz;
}

/* When execve(2) made another thread the leader, a thread that it made since may be found before it. */
static void the_leader_stands_first_whenever_it_is_found(void **state)
{
	pid_t victim = start_victim(), other = victim + 1;
	struct err err = ERR_INIT;
	int status, fd = proc_of(victim), ret;
	char path[64];

	for (;; other++) {
		snprintf(path, sizeof(path), "task/%d", other);
		if (!faccessat(fd, path, F_OK, 0))
			break;
	}
	freeze_wait_begin();
	assert_int_equal(ptrace(PTRACE_SEIZE, other, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, other, NULL, NULL), 0);
	assert_int_equal(waitpid(other, &status, __WALL), other);
	struct freeze fz = knows(victim, other, 0);

	while ((ret = freeze_seize(&fz, fd, &err)) > 0)
		assert_int_equal(freeze_settle(&fz, fd, now_ns() + 10000000000ull, &err), 0);
	assert_int_equal(ret, 0);
	assert_int_equal(fz.nthreads, THREADS);
	assert_int_equal(fz.threads[0].tid, victim);
	close(fd);
	freeze_end(&fz, THAW_RUN);
	end_victim(victim);
}

/* A leader that was looked at, and then became another by execve(2): ours already, running on or in a stop that nobody has seen. */
static void a_leader_that_is_another_now_is_looked_at_again(void **state)
{
	for (int stopped = 0; stopped < 2; stopped++) {
		pid_t victim = start_victim(), gone = fork();
		struct err err = ERR_INIT;
		int fd = proc_of(victim);
		siginfo_t si;

		if (!gone)
			_exit(0);
		assert_int_equal(waitpid(gone, NULL, 0), gone);
		freeze_wait_begin();
		assert_int_equal(ptrace(PTRACE_SEIZE, victim, NULL, NULL), 0);
		if (stopped) {
			assert_int_equal(ptrace(PTRACE_INTERRUPT, victim, NULL, NULL), 0);
			assert_int_equal(waitid(P_PID, (id_t)victim, &si, WSTOPPED | WNOWAIT | __WALL), 0);
		}
		struct freeze fz = knows(victim, victim, gone);

		assert_int_equal(freeze_settle(&fz, fd, now_ns() + 10000000000ull, &err), 0);
		assert_int_equal(fz.nthreads, 1);
		assert_int_not_equal(arch_ip(&fz.threads[0].regs), 0);
		close(fd);
		freeze_end(&fz, THAW_RUN);
		end_victim(victim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_visit_gets_answers_and_leaves_nothing),
		cmocka_unit_test(a_visitor_may_die_at_every_named_point),
		cmocka_unit_test(a_visitor_may_be_killed_at_any_instant),
		cmocka_unit_test(unfit_targets_are_refused),
		cmocka_unit_test(the_leader_stands_first_whenever_it_is_found),
		cmocka_unit_test(a_leader_that_is_another_now_is_looked_at_again),
	};

	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
