/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plans of all state kinds of common/task: the steps they make of an image, and what they refuse to make steps
 * of. */
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/task/posix_timer.h"

struct fixture {
	struct arena *arena;
	struct plan *plan;
	struct plan_task pt;
	struct plan_thread pth;
	struct model m;
	struct model_task task;
	struct model_thread thread;
	PstreeEntry pstree;
	CoreEntry core;
	TaskCoreEntry tc;
	ThreadCoreEntry tcore;
	TaskTimersEntry timers;
	ItimerEntry itimer[3];
	struct err err;
};

static int setup(void **state)
{
	struct fixture *f = xzalloc(sizeof(*f));

	f->arena = arena_new();
	f->plan = plan_new();
	pstree_entry__init(&f->pstree);
	core_entry__init(&f->core);
	task_core_entry__init(&f->tc);
	thread_core_entry__init(&f->tcore);
	task_timers_entry__init(&f->timers);
	for (int i = 0; i < 3; i++)
		itimer_entry__init(&f->itimer[i]);
	f->timers.real = &f->itimer[0], f->timers.virt = &f->itimer[1], f->timers.prof = &f->itimer[2];
	f->tc.timers = &f->timers;
	f->tc.task_state = 1;
	f->tc.comm = (char *)"leader";
	f->core.tc = &f->tc;
	f->core.thread_core = &f->tcore;
	f->pstree.pid = f->pstree.sid = f->pstree.pgid = 100;
	f->thread = (struct model_thread){ 100, &f->core };
	f->task = (struct model_task){ .pstree = &f->pstree, .threads = &f->thread, .nthreads = 1 };
	f->pth = (struct plan_thread){ .tid = 100, .prog = program_new() };
	f->pt = (struct plan_task){ .pid = 100, .threads = &f->pth, .nthreads = 1 };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	program_free(f->pth.prog);
	plan_free(f->plan);
	arena_free(f->arena);
	free(f);
	return 0;
}

static const struct state_kind *kind(const char *name)
{
	for (size_t i = 0; state_kinds[i]; i++)
		if (!strcmp(state_kinds[i]->name, name))
			return state_kinds[i];
	fail_msg("no kind is named %s", name);
	return NULL;
}

static int run(struct fixture *f, const char *name)
{
	const struct state_kind *k = kind(name);

	f->err = (struct err)ERR_INIT;
	return k->plan(&f->m, &f->task, &f->thread, f->plan, &f->pt, &f->pth, &f->err);
}

static size_t steps(const struct fixture *f) { return program_steps(f->pth.prog); }

static void refuses(struct fixture *f, const char *name, enum err_kind how, const char *word)
{
	assert_true(run(f, name) < 0);
	assert_int_equal(f->err.kind, how);
	if (!strstr(f->err.reason, word))
		fail_msg("\"%s\" does not say \"%s\"", f->err.reason, word);
}

static const uint64_t *arg_data(const struct fixture *f, size_t step, int arg)
{
	const struct arg *a = program_args(f->pth.prog, step);
	size_t len;

	assert_int_equal(a[arg].kind, ARG_DATA);
	return (const void *)((const char *)program_data_bytes(f->pth.prog, &len) + a[arg].v);
}

static void test_state(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "task"), 0);
	assert_int_equal(f->pt.stop_signal, 0);
	f->tc.task_state = 3;
	assert_int_equal(run(f, "task"), 0);
	assert_int_equal(f->pt.stop_signal, SIGSTOP);
	f->tc.has_stop_signo = true;
	f->tc.stop_signo = SIGTSTP;
	assert_int_equal(run(f, "task"), 0);
	assert_int_equal(f->pt.stop_signal, SIGTSTP);
	f->tc.stop_signo = SIGUSR1;
	refuses(f, "task", ERR_IMAGE, "stops nothing");
	f->tc.task_state = 2;
	refuses(f, "task", ERR_REFUSED, "zombie");
	f->tc.task_state = 7;
	refuses(f, "task", ERR_IMAGE, "task state 7");
}

static void test_session(void **state)
{
	struct fixture *f = *state;
	int64_t want;

	assert_int_equal(run(f, "session"), 0);
	assert_int_equal(program_nr(f->pth.prog, 0), SYS_setsid);
	assert_int_equal(program_expect(f->pth.prog, 0, &want), EXPECT_EQ);
	assert_int_equal(want, 100);
	f->pstree.sid = 50;
	assert_int_equal(run(f, "session"), 0);
	assert_int_equal(program_nr(f->pth.prog, 1), SYS_setpgid);
	f->pstree.pgid = 60;
	assert_int_equal(run(f, "session"), 0);
	assert_int_equal(steps(f), 2);
}

