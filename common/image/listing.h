/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stands in a directory of images, images or not. */
#ifndef CR_IMAGE_LISTING_H
#define CR_IMAGE_LISTING_H

#include "common/image/image.h"

struct listed {
	char name[256];
	enum image_kind kind; /* IMG_KINDS: it is no image */
	unsigned long id;
};
/* All regular files with visible names, in any order. *list is the caller's, malloc'ed. */
int listing_read(int dirfd, struct listed **list, size_t *n, struct err *err);

#endif
