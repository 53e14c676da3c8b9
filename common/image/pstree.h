/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an entry of pstree.img stands for. */
#ifndef CR_IMAGE_PSTREE_H
#define CR_IMAGE_PSTREE_H

#include <stdbool.h>

#include "pstree.pb-c.h"

/*
 * A zombie has one thread that is not itself: number 0; CRIU 4.2 writes any number, which it never set. Its core alone is there. Of an
 * entry that has threads.
 */
static inline bool pstree_is_zombie(const PstreeEntry *e)
{
	return e->n_threads == 1 && e->threads[0] != e->pid;
}

#endif
