/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page sets while they are put together; for the files that do that. */
#ifndef CR_IMAGE_CHECKPOINT_MEMORY_H
#define CR_IMAGE_CHECKPOINT_MEMORY_H

#include "bin/cr-image/checkpoint.h"

void ckpt_pages_add(struct ckpt_pages *s, size_t *cap, struct ckpt_run run);
/* First run that ends behind addr. */
size_t ckpt_pages_find(const struct ckpt_pages *s, uint64_t addr);
/* t->pages as its own images tell it: what is the parent process's is still marked so. */
int ckpt_pages_raw(struct ckpt *c, struct ckpt_task *t, struct err *err);
/* t->pages, and those of its parents as far as it takes, without such marks. pieces: how many runs were made so far, over all tasks. */
int ckpt_pages_cow(struct ckpt *c, struct ckpt_task *t, size_t *pieces, struct err *err);

#endif
