/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has a number that a task is to get. */
#ifndef CR_RESTORE_TAKEN_H
#define CR_RESTORE_TAKEN_H

#include <stdbool.h>
#include <sys/types.h>

struct taken {
	enum { TAKEN_NOT, TAKEN_PROCESS, TAKEN_THREAD, TAKEN_GROUP, TAKEN_SESSION, TAKEN_SOMEHOW } how;
	pid_t pid, ppid; /* the process that has it, its thread has, or that is in the group or session */
	char state;
	char comm[64];
};

/* probe: from taken_probe(), for many numbers. Waits for processes that are dead to be reaped, which is a matter of moments. */
struct taken taken_by(int probe, pid_t number);
/* A descriptor to be closed; -1 where this kernel tells only of processes and threads that have a number. */
int taken_probe(void);

#endif
