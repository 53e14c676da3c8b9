/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the agent goes in a frozen process, and how it calls. Nothing outside common/remote includes this. */
#ifndef CR_REMOTE_CAVE_H
#define CR_REMOTE_CAVE_H

#include "common/remote/remote.h"

#define SLOT_BYTES (ARCH_AGENT_SLOTS * sizeof(uint64_t))
#define GUESTS_MAX 6u

struct cave {
	uint64_t code; /* where the agent's code is in the target */
	size_t len;    /* with slots; 0 when there is none */
	size_t guests; /* so many threads may be inside at once, besides the holder */
};

/* Finds the place for the agent's code. known: mappings, or NULL. -EBUSY while threads are still on their way out of a dead
 * dumper's agent. */
int cave_find(const struct freeze *fz, const struct proc_maps *known, const struct log *log, struct cave *c, struct err *err);

/* Finds a signal that is ignored by default, not handled, not pending and not blocked anywhere; or else the next best:
 * *matters says that the process handles it or waits for it. known: status of the thread that is asked for the process, or NULL. */
int cave_signal(const struct freeze *fz, const struct proc_status *known, int *signal, bool *matters, struct err *err);

#endif
