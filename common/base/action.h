/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else wants to know how far the work is: scripts that are run at each stage (--action-script), and descriptors that are told
 * (--status-fd, --phase-fd). A script finds in its environment CRTOOLS_SCRIPT_ACTION, the stage; CRTOOLS_IMAGE_DIR, the directory of
 * the images as an absolute path, or "-"; CRTOOLS_INIT_PID, the root task. Names and meanings are CRIU's.
 */
#ifndef CR_BASE_ACTION_H
#define CR_BASE_ACTION_H

#include <sys/types.h>

#include "common/base/err.h"

struct log; /* log.h */

/* In the order in which they come. */
enum action {
	ACTION_PRE_DUMP,       /* nothing is stopped yet */
	ACTION_NETWORK_LOCK,   /* all stands still, connections are about to be locked */
	ACTION_POST_DUMP,      /* the images are complete, the tasks still stand still */
	ACTION_PRE_RESTORE,    /* the images are read, nothing is made yet */
	ACTION_POST_RESTORE,   /* all is made, and waits */
	ACTION_PRE_RESUME,     /* all waits for being let go */
	ACTION_NETWORK_UNLOCK, /* connections speak again */
	ACTION_POST_RESUME,    /* the tasks run */
	ACTION_STATUS_READY,   /* cr-dump: complete, and the tasks are what they are to be; cr-restore: they run */
	ACTIONS
};

struct actions {
	const char *const *scripts; /* ends with NULL; may be NULL */
	char *images_dir; /* owned */
	int status_fd, phase_fd; /* -1: none; closed when they are of no use any more */
	unsigned timeout_s; /* that a script may take; 0: for ever */
};
#define ACTIONS_INIT { .status_fd = -1, .phase_fd = -1 }

/*
 * Whether the scripts can be run and the descriptors are there: before anything of ours takes a number. images: as the user named
 * it. The descriptors are ours from then on, and not inherited by what we run.
 */
int actions_prepare(struct actions *a, const char *images, struct err *err);
/*
 * Tells all. The first script that fails, or takes too long and is killed with its process group, is the error. Scripts have no
 * descriptors of ours but 0 (/dev/null), 1 and 2 (our standard error). pid 0: not known. a may be NULL.
 */
int actions_run(struct actions *a, enum action what, pid_t pid, const struct log *log, struct err *err);
/* The same where nothing can be stopped any more: failures are warnings. */
void actions_tell(struct actions *a, enum action what, pid_t pid, const struct log *log);
/* The byte that is waited for, and its stage. */
void actions_ready(struct actions *a, pid_t pid, const struct log *log);
/* Whether somebody may take his time while tasks stand still. */
static inline bool actions_any(const struct actions *a)
{
	return a && a->scripts && *a->scripts;
}
void actions_release(struct actions *a);
#define cleanup_actions cleanup(actions_release)

#endif
