/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room of pages that older checkpoints of a chain need not keep any more goes back to the file system. */
#ifndef CR_IMAGE_GIVE_H
#define CR_IMAGE_GIVE_H

#include "common/image/chain.h"

struct hole { size_t dir; uint32_t pages_id; uint64_t off, len; };
struct give {
	struct hole *v;
	size_t n, cap;
};
void give_add(struct give *g, size_t dir, uint32_t pages_id, uint64_t off, uint64_t len);
/*
 * Gives it back, and notes in the manifests whom it was given to (a run, or MANIFEST_RESTORED). Nothing is touched unless all parts of
 * files where that happens have the sums that their manifests say: what is damaged stays so, and is told. Whoever is killed in between
 * leaves files whose sizes alone are known. Compressed files stay as they are.
 */
int give_back(const struct give *g, const struct chain *c, const char *to, struct err *err);
void give_release(struct give *g);

#endif
