/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Signals pending between tasks: values from a parent and from a sibling, in their order, the end of a child that its parent has not
 * looked at, and SIGIO for what a task does with a pipe whose signals another one gets.
 */
#include "test.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { TAKER, SENDER, ROLES };
static struct stand { volatile int up, go, done; volatile pid_t pid; } *s;
static int ends[2];
static sigset_t all;

static void until(volatile int *word, int value)
{
	for (int i = 0; *word < value; i++) {
		if (i > 60000)
			_exit(99);
		test_sleep_ms(2);
	}
}

static void queue(pid_t pid, int sig, int value)
{
	if (sigqueue(pid, sig, (union sigval){ .sival_int = value }))
		_exit(10);
}

/* The next pending signal must be this one. */
static void expect(int sig, int code, pid_t from, int value)
{
	static const struct timespec soon = { 10, 0 };
	siginfo_t si = { 0 };

	if (sigtimedwait(&all, &si, &soon) != sig || si.si_code != code)
		_exit(11);
	if (code == SI_QUEUE && (si.si_pid != from || si.si_uid != getuid() || si.si_value.sival_int != value))
		_exit(12);
	if (code == POLL_IN && si.si_fd != value)
		_exit(13);
}

static void taker(void)
{
	if (fcntl(ends[0], F_SETOWN, getpid()) || fcntl(ends[0], F_SETSIG, SIGRTMIN + 7) ||
	    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK))
		_exit(14);
	s[TAKER].up = 1;
	until(&s[TAKER].go, 1);
	expect(SIGRTMIN + 2, SI_QUEUE, getppid(), 1);
	expect(SIGRTMIN + 2, SI_QUEUE, s[SENDER].pid, 2);
	expect(SIGRTMIN + 2, SI_QUEUE, getppid(), 3);
	expect(SIGRTMIN + 7, POLL_IN, 0, ends[0]);
	s[TAKER].done = 1;
	until(&s[TAKER].go, 2);
	expect(SIGRTMIN + 7, POLL_IN, 0, ends[0]); /* the owner is still it */
	_exit(0);
}

static void sender(void)
{
	until(&s[SENDER].go, 1);
	queue(s[TAKER].pid, SIGRTMIN + 2, 2);
	s[SENDER].done = 1;
	until(&s[SENDER].go, 2);
	_exit(write(ends[1], "y", 1) != 1);
}

static pid_t role(int i, void (*fn)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		s[i].pid = getpid();
		fn();
	}
	s[i].pid = pid;
	return pid;
}

int main(void)
{
	siginfo_t si;
	pid_t dead;
	int status;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED && !pipe(ends));
	sigfillset(&all);
	sigdelset(&all, SIGTERM);
	CHECK(!sigprocmask(SIG_BLOCK, &all, NULL));
	role(TAKER, taker);
	until(&s[TAKER].up, 1);
	role(SENDER, sender);
	queue(s[TAKER].pid, SIGRTMIN + 2, 1);
	s[SENDER].go = 1;
	until(&s[SENDER].done, 1);
	queue(s[TAKER].pid, SIGRTMIN + 2, 3);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	dead = fork();
	if (!dead)
		_exit(5);
	CHECK(!waitid(P_PID, (id_t)dead, &si, WEXITED | WNOWAIT));

	test_ready();

	s[TAKER].go = 1;
	for (int i = 0; !s[TAKER].done; i++) {
		CHECK(i < 15000);
		CHECK_EQ(waitpid(s[TAKER].pid, &status, WNOHANG), 0);
		test_sleep_ms(2);
	}
	s[TAKER].go = s[SENDER].go = 2;
	CHECK(waitpid(s[SENDER].pid, &status, 0) == s[SENDER].pid && !status);
	CHECK_EQ(waitpid(s[TAKER].pid, &status, 0), s[TAKER].pid);
	CHECK_EQ(status, 0);
	/* Of three ends one SIGCHLD waits: the first. */
	CHECK_EQ(sigtimedwait(&all, &si, &(struct timespec){ 0, 0 }), SIGCHLD);
	CHECK_EQ(si.si_pid, dead);
	CHECK_EQ(si.si_status, 5);
	CHECK_EQ(waitpid(dead, &status, 0), dead);
	CHECK_EQ(WEXITSTATUS(status), 5);
	pass();
}
