/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All or nothing for trees, also when the restorer is killed while it lets go. */
#ifndef CR_RESTORE_COMMIT_H
#define CR_RESTORE_COMMIT_H

#include "common/restore/inner.h"

struct commit {
	int fd;	     /* where the guard listens; -1: there is none */
	pid_t guard;
};

/* Makes the guard, when there is more than one task. Always followed by commit_close(). */
int commit_open(struct commit *c, const struct births *b, struct err *err);
/* All threads are stopped and ready: from the return of this on they stay. */
int commit_tree(struct commit *c, const struct births *b, struct err *err);
/* Without commit_tree() before, the guard kills all tasks. */
void commit_close(struct commit *c);

#endif
