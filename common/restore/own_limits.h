/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Soft limits of whoever starts a restore are for its own programs: what the checkpoint needs is limited by the hard ones alone. Tasks
 * get those of the checkpoint; what runs after the restore (--exec-cmd) gets those that we had.
 */
#ifndef CR_RESTORE_OWN_LIMITS_H
#define CR_RESTORE_OWN_LIMITS_H

#include <stdbool.h>
#include <sys/resource.h>

#define OWN_LIMITS 4
struct own_limits { struct rlimit was[OWN_LIMITS]; bool known[OWN_LIMITS]; };

void own_limits_lift(struct own_limits *o);
void own_limits_back(const struct own_limits *o);

#endif
