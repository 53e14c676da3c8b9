/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mappings of a task as the kernel has them: place, file, flags, and whether their pages may be anybody else's too. */
#ifndef CR_MM_LOOK_H
#define CR_MM_LOOK_H

#include "common/dump/dump.h"

struct mm_look; /* what several looks have in common, by any threads */

struct mm_look *mm_look_new(void);
void mm_look_free(struct mm_look *l);
/* All tasks stand still: where smaps would take long, the other way begins to be prepared, beside. */
void mm_look_begin(const struct dump *d);
/* Fills t->maps, in arena. */
int mm_look(const struct dump *d, struct dump_task *t, struct arena *arena, struct err *err);

#endif
