/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The probes here and under filters and dropped privileges; the harness against probes that hang, crash or say nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/feature/probe.h"

/* Runs fn in a child, where it may give up privileges; its answer is the exit status. */
static int in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool filter(int nr, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static int state_of(const char *name)
{
	char why[FEATURE_WHY_MAX];

	return feature_probe(feature_find(name), why, sizeof(why));
}

static void drop_all(void)
{
	cap_t none = cap_init();

	cap_set_proc(none);
	cap_free(none);
}

static void test_table(void **state)
{
	size_t n;
	const struct feature *f = feature_table(&n);

	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(feature_find(f[i].name), &f[i]); /* no name twice */
		assert_true(f[i].what_for && f[i].probe && f[i].group < GROUP_COUNT);
	}
	assert_null(feature_find("no-such"));
}

/* What any host of ours has: this proves that ok can be said; the tests below prove that it is not said always. */
static void test_here(void **state)
{
	static const char *const there[] = { "ptrace_seize", "ptrace_sigmask", "ptrace_peeksiginfo", "process_vm_readv",
					     "process_vm_writev", "proc_mem_write", "pidfd_getfd", "mnt_id", "memfd",
					     "map_fixed_noreplace", "vdso_mremap", "openat2" };

	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		if (state_of(there[i]) != FEATURE_OK)
			fail_msg("%s", there[i]);
}

