/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing two checkpoints. */
#ifndef CR_IMAGE_DIFF_H
#define CR_IMAGE_DIFF_H

#include "bin/cr-image/x.h"

/* Appends what differs between rows of the same keys: {"what", "pid", "name", "old", "new"}; old or new is absent for what is in one
 * of them only. The first of the fields is what such a row is shown by. */
void diff_rows(json_object *changes, const char *what, json_object *old, json_object *new, const char *const *keys,
	       const char *const *fields);
/* Pages of tasks that are in both, by content: a row for each mapping, with the number of pages and their ranges. */
int diff_pages(struct ckpt *a, struct ckpt *b, json_object *changes, struct err *err);

#endif
