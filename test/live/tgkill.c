/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tgkill PID TID URG|WINCH|CHLD: a signal for one thread, which kill(1) cannot send. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int sig;

	if (argc != 4)
		return 2;
	sig = !strcmp(argv[3], "URG") ? SIGURG : !strcmp(argv[3], "WINCH") ? SIGWINCH : SIGCHLD;
	return syscall(SYS_tgkill, atoi(argv[1]), atoi(argv[2]), sig) != 0;
}
