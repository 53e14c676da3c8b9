/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tasks are said to have from their parent, against what /proc and kcmp tell of both, on this kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/task/kin.h"
#include "test/unit/bpf.h"

enum { PLAIN = 40 };
#define ALL (KIN_NAMESPACES | KIN_CGROUP | KIN_CWD | KIN_ROOT | KIN_EXE | KIN_LOGINUID | KIN_OOM | KIN_FILTER | KIN_NO_TIMERS)

static bool failed; /* in a child */

static char group[] = "/sys/fs/cgroup/cr-kin.XXXXXX"; /* "": none can be made */

static void write_own(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	failed = fd < 0 || write(fd, text, strlen(text)) < 0;
	close(fd);
}

/* What a child does to be different; and in what it is then. */
static void other_uts(void)
{
	failed = unshare(CLONE_NEWUTS) != 0;
}
static void children_elsewhere(void)
{
	failed = unshare(CLONE_NEWPID) != 0;
}
static void other_user(void)
{
	failed = unshare(CLONE_NEWUSER) != 0;
}
static void elsewhere(void)
{
	failed = chdir("/proc") != 0;
}
static void shut_in(void)
{
	failed = chroot("/tmp") != 0;
}
static void likely_killed(void)
{
	write_own("/proc/self/oom_score_adj", "77");
}
static void other_cores(void)
{
	write_own("/proc/self/coredump_filter", "0x3f");
}
static void timed(void)
{
	timer_t t;

	failed = timer_create(CLOCK_MONOTONIC, NULL, &t) != 0;
}
static void other_group(void)
{
	char procs[64];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	if (*group)
		write_own(procs, "0");
}

static const struct { void (*differ)(void); unsigned kin; } odd[] = {
	{ other_uts, KIN_NAMESPACES }, { children_elsewhere, KIN_NAMESPACES }, { other_user, KIN_NAMESPACES }, { elsewhere, KIN_CWD },
	{ shut_in, KIN_ROOT }, { likely_killed, KIN_OOM }, { other_cores, KIN_FILTER }, { timed, KIN_NO_TIMERS }, { other_group, KIN_CGROUP },
};
enum { ODD = ARRAY_SIZE(odd), SHARING = ODD + 1, PROGRAM, TASKS = PROGRAM + 1 + PLAIN };

/* All files, directories and handlers are its parent's. */
static pid_t share_all(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
}

static pid_t child(size_t i, int said)
{
	pid_t pid = i == SHARING ? share_all() : fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (i && i <= ODD)
		odd[i - 1].differ();
	if (write(said, failed ? "f" : "r", 1) != 1)
		_exit(2);
	if (i == PROGRAM)
		execlp("sleep", "sleep", "1000", NULL);
	for (;;)
		pause();
}

