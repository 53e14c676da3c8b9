/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which threads are said to be as the first one, and what is said of them, against what /proc and kcmp tell of each, on this kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/dump/told.h"
#include "common/task/alike.h"
#include "test/unit/bpf.h"

#define ALL (ALIKE_STATUS | ALIKE_SHARED | ALIKE_NAMESPACES | ALIKE_CGROUP)
enum { MANY = 600, GROUPS = 3 };

/* What a thread does to be different; and in what it is then. */
static void other_user(void)
{
	syscall(SYS_setresuid, 7, 8, 9);
}
static void other_group(void)
{
	syscall(SYS_setresgid, 7, 8, 9);
}
static void other_groups(void)
{
	static const gid_t v[GROUPS] = { 11, 12, 13 };

	syscall(SYS_setgroups, GROUPS, v);
}
static void fewer_capabilities(void)
{
	cap_t none = cap_init();

	cap_set_proc(none);
	cap_free(none);
}
static void bounded(void)
{
	prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM);
}
static void no_new_privs(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
static void filtered(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}
static void own_fs(void)
{
	unshare(CLONE_FS);
	umask(0123);
}
static void own_files(void)
{
	unshare(CLONE_FILES);
}
static void own_undo(void)
{
	unshare(CLONE_SYSVSEM);
}
static void own_uts(void)
{
	unshare(CLONE_NEWUTS);
}
static void own_net(void)
{
	unshare(CLONE_NEWNET);
}
static char group[] = "/sys/fs/cgroup/freezer/cr-alike-XXXXXX";
static void other_cgroup(void)
{
	char path[sizeof(group) + 8];

	snprintf(path, sizeof(path), "%s/tasks", group);
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);


	if (fd < 0 || write(fd, "0", 1) != 1)
		pthread_setname_np(pthread_self(), "as the others"); /* there is no such hierarchy here */
}
static void named(void)
{
	prctl(PR_SET_NAME, "a\nb\\c\td \377fifteen");
}
static void nameless(void)
{
	prctl(PR_SET_NAME, "");
}
static void has_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	pthread_kill(pthread_self(), SIGRTMAX);
}

/* What it says itself when it is asked, of which the numbers tell. */
static void switched_tsc(void)
{
	prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
}
static void early_kill(void)
{
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}
static void no_store_bypass(void)
{
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
}
static void no_indirect_branch(void)
{
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE, 0, 0);
}
static void flushes_l1d(void)
{
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE, 0, 0);
}
static void securebits(void)
{
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
}
static void own_session_keyring(void)
{
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}
static void interleaved(void)
{
	unsigned long nodes = 1;

	syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 8 * sizeof(nodes));
}
static void other_stack(void)
{
	static char room[65536];

	sigaltstack(&(stack_t){ .ss_sp = room, .ss_size = sizeof(room), .ss_flags = (int)(1u << 31) /* SS_AUTODISARM */ }, NULL);
}
static void other_clear_tid(void)
{
	static int word;

	syscall(SYS_set_tid_address, &word);
}
static void other_slack(void)
{
	prctl(PR_SET_TIMERSLACK, 123456);
}
static void parent_death(void)
{
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
}
static void no_cpuid(void)
{
	syscall(SYS_arch_prctl, 0x1012 /* ARCH_SET_CPUID */, 0);
}

static const struct { void (*act)(void); unsigned differs; } odd[] = {
	{ other_user, ALIKE_STATUS }, { other_group, ALIKE_STATUS }, { other_groups, ALIKE_STATUS },
	{ fewer_capabilities, ALIKE_STATUS }, { bounded, ALIKE_STATUS }, { no_new_privs, ALIKE_STATUS }, { filtered, ALIKE_STATUS },
	{ own_fs, ALIKE_STATUS | ALIKE_SHARED }, { own_files, ALIKE_SHARED }, { own_undo, 0 },
	{ own_uts, ALIKE_NAMESPACES }, { own_net, ALIKE_NAMESPACES }, { other_cgroup, ALIKE_CGROUP },
	{ named, 0 }, { nameless, 0 }, { has_signals, 0 },
	{ switched_tsc, 0 }, { early_kill, 0 }, { no_store_bypass, 0 }, { no_indirect_branch, 0 }, { flushes_l1d, 0 },
	{ securebits, ALIKE_STATUS }, { own_session_keyring, ALIKE_STATUS }, { interleaved, 0 }, { other_stack, 0 }, { other_clear_tid, 0 },
	{ other_slack, 0 }, { parent_death, 0 }, { no_cpuid, 0 },
};

