/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zombies that were other users, in other groups, with other priorities and other signals to tell of their end: what waitid(2) and /proc
 * tell of them is theirs. Some exited, one was killed. Also run by test/live/inherited.sh.
 */
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

static pid_t make(uid_t uid, gid_t gid, bool killed)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(gid, gid + 1, gid + 2) || setresuid(uid, uid + 1, uid + 2))
			_exit(99);
		if (killed)
			raise(SIGKILL);
		_exit(7);
	}
	return pid;
}

static void check(pid_t pid, uid_t uid, gid_t gid, int code, int status)
{
	char path[64], text[4096], want[64];
	siginfo_t si = { 0 };
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n > 0 && !close(fd));
	text[n] = 0;
	snprintf(want, sizeof(want), "\nUid:\t%u\t%u\t%u\t", uid, uid + 1, uid + 2);
	CHECK(strstr(text, want));
	snprintf(want, sizeof(want), "\nGid:\t%u\t%u\t%u\t", gid, gid + 1, gid + 2);
	CHECK(strstr(text, want));
	CHECK(!waitid(P_PID, (id_t)pid, &si, WEXITED));
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_uid, uid);
	CHECK_EQ(si.si_code, code);
	CHECK_EQ(si.si_status, status);
}

/* What becomes of one that gets ready by fn and ends; sig: what its parent gets. */
static pid_t make_by(void (*fn)(void), int sig)
{
	struct clone_args args = { .exit_signal = (uint64_t)sig };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	CHECK(pid >= 0);
	if (!pid) {
		fn();
		_exit(3);
	}
	return pid;
}

static void ordinary(void) {}

static void batch(void)
{
	static const gid_t groups[] = { 88, 77 };
	struct sched_param param = { 0 };

	if (setgroups(2, groups) || sched_setscheduler(0, SCHED_BATCH, &param) || setpriority(PRIO_PROCESS, 0, 7))
		_exit(99);
}

static void idle(void)
{
	struct sched_param param = { 0 };

	if (setpriority(PRIO_PROCESS, 0, 3) || sched_setscheduler(0, SCHED_IDLE, &param))
		_exit(99);
}

static void fifo(void)
{
	struct sched_param param = { .sched_priority = 11 };

	if (setpriority(PRIO_PROCESS, 0, -4) || sched_setscheduler(0, SCHED_FIFO, &param))
		_exit(99);
}

struct seen { char groups[256]; int nice, policy, priority, exit_signal; };

static void take(pid_t pid, const char *file, char text[4096])
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	n = read(fd, text, 4095);
	CHECK(n > 0 && !close(fd));
	text[n] = 0;
}

static void look(pid_t pid, struct seen *s)
{
	char text[4096], *at;
	int field = 2;

	memset(s, 0, sizeof(*s));
	take(pid, "status", text);
	CHECK((at = strstr(text, "\nGroups:")));
	snprintf(s->groups, sizeof(s->groups), "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
	take(pid, "stat", text);
	CHECK((at = strrchr(text, ')')));
	for (at = strtok(at + 1, " "); at; at = strtok(NULL, " ")) {
		int v = atoi(at);

		field++;
		s->nice = field == 19 ? v : s->nice;
		s->exit_signal = field == 38 ? v : s->exit_signal;
		s->priority = field == 40 ? v : s->priority;
		s->policy = field == 41 ? v : s->policy;
	}
}

static void check_seen(pid_t pid, const char *groups, int nice, int policy, int priority, int exit_signal)
{
	struct seen s;

	look(pid, &s);
	if (groups && strcmp(s.groups, groups))
		fail("%d: %s, not %s", pid, s.groups, groups);
	CHECK_EQ(s.nice, nice);
	CHECK_EQ(s.policy, policy);
	CHECK_EQ(s.priority, priority);
	CHECK_EQ(s.exit_signal, exit_signal);
}

static void check_all(const pid_t *v, bool reap)
{
	siginfo_t si;

	for (int i = 0; i < 6; i++)
		CHECK(!waitid(P_PID, (id_t)v[i], &si, WEXITED | __WALL | WNOWAIT) && si.si_code == CLD_EXITED && si.si_status == 3);
	check_seen(v[0], "Groups:\t ", 0, SCHED_OTHER, 0, SIGCHLD);
	check_seen(v[1], "Groups:\t77 88 ", 7, SCHED_BATCH, 0, SIGCHLD);
	check_seen(v[2], "Groups:\t ", 3, SCHED_IDLE, 0, SIGUSR2);
	check_seen(v[3], "Groups:\t ", -4, SCHED_FIFO, 11, SIGRTMIN + 2);
	check_seen(v[4], "Groups:\t ", 0, SCHED_OTHER, 0, SIGRTMIN + 2);
	check_seen(v[5], "Groups:\t ", 0, SCHED_OTHER, 0, 0);
	for (int i = 0; i < 6 && reap; i++)
		CHECK(!waitid(P_PID, (id_t)v[i], &si, WEXITED | __WALL));
}

int main(void)
{
	siginfo_t si;
	pid_t exited, killed, taken, v[6];
	const struct timespec none = { 0 };
	sigset_t set;

	if (geteuid())
		TEST_SKIP("only root can be others");
	exited = make(1000, 2000, false);
	killed = make(1010, 0, true);
	CHECK(!waitid(P_PID, (id_t)exited, &si, WEXITED | WNOWAIT) && !waitid(P_PID, (id_t)killed, &si, WEXITED | WNOWAIT));
	if (setgroups(0, NULL))
		TEST_SKIP("groups cannot be set");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 2);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	v[0] = make_by(ordinary, SIGCHLD);
	v[1] = make_by(batch, SIGCHLD);
	v[2] = make_by(idle, SIGUSR2);
	v[3] = make_by(fifo, SIGRTMIN + 2);
	v[4] = make_by(ordinary, SIGRTMIN + 2);
	v[5] = make_by(ordinary, 0);
	check_all(v, false);
	CHECK_EQ(sigtimedwait(&set, NULL, &none), SIGUSR2);
	CHECK_EQ(sigtimedwait(&set, &si, &none), SIGRTMIN + 2); /* of one of two: the other waits, here and after the restore */
	taken = si.si_pid;
	test_ready();
	CHECK_EQ(sigtimedwait(&set, &si, &none), SIGRTMIN + 2);
	CHECK_EQ(si.si_pid, taken == v[3] ? v[4] : v[3]);
	CHECK_EQ(sigtimedwait(&set, &si, &none), -1);
	check_all(v, true);
	check(exited, 1000, 2000, CLD_EXITED, 7);
	check(killed, 1010, 0, CLD_KILLED, SIGKILL);
	pass();
}
