/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which kernel objects the tasks of a tree have together. */
#ifndef CR_DUMP_SHARE_H
#define CR_DUMP_SHARE_H

#include "common/dump/dump.h"

/* Gives all living tasks the ids of their address spaces, descriptor tables, fs_structs and signal handlers. */
int share_find(struct dump *d, struct err *err);

#endif
