/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The /proc parsers against texts that Linux 6.18 wrote (test/golden/proc), against damaged ones, and against the live files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/base/io.h"
#include "common/proc/proc.h"

static char *golden(const char *name)
{
	char path[256], *text;
	const char *top = getenv("TOP");

	snprintf(path, sizeof(path), "%s/test/golden/proc/%s", top ? top : ".", name);
	assert_int_equal(read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
	return text;
}

static void test_stat(void **state)
{
	static const struct { const char *file, *comm; char st; int threads; } cases[] = {
		{ "stat", "cap", 'R', 1 }, { "stat-parens", "a) R 1 (b", 'R', 2 }, { "stat-newline", "x\n\\y \t:z", 'R', 2 },
		{ "stat-zombie", "cap", 'Z', 1 }, { "stat-kthread", "kthreadd", 'S', 1 },
	};
	struct proc_stat s;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *text = golden(cases[i].file);

		assert_int_equal(proc_parse_stat(text, &s), 0);
		assert_string_equal(s.comm, cases[i].comm);
		assert_int_equal(s.state, cases[i].st);
		assert_int_equal(s.num_threads, cases[i].threads);
		/* Every shorter text but the final newline misses something. */
		text[strlen(text) - 6] = 0;
		assert_int_equal(proc_parse_stat(text, &s), -EINVAL);
	}
	cleanup_free char *text = golden("stat-parens");
	assert_int_equal(proc_parse_stat(text, &s), 0);
	assert_int_equal(s.pid, 25647);
	assert_int_equal(s.session, 2901);
	assert_int_equal(s.start_time, 257971);
	assert_int_equal(s.start_code, 94079273074688);
	assert_int_equal(s.start_stack, 140735953646672);
	assert_int_equal(s.exit_signal, -1);
	assert_int_equal(s.start_brk, 94079865020416);
	assert_int_equal(s.arg_start, 140735953648042);
	assert_int_equal(s.env_end, 140735953649647);
	assert_int_equal(s.exit_code, 0);
	cleanup_free char *zombie = golden("stat-zombie");
	assert_int_equal(proc_parse_stat(zombie, &s), 0);
	assert_int_equal(s.exit_code, 3 << 8);
	assert_int_equal(proc_parse_stat("", &s), -EINVAL);
	assert_int_equal(proc_parse_stat("1 (a", &s), -EINVAL);
	assert_int_equal(proc_parse_stat(")1 (a", &s), -EINVAL);
}

static void test_status(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *plain = golden("status"), *groups = golden("status-groups"), *esc = golden("status-escapes");
	cleanup_free char *kthread = golden("status-kthread"), *zombie = golden("status-zombie");
	struct proc_status s;

	assert_int_equal(proc_parse_status(plain, a, &s), 0);
	assert_string_equal(s.comm, "cap");
	assert_true(s.has_umask);
	assert_int_equal(s.umask, 022);
	assert_int_equal(s.ngroups, 0);
	assert_int_equal(s.nspid_depth, 1);
	assert_int_equal(s.nspid, s.pid);
	assert_int_equal(s.thp_enabled, 1);
	assert_int_equal(s.cap_eff, 0x1fffeffffff);
	assert_int_equal(s.vm_lck_kb, 8);
	assert_int_equal(proc_parse_status(groups, a, &s), 0);
	assert_string_equal(s.comm, "a) R 1 (b");
	assert_int_equal(s.ngroups, 300);
	assert_int_equal(s.groups[299], 1000 + 299 * 7);
	assert_int_equal(s.threads, 2);
	assert_int_equal(proc_parse_status(esc, a, &s), 0);
	assert_string_equal(s.comm, "x\n\\y \t:z");
	assert_int_equal(proc_parse_status(kthread, a, &s), 0);
	assert_int_equal(s.thp_enabled, -1);
	assert_int_equal(proc_parse_status(zombie, a, &s), 0);
	assert_int_equal(s.state, 'Z');
	strstr(plain, "CapEff")[0] = 'X';
	assert_int_equal(proc_parse_status(plain, a, &s), -EINVAL);
	memcpy(strstr(groups, "\t1000"), "\t10x0", 5);
	assert_int_equal(proc_parse_status(groups, a, &s), -EINVAL);
	memcpy(strstr(esc, "SigIgn"), "SigBlk", 6);
	assert_int_equal(proc_parse_status(esc, a, &s), -EINVAL);
}

static const struct proc_map *named(const struct proc_maps *m, const char *part)
{
	for (size_t i = 0; i < m->n; i++)
		if (strstr(m->v[i].name, part))
			return &m->v[i];
	fail_msg("no mapping is called %s", part);
	return NULL;
}