/* What a thread says itself. */
enum word {
	TSC, MCE, STORE_BYPASS, INDIRECT_BRANCH, L1D, SECUREBITS, IO_FLUSHER, MDWE, CPUID, XCOMP, UNTAG, POLICY, THREAD_RING, PROCESS_RING,
	OF_ANOTHER, /* of those before, threads of which all numbers are the same have the same */
	STACK = OF_ANOTHER, STACK_SIZE, STACK_FLAGS, CLEAR_TID, SLACK, PDEATH, WORDS
};
struct said { _Atomic pid_t tid; long v[WORDS]; };

static long call(long ret)
{
	return ret < 0 ? -errno : ret;
}

static void say(struct said *s)
{
	int tsc = 0, mode = 0, pdeath = 0;
	stack_t stack;

	s->v[TSC] = call(prctl(PR_GET_TSC, &tsc)) ?: tsc;
	s->v[MCE] = call(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	s->v[STORE_BYPASS] = call(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0));
	s->v[INDIRECT_BRANCH] = call(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0));
	s->v[L1D] = call(prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0));
	s->v[SECUREBITS] = call(prctl(PR_GET_SECUREBITS));
	s->v[IO_FLUSHER] = call(prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0));
	s->v[MDWE] = call(prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0));
	s->v[CPUID] = call(syscall(SYS_arch_prctl, 0x1011 /* ARCH_GET_CPUID */, 0));
	s->v[XCOMP] = call(syscall(SYS_arch_prctl, 0x1022 /* ARCH_GET_XCOMP_PERM */, &s->v[XCOMP])) ?: s->v[XCOMP];
	s->v[UNTAG] = call(syscall(SYS_arch_prctl, 0x4001 /* ARCH_GET_UNTAG_MASK */, &s->v[UNTAG])) ?: s->v[UNTAG];
	s->v[POLICY] = call(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0)) ?: mode;
	s->v[THREAD_RING] = call(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0));
	s->v[PROCESS_RING] = call(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0));
	sigaltstack(NULL, &stack);
	s->v[STACK] = (long)(intptr_t)stack.ss_sp;
	s->v[STACK_SIZE] = (long)stack.ss_size;
	s->v[STACK_FLAGS] = stack.ss_flags;
	if (prctl(PR_GET_TID_ADDRESS, &s->v[CLEAR_TID]))
		s->v[CLEAR_TID] = -1;
	s->v[SLACK] = prctl(PR_GET_TIMERSLACK);
	prctl(PR_GET_PDEATHSIG, &pdeath);
	s->v[PDEATH] = pdeath;
	s->tid = (pid_t)syscall(SYS_gettid);
}

/* Shared with the child: the number of each odd thread, and how many have come to rest. */
static struct place { _Atomic pid_t tid[ARRAY_SIZE(odd)]; _Atomic unsigned rest, done; struct said said[MANY + ARRAY_SIZE(odd)]; } *place;

static void *rest(void *arg)
{
	if (arg) {
		const size_t i = (size_t)((uintptr_t)arg - 1);

		odd[i].act();
		place->tid[i] = (pid_t)syscall(SYS_gettid);
	}
	say(&place->said[place->rest++]);
	place->done++;
	for (;;)
		pause();
	return NULL;
}

/* Ordinary threads, before and behind the odd ones. */
static void make_threads(bool leader_ends, size_t ordinary)
{
	pthread_attr_t attr;
	struct sembuf undo = { .sem_op = 1, .sem_flg = SEM_UNDO };
	sigset_t set;
	pthread_t t;
	int sem = semget(IPC_PRIVATE, 1, 0600);

	semop(sem, &undo, 1); /* a list of adjustments, which threads have together */
	semctl(sem, 0, IPC_RMID);
	setgroups(0, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR2);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (size_t i = 0; i < ordinary + ARRAY_SIZE(odd); i++) {
		const bool one = i >= ordinary / 2 && i < ordinary / 2 + ARRAY_SIZE(odd);

		if (pthread_create(&t, &attr, rest, one ? (void *)(uintptr_t)(i - ordinary / 2 + 1) : NULL))
			_exit(1);
	}
	if (leader_ends)
		pthread_exit(NULL);
	for (;;)
		pause();
}

