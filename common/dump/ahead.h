/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc tells of many tasks, read by a second thread while the first one looks at descriptors and asks tasks; the first one
 * does its part where it would have to wait. */
#ifndef CR_DUMP_AHEAD_H
#define CR_DUMP_AHEAD_H

#include "common/dump/dump.h"

/* From so many tasks on a second thread is worth its start. */
#define TASKS_FOR_TWO 8

struct ahead;

/* Starts with the first task: mappings (task.maps), and look(view) with view->task set, which may only read the dump. NULL when the
 * tree is too small for it. d and its tasks must not move until ahead_end(). */
struct ahead *ahead_start(struct dump *d, int (*look)(void *view, struct err *err));
/* Waits until all that is there of task i. Its error is the caller's now. */
int ahead_wait(struct ahead *a, size_t i, struct err *err);
/* Ends it, also in the middle. a may be NULL. */
void ahead_end(struct ahead *a);

#endif
