/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tracer PID: traces it, without stopping it, until killed. Creates the file `traced` when it does. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2 || ptrace(PTRACE_SEIZE, atoi(argv[1]), 0, 0))
		return 1;
	close(open("traced", O_CREAT | O_WRONLY, 0644));
	for (;;)
		pause();
}