static void test_maps(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *maps_text = golden("maps"), *smaps_text = golden("smaps");
	struct proc_maps m, s;
	const struct proc_map *x;
	uint64_t all = 0;

	assert_int_equal(proc_parse_maps(maps_text, a, &m), 0);
	assert_int_equal(proc_parse_smaps(smaps_text, a, &s), 0);
	assert_int_equal(m.n, s.n);
	for (size_t i = 0; i < m.n; i++) {
		assert_int_equal(m.v[i].start, s.v[i].start);
		assert_int_equal(m.v[i].end, s.v[i].end);
		assert_string_equal(m.v[i].name, s.v[i].name);
		assert_true(s.v[i].has_flags);
		assert_int_equal(!!(s.v[i].vmflags & VMF(wr)), s.v[i].write);
		assert_int_equal(!!(s.v[i].vmflags & VMF(sh)), s.v[i].shared);
		all |= s.v[i].vmflags;
	}
	assert_int_equal(m.v[0].start, 0x559089a6e000);
	assert_int_equal(m.v[0].dev_major, 0xfe);
	assert_int_equal(m.v[0].ino, 10953394);
	assert_ptr_equal(m.v[0].name, m.v[1].name); /* stored once */
	assert_int_equal(m.v[1].pgoff, 0x2000);
	x = named(&m, "/a b");
	assert_non_null(strstr(x->name, "/a b\nc"));
	assert_false(x->deleted);
	assert_true(x->shared);
	assert_true(named(&m, "memfd:mem fd")->deleted);
	assert_true(named(&m, "/gone")->deleted);
	assert_int_equal(named(&m, "slash")->pgoff, 0x1000);
	assert_string_equal(m.v[m.n - 1].name, "[vsyscall]");
	assert_int_equal(m.v[m.n - 1].start, 0xffffffffff600000);
	assert_int_equal(named(&s, "anon_hugepage")->page_kb, 2048);
	assert_int_equal(all, VMF(rd) | VMF(wr) | VMF(ex) | VMF(sh) | VMF(mr) | VMF(mw) | VMF(me) | VMF(ms) | VMF(gd) |
			      VMF(pf) | VMF(lo) | VMF(io) | VMF(sr) | VMF(rr) | VMF(dc) | VMF(de) | VMF(lf) | VMF(ac) |
			      VMF(nr) | VMF(ht) | VMF(wf) | VMF(dd) | VMF(mm) | VMF(hg) | VMF(nh) | VMF(mg) | VMF(um) |
			      VMF(uw) | VMF(ui) | VMF(sl) | VMF(dp) | VMF(gu));
	assert_int_equal(proc_vmflag('q', 'q'), VMF_unknown);
}

static void test_bad_maps(void **state)
{
	static const char *const bad[] = {
		"1000-2000", "1000-2000 rw-p 0 0:0", "2000-1000 rw-p 0 0:0 0", "1000-2000 rwzp 0 0:0 0", "1000-2000 rw-p 0 0:0 x",
		"11111111111111111-2 rw-p 0 0:0 0", "1000-2000 rw-p 0 0:0 0\n1800-3000 rw-p 0 0:0 0\n", "1000-2000 rw-p 0 0:0 0\n\n",
		"1000-2000 rw-p 0 100000000:0 0",
	};
	cleanup_arena struct arena *a = arena_new();
	struct proc_maps m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(proc_parse_maps(bad[i], a, &m), -EINVAL);
	assert_int_equal(proc_parse_maps("", a, &m), 0);
	assert_int_equal(m.n, 0);
	assert_int_equal(proc_parse_maps("1000-2000 rw-p 0 0:0 0", a, &m), 0);
	assert_int_equal(proc_parse_smaps("Rss: 1 kB\n", a, &m), -EINVAL);
	assert_int_equal(proc_parse_smaps("1000-2000 rw-p 0 0:0 0\nSwap: 1 MB\n", a, &m), -EINVAL);
	assert_int_equal(proc_parse_smaps("1000-2000 rw-p 0 0:0 0\nVmFlags: rdx\n", a, &m), -EINVAL);
	assert_int_equal(proc_parse_smaps("1000-2000 rw-p 0 0:0 0\nNewKey: 3\nVmFlags: rd zz \n", a, &m), 0);
	assert_int_equal(m.v[0].vmflags, VMF(rd) | VMF(unknown));
	assert_int_equal(m.v[0].pkey, 0);
	assert_int_equal(proc_parse_smaps("1000-2000 rw-p 0 0:0 0\nProtectionKey:         11\nVmFlags: rd \n", a, &m), 0);
	assert_int_equal(m.v[0].pkey, 11);
	assert_int_equal(proc_parse_smaps("1000-2000 rw-p 0 0:0 0\nProtectionKey: 3 kB\n", a, &m), -EINVAL);
	assert_int_equal(proc_parse_smaps("1000-2000 rw-p 0 0:0 0\nProtectionKey: 4294967296\n", a, &m), -EINVAL);
}

