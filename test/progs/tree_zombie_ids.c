/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zombies that were other users: what waitid(2) and /proc tell of them is theirs. One exited, one was killed. */
#include <grp.h>
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

int main(void)
{
	siginfo_t si;
	pid_t exited, killed;

	if (geteuid())
		TEST_SKIP("only root can be others");
	exited = make(1000, 2000, false);
	killed = make(1010, 0, true);
	CHECK(!waitid(P_PID, (id_t)exited, &si, WEXITED | WNOWAIT) && !waitid(P_PID, (id_t)killed, &si, WEXITED | WNOWAIT));
	test_ready();
	check(exited, 1000, 2000, CLD_EXITED, 7);
	check(killed, 1010, 0, CLD_KILLED, SIGKILL);
	pass();
}
