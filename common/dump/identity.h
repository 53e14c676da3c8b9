/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who the process is among others: its place in the tree, its namespaces, and the images that say so. */
#ifndef CR_DUMP_IDENTITY_H
#define CR_DUMP_IDENTITY_H

#include "common/dump/dump.h"

/* Refuses what the tree and namespace images of this version cannot express: children, foreign namespaces. */
int identity_check(struct dump *d, struct err *err);
/* Writes inventory, pstree, ids, seccomp and timens. */
void identity_put(struct dump *d);

#endif
