/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * withhold ERRNO NR[:ARG=VALUE] COMMAND...: runs a command for which the system call NR (whose argument ARG, from 0, is VALUE)
 * fails with ERRNO, numbers all, as it does on a kernel without it or in a container that forbids it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned nr, arg = 0, value = 0;

	if (argc < 4 || sscanf(argv[2], "%u:%u=%u", &nr, &arg, &value) < 1)
		return 2;

	int all = sscanf(argv[2], "%u:%u=%u", &nr, &arg, &value) == 1;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offsetof(struct seccomp_data, args) + 8 * arg)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, all ? 0 : 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1])),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog)) {
		perror("seccomp");
		return 77;
	}
	execvp(argv[3], argv + 3);
	perror(argv[3]);
	return 2;
}
