/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CR_DUMP_BEFORE_H
#define CR_DUMP_BEFORE_H

#include "common/dump/dump.h"

/*
 * Memory only. The tasks stand still while it is found out what they have; it is read while they run. What changes
 * meanwhile may be in the images half old, half new: the dump that follows compares each page with what is there and
 * writes what differs. *frozen becomes false when they go on.
 */
int dump_before(struct dump *d, bool *frozen, struct err *err);

#endif