static void test_sigaction(void **state)
{
	struct fixture *f = *state;
	SaEntry sa[62], *v[62];

	for (int i = 0; i < 62; i++) {
		sa_entry__init(&sa[i]);
		sa[i].sigaction = (uint64_t)(1000 + i);
		v[i] = &sa[i];
	}
	f->tc.sigactions = v;
	f->tc.n_sigactions = 61;
	refuses(f, "signal dispositions", ERR_IMAGE, "61 signal dispositions");
	f->tc.n_sigactions = 62;
	assert_int_equal(run(f, "signal dispositions"), 0);
	assert_int_equal(steps(f), 62);
	/* Entry 8 is signal 10, because 9 has none; entry 61 is signal 64. */
	assert_int_equal(program_args(f->pth.prog, 8)[0].v, 10);
	assert_int_equal(arg_data(f, 8, 1)[0], 1008);
	assert_int_equal(program_args(f->pth.prog, 61)[0].v, 64);
	assert_int_equal(arg_data(f, 61, 1)[0], 1061);
	sa[3].has_compat_sigaction = sa[3].compat_sigaction = true;
	refuses(f, "signal dispositions", ERR_REFUSED, "32-bit");
}

static void test_sigqueue(void **state)
{
	struct fixture *f = *state;
	siginfo_t si[3] = { { .si_signo = SIGUSR1 }, { .si_signo = 40 }, { .si_signo = SIGSTOP } };
	SiginfoEntry e[3], *v[3];
	SignalQueueEntry q = SIGNAL_QUEUE_ENTRY__INIT;

	for (int i = 0; i < 3; i++) {
		siginfo_entry__init(&e[i]);
		e[i].siginfo = (ProtobufCBinaryData){ sizeof(si[i]), (uint8_t *)&si[i] };
		v[i] = &e[i];
	}
	q.signals = v;
	q.n_signals = 3;
	f->tc.signals_s = f->tcore.signals_p = &q;
	assert_int_equal(run(f, "pending signals of the process"), 0);
	assert_int_equal(steps(f), 2);
	assert_int_equal(program_nr(f->pth.prog, 0), SYS_rt_sigqueueinfo);
	assert_int_equal(program_args(f->pth.prog, 1)[1].v, 40);
	assert_int_equal(f->pt.stop_signal, SIGSTOP);
	assert_int_equal(run(f, "pending signals"), 0);
	assert_int_equal(program_nr(f->pth.prog, 2), SYS_rt_tgsigqueueinfo);
	si[0].si_signo = 65;
	refuses(f, "pending signals", ERR_IMAGE, "number 65");
	e[0].siginfo.len = 127;
	refuses(f, "pending signals", ERR_IMAGE, "127 bytes");
}

static void test_itimer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "interval timers"), 0);
	assert_int_equal(steps(f), 0);
	f->itimer[0].iusec = 50000;
	assert_int_equal(run(f, "interval timers"), 0);
	assert_int_equal(steps(f), 1);
	assert_int_equal(arg_data(f, 0, 1)[1], 50000);
	assert_int_equal(arg_data(f, 0, 1)[3], 50000); /* armed with the interval */
	f->itimer[2].vusec = 1000000;
	refuses(f, "interval timers", ERR_IMAGE, "invalid value");
	f->tc.timers = NULL;
	refuses(f, "interval timers", ERR_IMAGE, "no timers");
}