static int without_caps(void)
{
	static const char *const need[] = { "clone3_set_tid", "map_files", "prctl_set_exe", "seccomp_suspend", "mntns",
					    "tcp_repair", "cap_sys_ptrace", "cap_checkpoint_restore" };
	struct err err = ERR_INIT;
	char why[FEATURE_WHY_MAX], line[512];
	const int caps[] = { CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE };
	size_t n;
	const struct feature *f = feature_table(&n);
	enum feature_state before[256];

	for (size_t i = 0; i < MIN(n, ARRAY_SIZE(before)); i++)
		before[i] = (enum feature_state)state_of(f[i].name);
	if (n > ARRAY_SIZE(before))
		return 6;
	drop_all();
	/* Taking away privileges never makes anything missing. */
	for (size_t i = 0; i < n; i++) {
		enum feature_state now = (enum feature_state)state_of(f[i].name);

		if (now != before[i] && now != FEATURE_NO_PERMISSION) {
			fprintf(stderr, "%s: %s became %s\n", f[i].name, feature_state_word(before[i]), feature_state_word(now));
			return 1;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(need); i++)
		if (state_of(need[i]) != FEATURE_NO_PERMISSION)
			return 2;
	if (feature_need("clone3_set_tid", &err) != -EPERM || err.kind != ERR_FEATURE || !strstr(err.reason, "CAP_CHECKPOINT_RESTORE"))
		return 3;
	err = (struct err)ERR_INIT;
	if (privileges_need(caps, 2, &err) != -EPERM || !strstr(err.reason, "cap_sys_ptrace (") ||
	    !strstr(err.reason, "; no permission: cap_checkpoint_restore (") || !strstr(err.hint, "cap_sys_ptrace,cap_checkpoint_restore"))
		return 4;
	/* One sentence for one lack, whoever says it. */
	err = (struct err)ERR_INIT;
	feature_probe(feature_find("cap_sys_ptrace"), why, sizeof(why));
	feature_sentence(feature_find("cap_sys_ptrace"), FEATURE_NO_PERMISSION, why, line, sizeof(line));
	if (privileges_need(caps, 1, &err) != -EPERM || strcmp(err.reason, line))
		return 5;
	return 0;
}

static void test_no_permission(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(in_child(without_caps), 0);
	assert_int_equal(privileges_need(NULL, 0, &err), 0);
}

static int refused(void)
{
	char why[FEATURE_WHY_MAX];

	if (!filter(SYS_pidfd_getfd, SECCOMP_RET_ERRNO | EPERM))
		return 1;
	return feature_probe(feature_find("pidfd_getfd"), why, sizeof(why)) == FEATURE_NO_PERMISSION && strstr(why, "filter") ? 0 : 2;
}

static int pretended(void)
{
	return filter(SYS_kcmp, SECCOMP_RET_ERRNO | ENOSYS) && state_of("kcmp") == FEATURE_UNKNOWN ? 0 : 1;
}

static int killed(void)
{
	char why[FEATURE_WHY_MAX];

	if (!filter(SYS_membarrier, SECCOMP_RET_KILL_PROCESS))
		return 1;
	return feature_probe(feature_find("membarrier_registrations"), why, sizeof(why)) == FEATURE_NO_PERMISSION ? 0 : 2;
}

static void test_filters(void **state)
{
	assert_int_equal(in_child(refused), 0);
	assert_int_equal(in_child(pretended), 0);
	assert_int_equal(in_child(killed), 0);
}

static void hang(struct probe *p, int arg)
{
	target_start(p); /* must go as well */
	for (;;)
		pause();
}

static void crash(struct probe *p, int arg)
{
	raise(SIGSEGV);
}

static void silent(struct probe *p, int arg)
{
	_exit(0);
}

static void lacking(struct probe *p, int arg)
{
	probe_errno(p, arg, CAP_SYS_ADMIN, NO_CAP, "something");
}

static void test_harness(void **state)
{
	static const struct { struct feature f; enum feature_state state; const char *why; } cases[] = {
		{ { "a", "b", .probe = hang, .limit_ms = 300 }, FEATURE_UNKNOWN, "did not end" },
		{ { "a", "b", .probe = crash }, FEATURE_UNKNOWN, "signal 11" },
		{ { "a", "b", .probe = silent }, FEATURE_UNKNOWN, "without an answer" },
		{ { "a", "b", .probe = lacking, .arg = ENOSYS }, FEATURE_MISSING, "something: Function not implemented" },
		{ { "a", "b", .probe = lacking, .arg = EINVAL }, FEATURE_MISSING, "something: Invalid argument" },
		{ { "a", "b", .probe = lacking, .arg = EPERM }, FEATURE_NO_PERMISSION, "CAP_SYS_ADMIN" },
		{ { "a", "b", .probe = lacking, .arg = EMFILE }, FEATURE_UNKNOWN, "something: Too many open files" },
	};
	char why[FEATURE_WHY_MAX], line[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(feature_probe(&cases[i].f, why, sizeof(why)), cases[i].state);
		if (!strstr(why, cases[i].why))
			fail_msg("%s", why);
	}
	feature_sentence(&cases[3].f, FEATURE_MISSING, "why", line, sizeof(line));
	assert_string_equal(line, "missing: a (b): why");
	/* Nothing is left: no child, not even a corpse. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_need(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(feature_need("memfd", &err), 0);
	assert_int_equal(err.kind, ERR_NONE);
	assert_int_equal(feature_need("no-such", &err), -EINVAL);
}

/* Only errors that can mean a lack are looked into, and only then something is probed. */
static int blamed(void)
{
	struct err err = ERR_INIT;

	if (feature_blame("kcmp", EPERM, &err) || feature_blame("no-such", ENOMEM, &err))
		return 1; /* it works; and no probe was asked for */
	if (!filter(SYS_kcmp, SECCOMP_RET_ERRNO | EPERM))
		return 2;
	if (feature_blame("kcmp", ESRCH, &err) || err.kind != ERR_NONE)
		return 3;
	return feature_blame("kcmp", EPERM, &err) == -EPERM && err.kind == ERR_FEATURE ? 0 : 4;
}

static void test_blame(void **state)
{
	assert_int_equal(in_child(blamed), 0);
}

/* ---- what is left behind ---- */

/* Names in a folder, only those with mark in them when there is one. */
static void add_folder(struct strbuf *b, const char *path, const char *mark)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (!mark || strstr(names[i]->d_name, mark))
			strbuf_printf(b, "%s/%s\n", path, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static void add_file(struct strbuf *b, const char *path)
{
	cleanup_free char *text = NULL;

	if (!read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL))
		strbuf_printf(b, "%s:\n%s\n", path, text);
}

/* Namespaces of this process and of all others that are seen here, descriptors, mounts, devices, timers, files. */
static void snapshot(struct strbuf *b)
{
	static const char *const kinds[] = { "mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time", "time_for_children",
					     "pid_for_children" };
	char path[64], target[64];

	add_folder(b, "/proc/self/fd", NULL);
	add_folder(b, "/proc/self/task", NULL);
	add_folder(b, "/sys/class/net", NULL);
	add_folder(b, "/tmp", "cr-check");
	add_folder(b, "/dev/shm", "cr-check");
	add_folder(b, "/run", "cr-check");
	add_folder(b, "/", "cr-check");
	add_file(b, "/proc/self/mountinfo");
	add_file(b, "/proc/self/timers");
	add_file(b, "/proc/sysvipc/shm");
	add_file(b, "/proc/sysvipc/sem");
	add_file(b, "/proc/sysvipc/msg");
	add_file(b, "/proc/net/dev_mcast");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		n = readlink(path, target, sizeof(target));
		strbuf_printf(b, "%s %.*s\n", path, (int)MAX(n, 0), target);
	}
}

static void test_leaves_nothing(void **state)
{
	cleanup_strbuf struct strbuf before = STRBUF_INIT, after = STRBUF_INIT;
	size_t n;
	const struct feature *f = feature_table(&n);
	const struct feature *rows[256];
	static struct feature_result results[256];
	int status;

	assert_in_range(n, 1, ARRAY_SIZE(rows));
	for (size_t i = 0; i < n; i++)
		rows[i] = &f[i];
	/* Orphans of probes would become our children, and be found. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	snapshot(&before);
	feature_probe_many(rows, n, results);
	/* What dies with its parent takes a moment for it. */
	for (int i = 0; i < 100 && waitpid(-1, &status, WNOHANG) >= 0; i++)
		usleep(10000);
	assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	snapshot(&after);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	assert_true(before.len > 200);
	assert_string_equal(before.s, after.s);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(results[i].state, state_of(f[i].name)); /* many at once say what one alone says */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	cmocka_unit_test(test_here),	cmocka_unit_test(test_no_permission),
		cmocka_unit_test(test_filters), cmocka_unit_test(test_harness), cmocka_unit_test(test_need),
		cmocka_unit_test(test_blame), cmocka_unit_test(test_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
