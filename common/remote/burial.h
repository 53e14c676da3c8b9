/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread of a process that is being frozen calls execve(2): that kills the others and waits until they are reaped, which is for us
 * to do, as we trace them. Meanwhile it holds the lock that PTRACE_SEIZE needs (de_thread() in fs/exec.c; cred_guard_mutex in
 * ptrace_attach() in kernel/ptrace.c). So whoever seizes threads one after the other, or waits for one, may sleep for ever, unless
 * somebody beside him reaps.
 */
#ifndef CR_REMOTE_BURIAL_H
#define CR_REMOTE_BURIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct burial {
	pthread_t thread;
	bool running, end;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	pid_t *tids;
	size_t n, cap;
};

/* From now on this tracee is reaped when it dies, and who waits for it gets ECHILD then. Starts the thread that does so; where none can
 * be had, nobody is reaped. */
void burial_add(struct burial *b, pid_t tid);
/* Also of one that was zeroed and has nobody. */
void burial_end(struct burial *b);

#endif