static void test_posix_timer(void **state)
{
	struct fixture *f = *state;
	PosixTimerEntry t[2], *v[2] = { &t[0], &t[1] };

	posix_timer_entry__init(&t[0]);
	posix_timer_entry__init(&t[1]);
	t[0].it_id = 3, t[1].it_id = 1;
	t[0].si_signo = t[1].si_signo = SIGALRM;
	t[0].clock_id = (uint32_t)-6;
	f->timers.posix = v;
	f->timers.n_posix = 2;
	assert_int_equal(run(f, "POSIX timers"), 0);
	/* prctl, skip 0, make 1, skip 2, make 3, prctl, arm both */
	assert_int_equal(steps(f), 1 + 2 + 1 + 2 + 1 + 1 + 2);
	assert_int_equal(program_nr(f->pth.prog, 1), SYS_timer_create);
	assert_int_equal(program_nr(f->pth.prog, 2), SYS_timer_delete);
	assert_int_equal((int64_t)program_args(f->pth.prog, 6)[0].v, -6);
	assert_int_equal(program_args(f->pth.prog, 8)[0].v, 1);
	/* Ids far apart are asked for, and must be had. */
	t[0].it_id = 1000000;
	assert_int_equal(run(f, "POSIX timers"), 0);
	assert_int_equal(steps(f), 10 + 6);
	assert_int_equal(program_expect(f->pth.prog, 10, &(int64_t){ 0 }), EXPECT_OK);
	t[0].it_id = 1;
	refuses(f, "POSIX timers", ERR_IMAGE, "twice");
	t[0].it_id = 2;
	t[0].it_sigev_notify = SIGEV_THREAD_ID;
	t[0].has_notify_thread_id = true;
	t[0].notify_thread_id = 101;
	refuses(f, "POSIX timers", ERR_IMAGE, "not in the images");
	t[0].notify_thread_id = 100;
	t[1].vnsec = 1000000000;
	refuses(f, "POSIX timers", ERR_IMAGE, "invalid time");
}

/* Which thread a clock stands for, by its id and by where it stands. */
static void test_timer_clock(void **state)
{
	static const struct thread_clock v[] = { { 11, 500 }, { 12, 700 }, { 13, 500 }, { 14, 0 } };
	const struct thread_clock *second;

	assert_int_equal(timer_clock_owner(v, 4, 700, &second)->tid, 12);
	assert_null(second);
	assert_null(timer_clock_owner(v, 4, 501, &second));
	assert_null(second);
	assert_null(timer_clock_owner(v, 4, 500, &second));
	assert_int_equal(second->tid, 13);
	assert_int_equal(timer_clock_owner(v, 2, 500, &second)->tid, 11);
	assert_null(timer_clock_owner(v, 0, 500, &second));
	for (pid_t tid = 1; tid < 1 << 22; tid = 3 * tid + 1) {
		assert_int_equal(clock_pid(clock_of_thread(tid)), tid);
		assert_true(clock_of_thread(tid) < 0 && !clock_is_makers(clock_of_thread(tid)));
	}
	assert_true(clock_is_makers(CLOCK_THREAD_CPUTIME_ID) && clock_is_makers(-2) && clock_is_makers(-4));
	assert_false(clock_is_makers(CLOCK_PROCESS_CPUTIME_ID) || clock_is_makers(-6) || clock_is_makers(-5) || clock_is_makers(0));
}

static void test_rlimit(void **state)
{
	struct fixture *f = *state;
	TaskRlimitsEntry r = TASK_RLIMITS_ENTRY__INIT;
	RlimitEntry e[17], *v[17];

	refuses(f, "resource limits", ERR_IMAGE, "no resource limits");
	for (int i = 0; i < 17; i++) {
		rlimit_entry__init(&e[i]);
		v[i] = &e[i];
		e[i].cur = UINT64_MAX;
		e[i].max = 10;
	}
	r.rlimits = v;
	f->tc.rlimits = &r;
	r.n_rlimits = 17;
	refuses(f, "resource limits", ERR_IMAGE, "17 resource limits");
	r.n_rlimits = 16;
	assert_int_equal(run(f, "resource limits"), 0);
	assert_int_equal(steps(f), 16);
	assert_int_equal(arg_data(f, 7, 2)[0], 10); /* clamped */
}

static void count_line(void *ctx, const char *object, const char *line)
{
	(*(int *)ctx)++;
	assert_non_null(strstr(object, "100"));
}

