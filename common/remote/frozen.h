/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What freezing a process lends to freezing a tree of them. */
#ifndef CR_REMOTE_FROZEN_H
#define CR_REMOTE_FROZEN_H

#include "common/remote/remote.h"

/* Who makes threads or children faster than we stop them is stopped by the first pass that finds none. */
#define FREEZE_PASSES 1000

/* Everything that makes a target unfit, told before it is touched. */
int freeze_check(pid_t pid, int proc_fd, const struct proc_stat *st, struct err *err);
/* Blocks SIGCHLD, which wait_tracee() sleeps on. */
void freeze_wait_begin(void);
/* Seizes and interrupts the threads that are not known yet. Their number, or -errno; dying ones are passed over. */
int freeze_seize(struct freeze *fz, int proc_fd, struct err *err);
/* Whether the first of those that stood still does: execve(2) of a thread that is not known yet makes an end of all others. */
bool freeze_stands(const struct freeze *fz);
/* Waits until those stand still, and forgets the ones that end instead. deadline_ns on CLOCK_MONOTONIC, 0 = none. */
int freeze_settle(struct freeze *fz, int proc_fd, uint64_t deadline_ns, struct err *err);
/*
 * After all threads stand still: when the first one has ended (pthread_exit(3) in main), puts it back in front of the others,
 * with registers by which it ends again, and makes *proc_fd /proc/TID of one that lives: which is all of /proc/PID, but alive
 * (fs/proc/base.c, proc_pid_lookup() takes any thread). 1: the leader lives, or another becomes it, and all is to be looked at again.
 */
int freeze_dead_leader(struct freeze *fz, int *proc_fd, struct err *err);
/* Opens mem_fd, unless it is open. */
int freeze_memory(struct freeze *fz, int proc_fd, struct err *err);

#endif
