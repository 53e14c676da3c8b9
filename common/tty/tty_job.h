/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-restore in the place of a shell: the terminal is lent to the restored job, and comes back to the caller as it was. */
#ifndef CR_FILE_TTY_JOB_H
#define CR_FILE_TTY_JOB_H

#include <asm/termbits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct tty_job {
	bool known;	       /* standard input is our terminal */
	bool lent;	       /* and we are in its foreground, or were, before the job got it */
	pid_t group;	       /* ours */
	struct termios2 ours;  /* settings as the caller has them */
	sigset_t mask;	       /* signals as they were; SIGTTOU is blocked meanwhile */
};

/* Remembers the terminal's state. j->known says whether there is one to lend: else the others do nothing. */
void tty_job_begin(struct tty_job *j);
/* The terminal is ours again, with its settings. Twice is fine. */
void tty_job_end(struct tty_job *j);
/*
 * waitpid(2) for a job: when it stops, so do we, with the terminal given back; when we go on, so does it, as a shell would do, with the
 * terminal where we are in the foreground. Gives waitpid's result.
 */
pid_t tty_job_wait(struct tty_job *j, pid_t root, int *status);

#endif
