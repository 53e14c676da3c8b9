/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peak COMMAND...: prints the largest resident size that it had, in KiB, to descriptor 3; ends with its exit status. */
#include <err.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage ru;
	int status;
	pid_t pid = argc < 2 ? -1 : vfork();

	if (pid < 0)
		errx(2, "usage: peak COMMAND...");
	if (!pid) {
		close(3);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &ru) != pid)
		err(2, "wait4");
	dprintf(3, "%ld\n", ru.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