static void test_preflight(void **state)
{
	struct fixture *f = *state;
	TaskRlimitsEntry r = TASK_RLIMITS_ENTRY__INIT;
	RlimitEntry e[2], *v[2] = { &e[0], &e[1] };
	struct proc_limits own = { 0 };
	struct task_own me = { .st = { .cap_prm = 1, .cap_bnd = 1 }, .known_caps = (2ull << 40) - 1 };
	CredsEntry c = CREDS_ENTRY__INIT;
	uint32_t prm[2] = { 3, 0 }, bnd[2] = { 3, 0x80000000u };
	int lines = 0;
	struct task_report report = { count_line, &lines, NULL };

	rlimit_entry__init(&e[0]);
	rlimit_entry__init(&e[1]);
	e[1].max = 5;
	r.rlimits = v;
	r.n_rlimits = 2;
	f->tc.rlimits = &r;
	task_rlimit_preflight(&f->tc, 100, true, &own, &report);
	assert_int_equal(lines, 0);
	task_rlimit_preflight(&f->tc, 100, false, &own, &report);
	assert_int_equal(lines, 1);
	/* One value for both that come from the size of the host: no loss. */
	RlimitEntry all[16], *va[16];
	for (int i = 0; i < 16; i++) {
		rlimit_entry__init(&all[i]);
		va[i] = &all[i];
	}
	all[6].cur = all[6].max = all[11].cur = all[11].max = 9;
	r.rlimits = va;
	r.n_rlimits = 16;
	task_rlimit_preflight(&f->tc, 100, false, &own, &report);
	assert_int_equal(lines, 1);
	all[6].cur = 8;
	task_rlimit_preflight(&f->tc, 100, false, &own, &report);
	assert_int_equal(lines, 2);
	lines = 1;
	c.n_cap_prm = c.n_cap_bnd = 2;
	c.cap_prm = prm;
	c.cap_bnd = bnd; /* the highest bit is of no capability that this kernel knows */
	f->tcore.creds = &c;
	assert_true(task_creds_preflight(&f->tcore, 100, &me, &report));
	assert_int_equal(lines, 2);
	bnd[0] = 1;
	assert_false(task_creds_preflight(&f->tcore, 100, &me, &report));
	assert_int_equal(lines, 2);
	me.st.cap_bnd = 1;

	/* Each difference takes its capability, and nothing else. */
	c.n_cap_inh = c.n_cap_eff = 2;
	c.cap_inh = c.cap_eff = (uint32_t[2]){ 0 };
	prm[0] = 1;
	assert_int_equal(task_creds_privileges(&c, &me), 0);
	prm[0] = 3;
	assert_int_equal(task_creds_privileges(&c, &me), 2);
	prm[0] = 1;
	me.st.cap_bnd = 5;
	assert_int_equal(task_creds_privileges(&c, &me), 1 << CAP_SETPCAP);
	me.st.cap_bnd = 1;
	c.secbits = 1;
	assert_int_equal(task_creds_privileges(&c, &me), 1 << CAP_SETPCAP);
	c.secbits = 0;
	c.suid = 7;
	assert_int_equal(task_creds_privileges(&c, &me), 1 << CAP_SETUID);
	me.st.uid[0] = 7;
	assert_int_equal(task_creds_privileges(&c, &me), 0);
	c.fsgid = 8;
	assert_int_equal(task_creds_privileges(&c, &me), 1 << CAP_SETGID);
	c.fsgid = 0;
	c.groups = (uint32_t[1]){ 9 };
	c.n_groups = 1;
	assert_int_equal(task_creds_privileges(&c, &me), 1 << CAP_SETGID);
	me.st.groups = (uint32_t[1]){ 9 };
	me.st.ngroups = 1;
	assert_int_equal(task_creds_privileges(&c, &me), 0);
}

static void test_sched(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "scheduling policy"), 0);
	assert_int_equal(steps(f), 0);
	f->tcore.has_sched_policy = f->tcore.has_sched_nice = true;
	f->tcore.sched_nice = 5;
	assert_int_equal(run(f, "scheduling policy"), 0);
	assert_int_equal(steps(f), 1);
	assert_int_equal((int32_t)arg_data(f, 0, 1)[2], 5);
	f->tcore.sched_policy = 1 | 0x40000000; /* FIFO, reset on fork */
	refuses(f, "scheduling policy", ERR_IMAGE, "do not go together");
	f->tcore.has_sched_prio = true;
	f->tcore.sched_prio = 7;
	assert_int_equal(run(f, "scheduling policy"), 0);
	assert_int_equal(steps(f), 3);
	assert_int_equal(program_nr(f->pth.prog, 1), SYS_setpriority);
	assert_int_equal(arg_data(f, 2, 1)[1], 1); /* flags */
	f->tcore.sched_policy = 6;
	f->tcore.sched_prio = 0;
	refuses(f, "scheduling policy", ERR_IMAGE, "deadline");
}

