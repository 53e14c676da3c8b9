/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/* Stopped children, with one thread and with four: whose stop their parent knows of, whose stop it has still to learn, and no
 * SIGCHLD more than that. */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

static volatile sig_atomic_t told;

static void on_chld(int sig)
{
	told += sig == SIGCHLD;
}

static volatile int *threads; /* of a child that is being made */

static void *thread(void *arg)
{
	__atomic_add_fetch(threads, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return arg;
}

static pid_t stopped(int more)
{
	siginfo_t si;
	pid_t pid;

	*threads = 0;
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		pthread_t t;

		for (int i = 0; i < more; i++)
			if (pthread_create(&t, NULL, thread, NULL))
				_exit(1);
		for (;;)
			pause();
	}
	while (*threads < more)
		test_sleep_ms(1);
	CHECK(!kill(pid, SIGSTOP));
	while (waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOWAIT))
		CHECK_EQ(errno, EINTR);
	return pid;
}

int main(void)
{
	enum { KNOWN, NEWS, KNOWN_THREADS, NEWS_THREADS, CHILDREN };
	struct sigaction sa = { .sa_handler = on_chld };
	sigset_t chld, pending;
	pid_t pid[CHILDREN];
	siginfo_t si;

	threads = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(threads != MAP_FAILED);
	CHECK(!sigaction(SIGCHLD, &sa, NULL));
	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = stopped(i < KNOWN_THREADS ? 0 : 3);
		while (!(i % 2) && waitid(P_PID, (id_t)pid[i], &si, WSTOPPED))
			CHECK_EQ(errno, EINTR);
	}
	told = 0;

	test_ready();

	CHECK_EQ(told, 0);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	CHECK(!sigprocmask(SIG_BLOCK, &chld, NULL));
	CHECK(!sigpending(&pending) && !sigismember(&pending, SIGCHLD));
	for (int i = 0; i < CHILDREN; i++) {
		si.si_pid = si.si_status = 0;
		CHECK(!waitid(P_PID, (id_t)pid[i], &si, WSTOPPED | WNOHANG));
		if (si.si_pid != (i % 2 ? pid[i] : 0))
			fail("stop of child %d: pid %d, not %d", i, si.si_pid, i % 2 ? pid[i] : 0);
		CHECK_EQ(si.si_status, i % 2 ? SIGSTOP : 0);
	}
	/* They are stopped indeed, and go on when told. */
	for (int i = 0; i < CHILDREN; i++) {
		CHECK(!kill(pid[i], SIGCONT));
		CHECK(!waitid(P_PID, (id_t)pid[i], &si, WCONTINUED));
		CHECK(!kill(pid[i], SIGKILL));
	}
	pass();
}
