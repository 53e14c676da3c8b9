/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CR_RESTORE_USED_H
#define CR_RESTORE_USED_H

#include "common/restore/model.h"

/*
 * --auto-dedup: the tasks run, and the room of the pages that they have now goes back to the file system, those in older checkpoints
 * among them. The checkpoint is none any more, so its inventory goes first; older ones are told in their manifests what they have left.
 * Compressed pages of older checkpoints stay.
 */
int used_give_back(const struct model *m, struct err *err);

#endif