/* The root, which is of this process, and its children. */
static void start(pid_t pids[TASKS])
{
	pid_t *place = mmap(NULL, TASKS * sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	pids[0] = fork();
	if (!pids[0]) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t i = 1; i < TASKS; i++)
			place[i] = child(i, ready[1]);
		if (write(ready[1], "r", 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	for (int i = 0; i < TASKS; i++) {
		assert_int_equal(read(ready[0], &c, 1), 1);
		assert_int_equal(c, 'r');
	}
	memcpy(pids + 1, place + 1, (TASKS - 1) * sizeof(*place));
	munmap(place, TASKS * sizeof(*place));
	close(ready[0]);
	close(ready[1]);
	/* It has said so before it becomes another program. */
	for (int i = 0; i < 3000; i++) {
		char path[64], text[32] = "";

		snprintf(path, sizeof(path), "/proc/%d/comm", pids[PROGRAM]);
		cleanup_fd int fd = open(path, O_RDONLY);
		if (read(fd, text, sizeof(text) - 1) > 0 && !strncmp(text, "sleep", 5))
			return;
		usleep(10000);
	}
	fail();
}

struct seen {
	struct dump d;
	struct dump_opts opts;
	struct dump_task tasks[TASKS], *v[TASKS];
	struct log log;
	char *said;
	size_t len;
	struct kin *objects;
	bool told;
	pid_t pids[TASKS];
};

static bool is_group(void)
{
	char procs[64];

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	return !access(procs, W_OK);
}

static void look(struct seen *s, bool allowed)
{
	memset(s, 0, sizeof(*s));
	strcpy(group, "/sys/fs/cgroup/cr-kin.XXXXXX");
	if (!mkdtemp(group) || !is_group()) {
		rmdir(group);
		*group = 0;
	}
	start(s->pids);
	s->log = (struct log){ .file = open_memstream(&s->said, &s->len), .level = LOG_DEBUG, .prog = "test" };
	s->d = (struct dump){ .opts = &s->opts, .log = &s->log, .arena = arena_new(), .tasks = s->v, .ntasks = TASKS };
	for (size_t i = 0; i < TASKS; i++) {
		s->v[i] = &s->tasks[i];
		s->tasks[i] = (struct dump_task){ .pid = s->pids[i], .tid = s->pids[i], .index = i, .parent = i ? s->tasks : NULL };
	}
	if (!allowed)
		bpf_allowed(false);
	s->told = kin_look(&s->d, &s->objects);
	if (!allowed)
		bpf_allowed(true);
	fclose(s->log.file);
}

static void look_end(struct seen *s)
{
	for (size_t i = TASKS; i-- > 0;)
		kill(s->pids[i], SIGKILL);
	assert_int_equal(waitpid(s->pids[0], NULL, 0), s->pids[0]);
	arena_free(s->d.arena);
	free(s->said);
	for (int i = 0; i < 3000 && *group && rmdir(group) && errno == EBUSY; i++)
		usleep(10000);
}

/* What /proc tells of both is the same. */
static void same_text(const struct seen *s, size_t i, const char *name, bool link)
{
	char path[2][64], text[2][4096];
	ssize_t n[2];

	for (int k = 0; k < 2; k++) {
		snprintf(path[k], sizeof(path[k]), "/proc/%d/%s", s->pids[k ? i : 0], name);
		cleanup_fd int fd = link ? -1 : open(path[k], O_RDONLY | O_CLOEXEC);

		n[k] = link ? readlink(path[k], text[k], sizeof(text[k])) : read(fd, text[k], sizeof(text[k]));
	}
	assert_true(n[0] > 0 && n[0] == n[1]);
	assert_memory_equal(text[0], text[1], n[0]);
}

static void compare(const struct seen *s, size_t i)
{
	static const struct { unsigned kin; const char *name; bool link; } files[] = {
		{ KIN_NAMESPACES, "ns/uts", true }, { KIN_NAMESPACES, "ns/pid", true }, { KIN_NAMESPACES, "ns/user", true },
		{ KIN_NAMESPACES, "ns/net", true }, { KIN_NAMESPACES, "ns/mnt", true }, { KIN_NAMESPACES, "ns/pid_for_children", true },
		{ KIN_CGROUP, "cgroup", false }, { KIN_CWD, "cwd", true }, { KIN_ROOT, "root", true }, { KIN_EXE, "exe", true },
		{ KIN_OOM, "oom_score_adj", false }, { KIN_FILTER, "coredump_filter", false },
	};
	static const struct { int type; size_t at; } objects[] = {
		{ KCMP_VM, offsetof(struct kin, vm) }, { KCMP_FILES, offsetof(struct kin, files) }, { KCMP_FS, offsetof(struct kin, fs) },
		{ KCMP_SIGHAND, offsetof(struct kin, sighand) },
	};

	for (size_t k = 0; k < ARRAY_SIZE(files); k++)
		if (s->tasks[i].kin & files[k].kin)
			same_text(s, i, files[k].name, files[k].link);
	for (size_t k = 0; k < ARRAY_SIZE(objects); k++) {
		const uint64_t its = *(uint64_t *)((char *)&s->objects[i] + objects[k].at),
			       roots = *(uint64_t *)((char *)s->objects + objects[k].at);

		assert_int_equal(its == roots, !syscall(SYS_kcmp, s->pids[i], s->pids[0], objects[k].type, 0, 0));
	}
}

static void test_odd_ones(void **state)
{
	struct seen s;
	unsigned all;

	look(&s, true);
	if (!s.told) {
		print_message("%s", s.said);
		look_end(&s);
		assert_false(bpf_can_iterate(ITER_THREAD, "mm"));
		skip();
	}
	all = s.tasks[TASKS - 1].kin;
	assert_int_equal(all | KIN_LOGINUID | KIN_FILTER | KIN_NO_TIMERS, ALL); /* what a kernel may not have under a name known here */
	assert_int_equal(s.tasks[0].kin, all & KIN_NO_TIMERS);
	for (size_t i = 1; i < TASKS; i++) {
		unsigned want = all;

		if (i == PROGRAM)
			want &= ~(unsigned)KIN_EXE;
		else if (i <= ODD && (odd[i - 1].differ != other_group || *group))
			want &= ~odd[i - 1].kin;
		assert_int_equal(s.tasks[i].kin, want);
		compare(&s, i);
	}
	look_end(&s);
}

/* Whoever may not load programs is told nothing. */
static void test_not_told(void **state)
{
	struct seen s;

	look(&s, false);
	assert_false(s.told);
	assert_non_null(strstr(s.said, "is read from /proc"));
	for (size_t i = 0; i < TASKS; i++)
		assert_int_equal(s.tasks[i].kin, 0);
	look_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_odd_ones), cmocka_unit_test(test_not_told) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
