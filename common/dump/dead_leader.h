/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image of a first thread that has ended (common/remote/leader.c). Both do nothing where it lives. */
#ifndef CR_DUMP_DEAD_LEADER_H
#define CR_DUMP_DEAD_LEADER_H

#include "common/dump/dump.h"

/* What its /proc/PID/task/PID/status does not tell any more, from a thread that lives. */
void dead_leader_status(struct dump_task *task);
/* Fills its core image; to be called when the living threads of d->task have theirs. */
int dead_leader_dump(struct dump *d, struct err *err);

#endif