static void test_creds(void **state)
{
	struct fixture *f = *state;
	CredsEntry c = CREDS_ENTRY__INIT;
	uint32_t all[2] = { UINT32_MAX, UINT32_MAX }, none[2] = { 0, 0 };
	size_t n;

	refuses(f, "credentials", ERR_IMAGE, "no credentials");
	f->tcore.creds = &c;
	refuses(f, "credentials", ERR_IMAGE, "two words");
	c.n_cap_inh = c.n_cap_prm = c.n_cap_eff = c.n_cap_bnd = 2;
	c.cap_prm = c.cap_eff = c.cap_bnd = all;
	c.cap_inh = none;
	c.has_no_new_privs = c.no_new_privs = true;
	assert_int_equal(run(f, "credentials"), 0);
	n = steps(f);
	/* The last that may be done: nothing can be gained after it. */
	assert_int_equal(program_args(f->pth.prog, n - 1)[0].v, 38 /* PR_SET_NO_NEW_PRIVS */);
	assert_int_equal(program_nr(f->pth.prog, n - 2), SYS_capset);
	assert_int_equal(program_args(f->pth.prog, n - 3)[0].v, 28 /* PR_SET_SECUREBITS */);
	c.cap_bnd = none;
	assert_int_equal(run(f, "credentials"), 0);
	assert_true(steps(f) - n >= n + 41);
	c.lsm_profile = (char *)"docker-default";
	refuses(f, "credentials", ERR_REFUSED, "docker-default");
}

static void test_small(void **state)
{
	struct fixture *f = *state;
	RseqEntry rseq = RSEQ_ENTRY__INIT;
	RestartEntry restart = RESTART_ENTRY__INIT;
	uint64_t args[7] = { 0 };
	size_t n;

	f->tcore.comm = (char *)"sixteen-bytes-ok";
	refuses(f, "comm", ERR_IMAGE, "longer than 15");
	f->tcore.futex_rla = 4096;
	refuses(f, "robust futex list", ERR_IMAGE, "0 bytes");
	f->tcore.rseq_entry = &rseq;
	assert_int_equal(run(f, "rseq"), 0);
	rseq.rseq_abi_pointer = 32;
	refuses(f, "rseq", ERR_IMAGE, "0 bytes");
	f->tcore.has_pdeath_sig = true;
	f->tcore.pdeath_sig = 65;
	refuses(f, "parent death signal", ERR_IMAGE, "65");
	f->tc.has_oom_score_adj = true;
	f->tc.oom_score_adj = 1001;
	refuses(f, "oom_score_adj", ERR_IMAGE, "1001");
	f->tc.has_coredump_filter = true;
	f->tc.coredump_filter = 0x200;
	refuses(f, "coredump_filter", ERR_IMAGE, "0x200");
	f->tc.has_membarrier_registration_mask = true;
	f->tc.membarrier_registration_mask = 0x11;
	refuses(f, "membarrier registrations", ERR_IMAGE, "0x11");
	f->tc.membarrier_registration_mask = 0x14;
	n = steps(f);
	assert_int_equal(run(f, "membarrier registrations"), 0);
	assert_int_equal(steps(f), n + 2);
	f->tcore.has_affinity = true;
	refuses(f, "CPU affinity", ERR_IMAGE, "0 bytes");
	f->tc.personality = UINT32_MAX;
	refuses(f, "personality", ERR_IMAGE, "0xffffffff");
	f->tcore.restart = &restart;
	restart.args = args;
	restart.n_args = 6;
	restart.nr = SYS_nanosleep;
	assert_int_equal(run(f, "registers"), 0);
	restart.nr = SYS_kill;
	refuses(f, "registers", ERR_IMAGE, "no remaining time");
}

/* A thread that is about to run a handler gets the EINTR that the kernel would give it, and no other. */
static void test_interrupt(void **state)
{
	static const struct { long nr, result; bool restarts, eintr; } cases[] = {
		{ SYS_pause, -514, false, true }, { SYS_pause, -514, true, true },  { SYS_read, -512, false, true },
		{ SYS_read, -512, true, false },  { SYS_clone, -513, false, false }, { SYS_read, 7, false, false },
		{ -1, -514, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arch_regs regs = { 0 };

		regs.r.orig_rax = (uint64_t)cases[i].nr;
		regs.r.rax = (uint64_t)cases[i].result;
		arch_interrupt_syscall(&regs, cases[i].restarts);
		assert_int_equal((int64_t)regs.r.rax, cases[i].eintr ? -4 : cases[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_state), T(test_session), T(test_sigaction), T(test_sigqueue), T(test_itimer),
		T(test_posix_timer), T(test_timer_clock), T(test_rlimit), T(test_preflight), T(test_sched), T(test_creds), T(test_small), T(test_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
