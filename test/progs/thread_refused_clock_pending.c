/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test: refused=POSIX_timer_0_counts_the_CPU_time_of_one_of_2_threads,_and_does_not_tell_which_while_its_signal_waits
 * To ask a timer whose time it counts would take away a signal of its that nobody has taken: it stays. And one without an interval
 * does not show by moving.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"

static volatile int made;

static void *thread(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77 };
	struct itimerspec v = { { 0, 0 }, { 0, 1000000 } };
	int id;
	sigset_t set;

	CHECK(!syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, &ev, &id));
	CHECK(!syscall(SYS_timer_settime, id, 0, &v, NULL));
	do
		CHECK(!sigpending(&set));
	while (!sigismember(&set, SIGUSR1));
	made = 1;
	for (;;)
		pause();
	return arg;
}

int main(void)
{
	struct timespec soon = { 30, 0 };
	siginfo_t si;
	pthread_t t;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(!pthread_create(&t, NULL, thread, NULL));
	while (!made)
		test_sleep_ms(1);
	test_ready();
	CHECK_EQ(sigtimedwait(&set, &si, &soon), SIGUSR1);
	CHECK(si.si_code == SI_TIMER && si.si_value.sival_int == 77);
	pass();
}