static char state_of(pid_t pid)
{
	struct err err = ERR_INIT;
	cleanup_fd int fd = -1;
	struct proc_stat st;

	assert_int_equal(proc_open(pid, &fd, &err), 0);
	assert_int_equal(proc_stat(fd, "stat", &st, &err), 0);
	return st.state;
}

static pid_t child(bool leader_ends, size_t ordinary)
{
	pid_t pid;

	memset(place, 0, sizeof(*place));
	pid = fork();
	if (!pid)
		make_threads(leader_ends, ordinary);
	for (int i = 0; i < 3000 && place->done < ordinary + ARRAY_SIZE(odd); i++)
		usleep(10000);
	assert_int_equal(place->done, ordinary + ARRAY_SIZE(odd));
	for (int i = 0; i < 3000 && leader_ends && state_of(pid) != 'Z'; i++)
		usleep(10000);
	return pid;
}

struct seen { struct dump_task task; struct arena *arena; struct log log; char *said; size_t len; };

/* Looks at it as a dump does, but for freezing: nothing of it changes. */
static void look(struct seen *s, pid_t pid, bool early)
{
	struct alike *a = alike_new();
	struct dump_task *t = &s->task;
	struct err err = ERR_INIT;
	int *tids;

	memset(s, 0, sizeof(*s));
	s->arena = arena_new();
	s->log = (struct log){ .file = open_memstream(&s->said, &s->len), .level = LOG_DEBUG, .prog = "test" };
	*t = (struct dump_task){ .pid = pid };
	if (early)
		alike_begin(a, pid);
	assert_int_equal(proc_open(pid, &t->proc_fd, &err), 0);
	assert_int_equal(proc_numbers(t->proc_fd, "task", s->arena, &tids, &t->nthreads, &err), 0);
	t->threads = arena_alloc(s->arena, t->nthreads * sizeof(*t->threads));
	t->fz = (struct freeze){ .pid = pid, .nthreads = t->nthreads,
				 .threads = arena_alloc(s->arena, t->nthreads * sizeof(struct frozen_thread)) };
	for (size_t i = 0; i < t->nthreads; i++) {
		char path[64];

		t->threads[i].frozen = &t->fz.threads[i];
		t->fz.threads[i].tid = tids[i];
		snprintf(path, sizeof(path), "task/%d/status", tids[i]);
		assert_int_equal(proc_status(t->proc_fd, path, s->arena, &t->threads[i].status, &err), 0);
		t->fz.threads[i].sigmask = t->threads[i].status.sig_blk;
		t->fz.speaker += i == t->fz.speaker && t->threads[i].status.state == 'Z';
	}
	t->tid = freeze_tid(&t->fz);
	for (size_t i = 0; i < t->nthreads; i++)
		if (i != t->fz.speaker)
			memset(&t->threads[i].status, 0x55, sizeof(t->threads[i].status));
	alike_look(a, t, s->arena, &s->log);
	fclose(s->log.file);
	alike_free(a);
}

static void look_end(struct seen *s)
{
	close(s->task.proc_fd);
	arena_free(s->arena);
	free(s->said);
	kill(s->task.pid, SIGKILL);
	assert_int_equal(waitpid(s->task.pid, NULL, 0), s->task.pid);
}

static void compare_status(const struct seen *s, const struct dump_thread *t)
{
	struct proc_status want;
	struct err err = ERR_INIT;
	char path[64];

	snprintf(path, sizeof(path), "task/%d/status", t->frozen->tid);
	assert_int_equal(proc_status(s->task.proc_fd, path, s->arena, &want, &err), 0);
	assert_int_equal(want.ngroups, t->status.ngroups);
	if (want.ngroups)
		assert_memory_equal(want.groups, t->status.groups, want.ngroups * sizeof(*want.groups));
	want.groups = t->status.groups;
	want.state = t->status.state; /* nobody has frozen them: they may be on their way to rest */
	assert_memory_equal(&want, &t->status, sizeof(want));
}

static void compare_files(const struct seen *s, const struct dump_thread *t, const char *const *names, bool link)
{
	for (size_t i = 0; names[i]; i++) {
		char path[2][64], text[2][4096];
		ssize_t n[2];

		for (int k = 0; k < 2; k++) {
			snprintf(path[k], sizeof(path[k]), "task/%d/%s", k ? t->frozen->tid : s->task.tid, names[i]);
			cleanup_fd int fd = link ? -1 : openat(s->task.proc_fd, path[k], O_RDONLY | O_CLOEXEC);

			n[k] = link ? readlinkat(s->task.proc_fd, path[k], text[k], sizeof(text[k])) : read(fd, text[k], sizeof(text[k]));
		}
		assert_true(n[0] > 0 && n[0] == n[1]);
		assert_memory_equal(text[0], text[1], n[0]);
	}
}

