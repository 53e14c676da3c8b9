/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dispositions of all signals, and pending signals of the process and of one thread: order, sender, code, value. */
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

#define RT (SIGRTMIN + 3)

static pthread_barrier_t all;

static void handler(int signo, siginfo_t *si, void *uc) { fail("signal %d was delivered", signo); }

static void queue(pid_t tid, int signo, int code, int value)
{
	siginfo_t si = { .si_signo = signo, .si_code = code };

	si.si_pid = 4000 + value;
	si.si_uid = 17;
	si.si_value.sival_int = value;
	CHECK(!(tid ? syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signo, &si) :
		      syscall(SYS_rt_sigqueueinfo, getpid(), signo, &si)));
}

/* Takes the oldest pending signal of this number. */
static void take(int signo, int code, int value)
{
	struct timespec none = { 0, 0 };
	siginfo_t si;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	memset(&si, 0, sizeof(si));
	CHECK_EQ(sigtimedwait(&set, &si, &none), signo);
	CHECK_EQ(si.si_code, code);
	CHECK_EQ(si.si_pid, 4000 + value);
	CHECK_EQ(si.si_uid, 17);
	CHECK_EQ(si.si_value.sival_int, value);
}

static void none_left(void)
{
	sigset_t set;

	CHECK(!sigpending(&set));
	for (int s = 1; s <= 64; s++)
		CHECK(!sigismember(&set, s));
}

static void *thread(void *arg)
{
	queue(gettid(), SIGUSR1, SI_QUEUE, 50);
	for (int i = 0; i < 5; i++)
		queue(gettid(), RT, SI_QUEUE, 60 + i);
	queue(gettid(), SIGSEGV, SEGV_MAPERR, 0);
	pthread_barrier_wait(&all);
	pthread_barrier_wait(&all);
	for (int i = 0; i < 5; i++)
		take(RT, SI_QUEUE, 60 + i);
	take(SIGUSR1, SI_QUEUE, 50);
	return arg;
}

int main(void)
{
	struct sigaction before[65], now;
	pthread_t t;
	sigset_t full;

	sigfillset(&full);
	CHECK(!sigprocmask(SIG_SETMASK, &full, NULL));
	for (int s = 1; s <= 64; s++) {
		struct sigaction sa = { .sa_sigaction = handler };

		if (s == SIGKILL || s == SIGSTOP || s == 32 || s == 33)
			continue;
		sa.sa_flags = (s & 1 ? SA_SIGINFO : 0) | (s & 2 ? SA_RESTART : 0) | (s & 4 ? SA_ONSTACK : 0) |
			      (s & 8 ? SA_NODEFER : 0) | (s & 16 ? (int)SA_RESETHAND : 0);
		if (s % 5 == 0)
			sa.sa_handler = SIG_IGN;
		if (s % 7 == 0)
			sa.sa_handler = SIG_DFL;
		sigemptyset(&sa.sa_mask);
		sigaddset(&sa.sa_mask, 1 + s % 31);
		CHECK(!sigaction(s, &sa, NULL));
		CHECK(!sigaction(s, NULL, &before[s]));
	}
	pthread_barrier_init(&all, NULL, 2);
	CHECK(!pthread_create(&t, NULL, thread, NULL));
	pthread_barrier_wait(&all);
	/* To the process: from a user, from the kernel as it seems, real-time ones in their order, ignored ones too. */
	queue(0, SIGUSR2, SI_QUEUE, 1);
	queue(0, SIGCHLD, SI_USER, 2);
	queue(0, SIGHUP, SI_KERNEL, 3);
	queue(0, SIGURG, -60, 4);
	queue(0, SIGCONT, SI_QUEUE, 5);
	for (int i = 0; i < 9; i++)
		queue(0, RT, SI_QUEUE, 10 + i);
	queue(0, RT + 1, SI_MESGQ, 20);
	test_ready();
	for (int s = 1; s <= 64; s++) {
		if (s == SIGKILL || s == SIGSTOP || s == 32 || s == 33)
			continue;
		CHECK(!sigaction(s, NULL, &now));
		CHECK(now.sa_handler == before[s].sa_handler);
		CHECK_EQ(now.sa_flags, before[s].sa_flags);
		CHECK(!memcmp(&now.sa_mask, &before[s].sa_mask, 8));
	}
	pthread_barrier_wait(&all);
	CHECK(!pthread_join(t, NULL));
	for (int i = 0; i < 9; i++)
		take(RT, SI_QUEUE, 10 + i);
	take(RT + 1, SI_MESGQ, 20);
	take(SIGCONT, SI_QUEUE, 5);
	take(SIGURG, -60, 4);
	take(SIGUSR2, SI_QUEUE, 1);
	/* The C library hides nothing of these two but their value. */
	siginfo_t si;
	sigset_t two;
	sigemptyset(&two);
	sigaddset(&two, SIGHUP);
	CHECK_EQ(sigwaitinfo(&two, &si), SIGHUP);
	CHECK_EQ(si.si_code, SI_KERNEL);
	sigemptyset(&two);
	sigaddset(&two, SIGCHLD);
	CHECK_EQ(sigwaitinfo(&two, &si), SIGCHLD);
	CHECK_EQ(si.si_code, SI_USER);
	CHECK_EQ(si.si_pid, 4002);
	none_left();
	pass();
}
