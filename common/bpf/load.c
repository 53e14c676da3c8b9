/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/bpf/load.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int bpf_sys(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int bpf_load(union bpf_attr *attr)
{
	sigset_t all, before;
	int fd, errnum;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	fd = bpf_sys(BPF_PROG_LOAD, attr);
	errnum = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = errnum;
	return fd;
}

int bpf_map(enum bpf_map_type type, uint32_t value_size, uint32_t flags)
{
	union bpf_attr attr = { .map_type = type, .key_size = 4, .value_size = value_size, .max_entries = 1, .map_flags = flags };

	return bpf_sys(BPF_MAP_CREATE, &attr);
}
