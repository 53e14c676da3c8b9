/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timed COMMAND...: prints the microseconds from before its fork to its end, its largest resident size in KiB, and the microseconds of
 * processor time that it took, to descriptor 3; ends with its exit status. To be as small as what is measured allows: vfork, one wait.
 */
#include <err.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec a, b;
	struct rusage ru;
	int status;
	if (argc < 2)
		errx(2, "usage: timed COMMAND...");
	clock_gettime(CLOCK_MONOTONIC, &a);
	pid_t pid = vfork();
	if (pid < 0)
		err(2, "vfork");
	if (!pid) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &ru) != pid)
		err(2, "wait4");
	clock_gettime(CLOCK_MONOTONIC, &b);
	dprintf(3, "%lld %ld %lld\n", (b.tv_sec - a.tv_sec) * 1000000ll + (b.tv_nsec - a.tv_nsec) / 1000, ru.ru_maxrss,
		(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000ll + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