/* All that is said of a thread is so. */
static void compare(const struct seen *s, const struct dump_thread *t)
{
	static const char *const links[] = { "ns/net", "ns/uts", "ns/ipc", "ns/cgroup", "ns/mnt", "ns/pid_for_children", NULL };
	static const char *const files[] = { "cgroup", NULL };
	static const int shared[] = { KCMP_FILES, KCMP_FS, KCMP_SYSVSEM };

	if (t->alike & ALIKE_STATUS)
		compare_status(s, t);
	if (t->alike & ALIKE_NAMESPACES)
		compare_files(s, t, links, true);
	if (t->alike & ALIKE_CGROUP)
		compare_files(s, t, files, false);
	for (size_t i = 0; i < ARRAY_SIZE(shared) && t->alike & ALIKE_SHARED; i++)
		assert_int_equal(syscall(SYS_kcmp, s->task.tid, t->frozen->tid, shared[i], 0, 0), 0);
}

static const struct said *said_by(pid_t tid)
{
	for (size_t i = 0; i < ARRAY_SIZE(place->said); i++)
		if (place->said[i].tid == tid)
			return &place->said[i];
	return NULL;
}

/* What answers are of another thread with the same numbers. */
#define SAME (TOLD(REAL_CRED) | TOLD(ATOMIC_FLAGS) | TOLD(SIGNAL) | TOLD(MM) | TOLD(CRED) | TOLD(FLAGS) | TOLD(SWITCHES) | TOLD(FEATURES) | \
	      TOLD(MEMPOLICY) | TOLD(SECCOMP_MODE) | TOLD(SECCOMP_FILTER) | TOLD(SECCOMP_COUNT))

static bool are_same(const uint64_t *a, const uint64_t *b)
{
	for (unsigned i = 0; i < TOLDS; i++)
		if (SAME >> i & 1 && a[i] != b[i])
			return false;
	return true;
}

/* Numbers that are answers are those that the thread gives; and threads with the same others give the same answers. */
static void compare_told(const struct seen *s, const struct dump_thread *t, const struct dump_thread **seen, size_t *nseen)
{
	const struct said *said = said_by(t->frozen->tid);
	const uint64_t *n = t->told;
	size_t i = 0;

	assert_non_null(said);
	assert_int_equal(s->task.told_known & SAME & ~TOLD(FEATURES), SAME & ~TOLD(FEATURES));
	assert_int_equal(n[TOLD_STACK], said->v[STACK]);
	assert_int_equal(n[TOLD_STACK_SIZE], said->v[STACK_SIZE]);
	assert_int_equal((n[TOLD_STACK_FLAGS] & 1u << 31) | (n[TOLD_STACK_SIZE] ? 0 : SS_DISABLE), (unsigned)said->v[STACK_FLAGS]);
	if (said->v[CLEAR_TID] != -1)
		assert_int_equal(n[TOLD_CLEAR_TID], said->v[CLEAR_TID]);
	assert_int_equal(n[TOLD_SLACK], said->v[SLACK]);
	assert_int_equal(n[TOLD_PDEATH], said->v[PDEATH]);
	while (i < *nseen && !are_same(n, seen[i]->told))
		i++;
	if (i == *nseen)
		seen[(*nseen)++] = t;
	else
		assert_memory_equal(said->v, said_by(seen[i]->frozen->tid)->v, OF_ANOTHER * sizeof(said->v[0]));
}

