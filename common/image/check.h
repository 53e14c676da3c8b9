/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a checkpoint is whole and consistent: every image reads to its end, every reference between images leads somewhere, sizes
 * agree, and the manifest (when there is one) describes what is there. All kinds of images count, also those that no restore of ours
 * can bring back yet. All findings are told, not the first.
 */
#ifndef CR_IMAGE_CHECK_H
#define CR_IMAGE_CHECK_H

#include "common/image/image.h"

struct check_finding {
	const char *file; /* "core-12.img" */
	long entry;	  /* from 1; 0: the file as a whole */
	const char *text;
};
typedef void (*check_fn)(void *arg, const struct check_finding *f);

struct check_result {
	size_t images, findings;
	uint64_t bytes;	 /* of contents */
	bool manifest;	 /* there is one */
	bool tree;	 /* there is something to restore: a pre-dump has memory only */
	size_t unsummed; /* images of which it has no checksum */
};

/* 0 when the check could be made, whatever it found. */
int image_check(const char *path, unsigned threads, check_fn fn, void *arg, struct check_result *res, struct err *err);

#endif