static void test_fdinfo(void **state)
{
	static const struct { const char *name; int64_t pos; uint32_t flags; const char *line; } cases[] = {
		{ "bpfmap", 0, 02000002, "\nmap_type:" }, { "epoll", 0, 02, "\ntfd:" }, { "eventfd", 0, 02, "\neventfd-count:" },
		{ "fanotify", 0, 02, "\nfanotify " }, { "inotify", 0, 00, "\ninotify wd:" }, { "io_uring", 0, 02000002, "SqMask" },
		{ "landlock", 0, 02000002, "" }, { "locked", 77, 0100002, "\nlock:" }, { "memfd", 0, 0100002, "" },
		{ "mqueue", 0, 02000002, "" }, { "null", 0, 0100001, "" }, { "path", 0, 010200000, "" },
		{ "pidfd", 0, 02000002, "\nPid:" }, { "pipe", 0, 04000, "" }, { "regular", 0, 02102002, "" },
		{ "signalfd", 0, 02000002, "\nsigmask:" }, { "socket", 0, 02, "" }, { "timerfd", 0, 02, "\nclockid:" },
		{ "tun", 0, 0100002, "" }, { "userfaultfd", 0, 02000000, "" }, { "ns", 0, 0100000, "" }, { "ptmx", 0, 0100002, "" },
	};
	cleanup_arena struct arena *a = arena_new();
	struct proc_fdinfo f;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[64];

		snprintf(name, sizeof(name), "fdinfo-%s", cases[i].name);
		cleanup_free char *text = golden(name);
		assert_int_equal(proc_parse_fdinfo(text, a, &f), 0);
		if (f.flags != cases[i].flags || f.pos != cases[i].pos)
			fail_msg("%s: flags 0%o pos %ld", name, f.flags, f.pos);
		assert_true(f.mnt_id >= 0);
		assert_true(f.ino > 0);
		assert_string_equal(f.text, text);
		assert_non_null(strstr(f.text, cases[i].line));
	}
	assert_int_equal(proc_parse_fdinfo("pos:\t0\nflags:\t09\n", a, &f), -EINVAL);
	assert_int_equal(proc_parse_fdinfo("pos:\t0\n", a, &f), -EINVAL);
	assert_int_equal(proc_parse_fdinfo("pos:\t5\nflags:\t02\n", a, &f), 0);
	assert_int_equal(f.mnt_id, -1);
}

static void test_limits(void **state)
{
	cleanup_free char *text = golden("limits");
	struct proc_limits l;

	assert_int_equal(proc_parse_limits(text, &l), 0);
	assert_int_equal(l.v[RLIMIT_NOFILE].rlim_cur, 1234);
	assert_int_equal(l.v[RLIMIT_NOFILE].rlim_max, 1234);
	assert_true(l.v[RLIMIT_CPU].rlim_cur == RLIM64_INFINITY);
	assert_int_equal(l.v[RLIMIT_STACK].rlim_cur, 8388608);
	assert_true(l.v[RLIMIT_RTTIME].rlim_max == RLIM64_INFINITY);
	strstr(text, "Max msgqueue")[4] = 'X';
	assert_int_equal(proc_parse_limits(text, &l), -EINVAL);
}

