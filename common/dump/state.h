/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CR_DUMP_STATE_H
#define CR_DUMP_STATE_H

#include "common/dump/dump.h"

/* What is known of each thread of d->task from outside, and what makes it unfit before anything runs inside it. */
int state_look(struct dump *d, struct err *err);
/* Who it is among others (dump: a struct dump): nothing of it hangs on what the agent finds, so both may be done at the same time. */
int state_look_around(void *dump, struct err *err);
/* That, and all that state kinds look at, for one who goes ahead. */
int state_look_ahead(void *dump, struct err *err);
/* All tasks, each but for its files and pages. */
int state_dump_all(struct dump *d, struct err *err);

#endif
