/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who the process is among others: its place in the tree, its namespaces, and the images that say so. */
#ifndef CR_DUMP_IDENTITY_H
#define CR_DUMP_IDENTITY_H

#include "common/dump/dump.h"

/* Id of each kernel object that the task has for itself: vm, files, fs, sighand. */
#define TASK_KOBJ 2

/* Refuses what the tree and namespace images of this version cannot express: children, foreign namespaces. Reads d only, so
 * that it may run beside other work. */
int identity_check(const struct dump *d, struct err *err);
/* Writes inventory, pstree, ids, seccomp and timens. */
void identity_put(struct dump *d);

#endif
