/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking tasks for what only they can tell. */
#ifndef CR_DUMP_ASK_H
#define CR_DUMP_ASK_H

#include "common/dump/dump.h"

/* All that needs the agent inside d->task, whatever it is. */
int ask_inside(struct dump *d, struct err *err);
/* The same for n tasks that ask_is_for_many(), no more than ASK_AT_ONCE: each has an address space of its own. Names the task that
 * failed. */
#define ASK_AT_ONCE 16
bool ask_is_for_many(const struct dump_task *t);
int ask_many(struct dump *d, struct dump_task *const *v, size_t n, struct err *err);

/* What kinds ask of d->task's threads by number alone: by any thread of ours, with a d of its own. */
int ask_by_number(struct dump *d, struct err *err);

#endif
