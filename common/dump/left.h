/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who stays behind: a process outside of the tree, as an orphan that init has, may be in a session or process group of the tree. Its
 * number stays taken then when the tree is gone, and a restore on this host would find it so.
 */
#ifndef CR_DUMP_LEFT_H
#define CR_DUMP_LEFT_H

#include "common/dump/dump.h"

/* Warns of each such number. dead: the tree is; then hardly any number is left to ask for. */
void left_tell(const struct dump *d, bool dead);

#endif
