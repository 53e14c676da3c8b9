/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that are as the one whom others look at (dump_task.tid): what the kernel has of both is one object, so what /proc tells of
 * that one is true of them, and need not be read a thousand times.
 */
#ifndef CR_TASK_ALIKE_H
#define CR_TASK_ALIKE_H

#include "common/dump/dump.h"

struct alike; /* what all looks of a dump have in common; for its own thread */

struct alike *alike_new(void);
void alike_free(struct alike *a);
/* Before anybody is frozen: where there may be much to compare, it begins to be prepared, beside. pid: the root of the tree. */
void alike_begin(struct alike *a, pid_t pid);
/*
 * After t->threads[t->fz.speaker].status was read: says of each other thread what is alike (dump_thread.alike), and fills its status
 * where that is; and gives all their numbers, from which follows what they would answer (dump_thread.told). All threads stand still.
 * Whatever cannot be told is to be read as of any thread.
 */
void alike_look(struct alike *a, struct dump_task *t, struct arena *arena, const struct log *log);

#endif
