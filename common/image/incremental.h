/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Incremental checkpoints: a chain made smaller, or into one. */
#ifndef CR_IMAGE_INCREMENTAL_H
#define CR_IMAGE_INCREMENTAL_H

#include "common/image/image.h"

struct incremental_result {
	size_t dirs;	    /* of the chain */
	uint64_t pages;	    /* that the page sets describe, or that were looked at */
	uint64_t dropped;   /* dedup: those that a parent has with the same content */
	uint64_t inherited; /* flatten: those that came from parents */
};

/*
 * Drops pages from the page sets of a directory whose content a parent has at the same place; their entries then refer to the parent.
 * Each page set is replaced in one step: the new pages go into a file of a new number, and the pagemap that names it takes the place
 * of the old one. A killed run leaves at most pages files that nobody refers to (cr-image check names them) and
 * no manifest.
 */
int image_dedup(const char *path, struct incremental_result *res, struct err *err);

/* Writes a checkpoint with all pages of the chain, and everything else of the directory, into another directory (made when it is missing;
 * it must have no checkpoint). */
int image_flatten(const char *path, const char *out, struct incremental_result *res, struct err *err);

#endif