static void test_timers(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *text = golden("timers");
	struct proc_timer *v;
	size_t n;

	assert_int_equal(proc_parse_timers(text, a, &v, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(v[0].id, 3);
	assert_int_equal(v[0].clock, -205126);
	assert_int_equal(v[0].sigev_value, 0x1234abcd);
	assert_int_equal(v[1].notify, SIGEV_THREAD_ID);
	assert_int_equal(v[1].notify_tid, 25640);
	assert_int_equal(v[2].notify, SIGEV_NONE);
	assert_int_equal(v[2].clock, CLOCK_BOOTTIME);
	assert_int_equal(v[3].signo, 34);
	text[strlen(text) - 12] = 0;
	assert_int_equal(proc_parse_timers(text, a, &v, &n), -EINVAL);
	assert_int_equal(proc_parse_timers("", a, &v, &n), 0);
	assert_int_equal(n, 0);
}

static void test_mountinfo(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_free char *text = golden("mountinfo");
	struct proc_mount *v;
	size_t n;

	assert_int_equal(proc_parse_mountinfo(text, a, &v, &n), 0);
	assert_true(n > 5);
	assert_int_equal(v[n - 1].id, 63);
	assert_int_equal(v[n - 1].dev_minor, 39);
	assert_string_equal(v[n - 1].root, "/");
	assert_string_equal(v[n - 1].point, "/tmp/gm t\nx\\y#z");
	assert_string_equal(v[n - 1].optional, "shared:1");
	assert_string_equal(v[n - 1].fstype, "tmpfs");
	assert_string_equal(v[n - 1].source, "src a#b");
	assert_string_equal(v[n - 1].super, "rw,size=1024k");
	assert_string_equal(v[0].optional, "");
	assert_int_equal(proc_parse_mountinfo("1 2 0:3 / / rw shared:1 master:2 - x  rw\n", a, &v, &n), 0);
	assert_string_equal(v[0].optional, "shared:1 master:2");
	assert_string_equal(v[0].source, "");
	assert_int_equal(proc_parse_mountinfo("1 2 0:3 / / rw - x\n", a, &v, &n), -EINVAL);
	assert_int_equal(proc_parse_mountinfo("1 2 0:3 / / rw shared:1\n", a, &v, &n), -EINVAL);
}

static void *nothing(void *arg)
{
	return arg;
}

static void *come_and_go(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
		pthread_t t;

		if (!pthread_create(&t, NULL, nothing, NULL))
			pthread_join(t, NULL);
	}
	return NULL;
}

static void test_numbers(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	struct err err = ERR_INIT;
	cleanup_fd int proc = -1, high = fcntl(0, F_DUPFD_CLOEXEC, 700);
	bool stop = false;
	pthread_t t;
	int *v;
	size_t n;

	assert_int_equal(proc_open(getpid(), &proc, &err), 0);
	assert_int_equal(proc_numbers(proc, "fd", a, &v, &n, &err), 0);
	for (size_t i = 1; i < n; i++)
		assert_true(v[i - 1] < v[i]);
	assert_true(n >= 2 && v[n - 1] >= high);
	assert_int_equal(pthread_create(&t, NULL, come_and_go, &stop), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(proc_numbers(proc, "task", a, &v, &n, &err), 0);
		assert_true(n >= 1);
		assert_int_equal(v[0], getpid());
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
}

static void test_live(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	struct err err = ERR_INIT;
	cleanup_fd int proc = -1, dead = -1;
	struct proc_stat st;
	bool more;
	struct proc_maps m;
	int64_t number;
	pid_t pid = fork();
	int *v;
	size_t n;
	char children[64];

	if (!pid)
		for (;;)
			pause();
	assert_int_equal(proc_open(getpid(), &proc, &err), 0);
	assert_int_equal(proc_stat(proc, "stat", &st, &err), 0);
	assert_int_equal(st.pid, getpid());
	assert_int_equal(proc_smaps(proc, a, &m, SIZE_MAX, &more, &err), 0);
	snprintf(children, sizeof(children), "task/%d/children", (int)getpid());
	assert_int_equal(proc_numbers(proc, children, a, &v, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(v[0], pid);
	assert_int_equal(proc_number(proc, "coredump_filter", 16, &number, &err), 0);
	assert_int_equal(proc_number(proc, "nowhere", 10, &number, &err), -ENOENT);
	err = (struct err)ERR_INIT;
	assert_int_equal(proc_open(pid, &dead, &err), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_number(dead, "coredump_filter", 16, &number, &err), -ENODATA);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Gone is ESRCH wherever one looks. */
	err = (struct err)ERR_INIT;
	assert_int_equal(proc_stat(dead, "stat", &st, &err), -ESRCH);
	err = (struct err)ERR_INIT;
	assert_int_equal(proc_maps(dead, a, &m, &err), -ESRCH);
	err = (struct err)ERR_INIT;
	assert_int_equal(proc_numbers(dead, "task", a, &v, &n, &err), -ESRCH);
	err = (struct err)ERR_INIT;
	assert_int_equal(proc_open(pid, &dead, &err), -ESRCH);
	assert_int_equal(err.errnum, ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),   cmocka_unit_test(test_status),	 cmocka_unit_test(test_maps),
		cmocka_unit_test(test_bad_maps), cmocka_unit_test(test_fdinfo), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_timers), cmocka_unit_test(test_mountinfo), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
