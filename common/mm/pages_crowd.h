/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two threads of ours at the pages of many tasks: each takes whole tasks; who finds none left helps the other one with a large one. */
#ifndef CR_MM_PAGES_CROWD_H
#define CR_MM_PAGES_CROWD_H

#include "common/mm/private.h"

struct pump; /* pages_dump.c */
struct crowd;

/* One of the two: dump.worker, in the view that it has of the dump. */
struct worker { struct crowd *crowd; size_t seat; };

/* The pages of the task that this worker is at may be moved by both, until it is withdrawn, which waits for the helper. */
void crowd_offer(const struct worker *w, struct pump *p);
void crowd_withdraw(const struct worker *w);

/* In pages_dump.c: moves pages of p, which is another worker's, until there are no more. d: the helper's. */
void pump_help(struct pump *p, struct dump *d);

#endif
