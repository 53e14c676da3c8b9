/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: busy
 * POSIX timers on processor time: of the only thread, by both names of its clock, and of a child. */
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

static volatile int hits[3];

static void on_timer(int signo, siginfo_t *si, void *uc)
{
	hits[si->si_value.sival_int]++;
}

static void make(int clock, int which)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = which };
	struct itimerspec often = { { 0, 10000000 }, { 0, 10000000 } };
	int id;

	CHECK(!syscall(SYS_timer_create, clock, &ev, &id));
	CHECK(!syscall(SYS_timer_settime, id, 0, &often, NULL));
}

/* Until processor time of ours, or of the child, has made the timer fire three times more. */
static void fires(int which, bool work)
{
	const int before = hits[which];

	for (int i = 0; i < 20000 && hits[which] < before + 3; i++) {
		if (work)
			for (volatile long k = 0; k < 300000; k++)
				;
		else
			test_sleep_ms(2);
	}
	CHECK(hits[which] >= before + 3);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
	clockid_t childs;
	pid_t child;

	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	child = fork();
	CHECK(child >= 0);
	if (!child)
		for (;;)
			;
	CHECK(!clock_getcpuclockid(child, &childs));
	make(CLOCK_THREAD_CPUTIME_ID, 0);
	make((int)(~0u << 3 | 4 | 2), 1); /* what libc makes of it: the thread that calls, scheduler's clock */
	make(childs, 2);
	test_ready();
	fires(0, true);
	fires(1, true);
	fires(2, false);
	CHECK(!kill(child, SIGKILL));
	CHECK_EQ(waitpid(child, NULL, 0), child);
	pass();
}
