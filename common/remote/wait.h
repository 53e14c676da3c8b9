/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for a tracee without being left alone by its death. */
#ifndef CR_REMOTE_WAIT_H
#define CR_REMOTE_WAIT_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Waits for one event of a tracee; deadline_ns on CLOCK_MONOTONIC, 0 = none. Returns 0 and the wait status, -ETIMEDOUT,
 * -ECHILD when none will come any more, or another negative errno. A stop of a tracee raises SIGCHLD, which the caller
 * blocks.
 */
int wait_tracee(pid_t tid, uint64_t deadline_ns, int *status);

#endif
