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

/*
 * Asks for many numbers. Who is dead is reaped, and what nobody is seen to have is given back, in a matter of moments: that is waited
 * for, together for all of them, and not any more once somebody who lives has one (then it is not a tree that was just dumped).
 */
struct taken_probe {
	int fd; /* -1 where this kernel tells only of processes and threads that have a number */
	int dead, unseen; /* how often it is still waited, for either */
};
void taken_open(struct taken_probe *p);
void taken_close(struct taken_probe *p);
struct taken taken_by(struct taken_probe *p, pid_t number);

#endif
