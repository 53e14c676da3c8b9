/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interrupted CALL: sleeps in one system call until SIGUSR1, whose handler does not ask for a restart, ends it. */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t handled;

static void on_signal(int sig) { handled = sig; }

static long sleep_in(const char *call)
{
	struct epoll_event event;
	struct timespec far;
	int fds[2], word = 0;
	char byte;

	if (pipe(fds))
		return 0;
	if (!strcmp(call, "pause"))
		return syscall(SYS_pause);
	if (!strcmp(call, "select"))
		return select(0, NULL, NULL, NULL, NULL);
	if (!strcmp(call, "poll"))
		return poll(NULL, 0, -1);
	if (!strcmp(call, "ppoll"))
		return ppoll(NULL, 0, NULL, NULL);
	if (!strcmp(call, "epoll_wait"))
		return epoll_wait(epoll_create1(0), &event, 1, -1);
	if (!strcmp(call, "read"))
		return read(fds[0], &byte, 1);
	if (!strcmp(call, "futex"))
		return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
	if (!strcmp(call, "nanosleep"))
		return nanosleep(&(struct timespec){ 100000, 0 }, NULL);
	clock_gettime(CLOCK_MONOTONIC, &far);
	far.tv_sec += 100000;
	if (!strcmp(call, "clock_nanosleep")) {
		errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &far, NULL);
		return errno ? -1 : 0;
	}
	if (!strcmp(call, "wait4")) {
		pid_t child = fork();

		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		return wait4(child, NULL, 0, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	long ret;

	if (argc != 2 || sigaction(SIGUSR1, &sa, NULL))
		return 1;
	ret = sleep_in(argv[1]);
	if (ret != -1 || errno != EINTR || handled != SIGUSR1)
		printf("%s gave %ld, %s; signal %d\n", argv[1], ret, strerror(errno), (int)handled);
	else
		puts("pass");
	return 0;
}
