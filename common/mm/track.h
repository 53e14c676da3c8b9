/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of a task were written since the round before, as the kernel tells: userfaultfd(2) in its asynchronous way. */
#ifndef CR_MM_TRACK_H
#define CR_MM_TRACK_H

#include "common/dump/dump.h"

struct tracked { pid_t pid; uint64_t start_time; int uffd; };

/* Lives as long as the rounds of one run; its end ends the tracking, whatever that end is. */
struct tracker { struct tracked *v; size_t n, cap; };
void tracker_close(struct tracker *t);

/* Is the current task tracked since an earlier round? */
bool track_has(const struct dump *d);
/* Of the current task, frozen, its mappings known: from now on writes to its anonymous memory are told. What cannot be
 * tracked is not, and always counts as written. An error only when the task cannot be left as it was. */
int track_begin(struct dump *d, struct err *err);

#endif
