/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kill_after MICROSECONDS COMMAND...: runs the command and sends it SIGKILL so long after its exec. Prints `killed`, or `exit N` when it was
 * faster. MICROSECONDS 0 never kills and prints `exit N after M us`: how long the command takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	long long us = atoll(argv[1]);
	int gate[2], status;
	if (pipe2(gate, O_CLOEXEC))
		return 2;
	pid_t pid = fork();
	if (pid < 0)
		return 2;
	if (!pid) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	/* The pipe closes at the moment of exec: time is counted from there. */
	char c;
	close(gate[1]);
	while (read(gate[0], &c, 1) < 0 && errno == EINTR)
		;
	long long start = now_ns();
	if (us) {
		while (now_ns() < start + us * 1000) {
			siginfo_t si = { 0 };
			if (!waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) && si.si_pid == pid)
				break;
			struct timespec nap = { .tv_nsec = 20000 };
			nanosleep(&nap, NULL);
		}
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		printf("killed\n");
	else if (us)
		printf("exit %d\n", WEXITSTATUS(status));
	else
		printf("exit %d after %lld us\n", WEXITSTATUS(status), (now_ns() - start) / 1000);
	return 0;
}
