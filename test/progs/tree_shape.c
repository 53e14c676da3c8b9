/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * A tree of every shape: sessions and process groups with leaders alive, dead and buried, orphans, zombies, a stopped child.
 * Each process keeps what it was in shared memory and proves it itself.
 */
#include "test.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
	ROOT, PLAIN, LEADER, IN_SESSION, EARLIER, LATER_LEADER, GROUP_ZOMBIE, IN_GROUP_ZOMBIE, GROUP_GONE, IN_GROUP_GONE, SESSION_GONE,
	IN_SESSION_GONE, ORPHAN_OF_LEADER, STOPPED, ZOMBIE_7, ZOMBIE_KILLED, ZOMBIE_LEADER, ROLES
};
struct self { pid_t pid, ppid, pgid, sid; int ready, wrong; };
static struct shared { int go; struct self v[ROLES]; } *s;

static void look(struct self *t)
{
	*t = (struct self){ getpid(), getppid(), getpgrp(), getsid(0), 0, 0 };
}

/* Stands still until the word, then compares. */
static void stand(int role)
{
	struct self now;

	look(&s->v[role]);
	__atomic_store_n(&s->v[role].ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
		test_sleep_ms(2);
	look(&now);
	s->v[role].wrong = now.pid != s->v[role].pid ? 1 : now.ppid != s->v[role].ppid ? 2 : now.pgid != s->v[role].pgid ? 3
			   : now.sid != s->v[role].sid ? 4 : -1;
	for (;;)
		pause();
}

static void until(const int *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		test_sleep_ms(1);
}

static pid_t child(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	return pid;
}

/* The caller exits, and a child of it goes on as an orphan. */
static void orphaned(pid_t parent)
{
	if (child())
		_exit(0);
	while (getppid() == parent)
		test_sleep_ms(1);
}

static void build(void)
{
	pid_t pid;

	if (!child())
		stand(PLAIN);
	if (!child()) {
		setsid();
		if (!child())
			stand(IN_SESSION);
		if (!child()) { /* its child is left to the next reaper, in this session */
			orphaned(getpid());
			stand(ORPHAN_OF_LEADER);
		}
		until(&s->v[ORPHAN_OF_LEADER].ready);
		wait(NULL);
		stand(LEADER);
	}
	if (!child()) {
		if (!child())
			stand(EARLIER);
		until(&s->v[EARLIER].ready);
		setsid();
		stand(LATER_LEADER);
	}
	if (!child()) {
		setpgid(0, 0);
		look(&s->v[GROUP_ZOMBIE]);
		orphaned(getpid());
		stand(IN_GROUP_ZOMBIE);
	}
	pid = child();
	if (!pid) {
		setpgid(0, 0);
		look(&s->v[GROUP_GONE]);
		orphaned(getpid());
		stand(IN_GROUP_GONE);
	}
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	pid = child();
	if (!pid) {
		setsid();
		look(&s->v[SESSION_GONE]);
		orphaned(getpid());
		stand(IN_SESSION_GONE);
	}
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	if (!child())
		stand(STOPPED);
	until(&s->v[STOPPED].ready);
	kill(s->v[STOPPED].pid, SIGSTOP);
	pid = child();
	if (!pid)
		_exit(7);
	s->v[ZOMBIE_7].pid = pid;
	pid = child();
	if (!pid)
		for (;;)
			pause();
	s->v[ZOMBIE_KILLED].pid = pid;
	kill(pid, SIGKILL);
	pid = child();
	if (!pid) {
		setsid();
		_exit(0);
	}
	s->v[ZOMBIE_LEADER].pid = pid;
}

static void expect_dead(int role, int status)
{
	int got;

	CHECK_EQ(waitpid(s->v[role].pid, &got, 0), s->v[role].pid);
	CHECK_EQ(got, status);
}

int main(void)
{
	static const int standing[] = { PLAIN, LEADER, IN_SESSION, EARLIER, LATER_LEADER, IN_GROUP_ZOMBIE, IN_GROUP_GONE,
					IN_SESSION_GONE, ORPHAN_OF_LEADER };
	siginfo_t si = { 0 };
	sigset_t pending;
	int status;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	look(&s->v[ROOT]);
	build();
	for (size_t i = 0; i < sizeof(standing) / sizeof(*standing); i++)
		until(&s->v[standing[i]].ready);
	/* All corpses there, none of them waited for. */
	CHECK(!waitid(P_PID, (id_t)s->v[ZOMBIE_KILLED].pid, &si, WEXITED | WNOWAIT));
	CHECK(!waitid(P_PID, (id_t)s->v[ZOMBIE_LEADER].pid, &si, WEXITED | WNOWAIT));
	CHECK(!waitid(P_PID, (id_t)s->v[GROUP_ZOMBIE].pid, &si, WEXITED | WNOWAIT));
	CHECK(!waitid(P_PID, (id_t)s->v[STOPPED].pid, &si, WSTOPPED | WNOWAIT));

	test_ready();

	CHECK(!sigpending(&pending));
	CHECK(!sigismember(&pending, SIGCHLD));
	CHECK_EQ(getsid(0), s->v[ROOT].sid);
	CHECK_EQ(getpgrp(), s->v[ROOT].pgid);
	__atomic_store_n(&s->go, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < sizeof(standing) / sizeof(*standing); i++) {
		struct self *t = &s->v[standing[i]];

		until(&t->wrong);
		if (t->wrong != -1)
			fail("process %zu: %s changed", i, t->wrong == 1 ? "pid" : t->wrong == 2 ? "parent" :
			     t->wrong == 3 ? "group" : "session");
		CHECK_EQ(kill(t->pid, 0), 0);
	}
	CHECK_EQ(s->v[IN_SESSION].ppid, s->v[LEADER].pid);
	CHECK_EQ(s->v[ORPHAN_OF_LEADER].ppid, getpid());
	CHECK_EQ(s->v[ORPHAN_OF_LEADER].sid, s->v[LEADER].pid);
	CHECK_EQ(s->v[EARLIER].sid, getsid(0));
	CHECK_EQ(s->v[IN_GROUP_ZOMBIE].pgid, s->v[GROUP_ZOMBIE].pid);
	CHECK_EQ(s->v[IN_GROUP_GONE].pgid, s->v[GROUP_GONE].pid);
	CHECK_EQ(s->v[IN_SESSION_GONE].sid, s->v[SESSION_GONE].pid);
	/* The stopped one runs not a step, and goes on when told. */
	CHECK_EQ(s->v[STOPPED].wrong, 0);
	CHECK_EQ(waitpid(s->v[STOPPED].pid, &status, WUNTRACED | WNOHANG), s->v[STOPPED].pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	kill(s->v[STOPPED].pid, SIGCONT);
	until(&s->v[STOPPED].wrong);
	CHECK_EQ(s->v[STOPPED].wrong, -1);
	expect_dead(ZOMBIE_7, 7 << 8);
	expect_dead(ZOMBIE_KILLED, SIGKILL);
	expect_dead(ZOMBIE_LEADER, 0);
	expect_dead(GROUP_ZOMBIE, 0);
	/* Nobody else came or went. */
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
	for (size_t i = 0; i < sizeof(standing) / sizeof(*standing); i++)
		kill(s->v[standing[i]].pid, SIGKILL);
	kill(s->v[STOPPED].pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	CHECK_EQ(errno, ECHILD);
	pass();
}
