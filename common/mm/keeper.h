/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps a tracker (track.h) between two dumps: a small process that holds its descriptors, which the next dump takes from it. It
 * ends then, or with the last of the tasks; when it is killed, the kernel takes all back and the next dump compares contents.
 */
#ifndef CR_MM_KEEPER_H
#define CR_MM_KEEPER_H

#include "common/mm/track.h"

/*
 * Looks for keepers of the tasks that are frozen. What they have tracked since the dump that is d->previous becomes d->tracker's; what they
 * have tracked for another dump ends. In a check nothing is taken: d->tracker is told which tasks are tracked.
 */
void keeper_take(struct dump *d);
/* Leaves what t has to a process of its own, for a dump whose parent is the one named run_id. Without it nothing is wrong, but slower: what
 * went wrong goes to the log. */
void keeper_leave(struct tracker *t, const char *run_id, const struct log *log);
/*
 * Ends what t has of tasks that go on with so much memory. With the last descriptor the kernel goes over all their pages, some hundred
 * nanoseconds each, and nobody needs to wait for that: a process of ours does it. A dump that comes meanwhile meets it as it would meet a
 * keeper, and waits for its end.
 */
void keeper_end(struct tracker *t, uint64_t bytes);

#endif