/* Who has been given something else is another one by his numbers, too, where anybody can tell. */
static void test_told(void **state)
{
	const struct dump_thread *seen[MANY + ARRAY_SIZE(odd)];
	size_t nseen = 0, ordinary = 0;
	struct seen s;

	if (!bpf_can_iterate(ITER_TASK, "pid"))
		skip();
	look(&s, child(false, MANY), true);
	for (size_t i = 1; i < s.task.nthreads; i++) {
		const struct dump_thread *t = &s.task.threads[i];
		bool is_odd = false;

		assert_non_null(t->told);
		compare_told(&s, t, seen, &nseen);
		for (size_t k = 0; k < ARRAY_SIZE(odd); k++)
			is_odd |= place->tid[k] == t->frozen->tid;
		ordinary += !is_odd;
		for (size_t k = 0; k < ARRAY_SIZE(odd); k++)
			if (place->tid[k] == t->frozen->tid && odd[k].act == own_session_keyring && said_by(t->frozen->tid)->v[THREAD_RING] != -ENOSYS)
				assert_int_not_equal(t->told[TOLD_SESSION_KEYRING], s.task.threads[1].told[TOLD_SESSION_KEYRING]);
	}
	assert_int_equal(ordinary, MANY);
	assert_true(nseen < MANY / 2); /* most are alike */
	assert_non_null(s.task.threads[0].told);
	look_end(&s);
}

/* Whether that one differs; what it could not do, for whatever reason, did not make it different. */
static unsigned differs(const struct seen *s, size_t i)
{
	struct proc_status st;
	struct err err = ERR_INIT;
	char path[64];

	if (odd[i].act == own_undo)
		return syscall(SYS_kcmp, s->task.tid, place->tid[i], KCMP_SYSVSEM, 0, 0) > 0 ? ALIKE_SHARED : 0;
	snprintf(path, sizeof(path), "task/%d/status", place->tid[i]);
	assert_int_equal(proc_status(s->task.proc_fd, path, s->arena, &st, &err), 0);
	if (odd[i].act == other_cgroup && !strcmp(st.comm, "as the others"))
		return 0;
	return odd[i].differs;
}

static bool can_iterate(void)
{
	return bpf_can_iterate(ITER_TASK, "pid");
}

static void look_at_all(bool leader_ends, bool early)
{
	size_t n = 0;
	struct seen s;

	look(&s, child(leader_ends, MANY), early);
	assert_int_equal(s.task.fz.speaker, leader_ends);
	for (size_t i = 0; i < s.task.nthreads; i++) {
		const struct dump_thread *t = &s.task.threads[i];
		size_t k = 0;

		while (k < ARRAY_SIZE(odd) && place->tid[k] != t->frozen->tid)
			k++;
		compare(&s, t);
		if (i <= s.task.fz.speaker)
			assert_int_equal(t->alike, 0);
		else if (k == ARRAY_SIZE(odd))
			n += t->alike == ALL;
		else
			assert_int_equal(t->alike, ALL & ~differs(&s, k));
	}
	assert_int_equal(n, MANY - leader_ends);
	assert_null(strstr(s.said, "is read from /proc"));
	look_end(&s);
}

static void test_odd_ones(void **state)
{
	if (!can_iterate())
		skip();
	look_at_all(false, true);
	look_at_all(false, false);
}

/* Then others look at the second thread. */
static void test_dead_leader(void **state)
{
	if (!can_iterate())
		skip();
	look_at_all(true, true);
}

static size_t count(const struct seen *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->task.nthreads; i++)
		n += s->task.threads[i].alike != 0;
	return n;
}

/* Whoever may not load programs is told nothing, and neither is it worth it for few. */
static void test_not_told(void **state)
{
	struct seen s;

	look(&s, child(false, 8), true);
	assert_int_equal(count(&s), 0);
	look_end(&s);
	bpf_allowed(false);
	for (int early = 0; early < 2; early++) {
		pid_t pid = child(false, MANY);

		look(&s, pid, early);
		assert_int_equal(count(&s), 0);
		assert_non_null(strstr(s.said, "is read from /proc"));
		look_end(&s);
	}
	bpf_allowed(true);
}

/* Numbers of another pid namespace than ours are no names of threads. */
static void test_other_pids(void **state)
{
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	struct seen s;

	if (own < 0 || unshare(CLONE_NEWPID))
		skip();
	look(&s, child(false, MANY), false);
	assert_int_equal(count(&s), 0);
	look_end(&s);
	/* Whose first process has ended takes no other: the sanitizer's look for leaks wants one. */
	assert_int_equal(setns(own, CLONE_NEWPID), 0);
	close(own);
}

static int begin(void **state)
{
	place = mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!mkdtemp(group))
		print_message("no control group can be made in %s\n", group);
	return place == MAP_FAILED;
}

static int end(void **state)
{
	for (int i = 0; i < 3000 && rmdir(group) && errno == EBUSY; i++)
		usleep(10000);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_odd_ones), cmocka_unit_test(test_dead_leader), cmocka_unit_test(test_told), cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_other_pids),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
