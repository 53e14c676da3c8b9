/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that gets its name when it is whole: without a name where the file system can do that (O_TMPFILE), so that a killed
 * process leaves nothing, else under a hidden one.
 */
#ifndef CR_IMAGE_DRAFT_H
#define CR_IMAGE_DRAFT_H

#include <sys/stat.h>

#include "common/base/err.h"

/* Images hold the memory of other people's processes. */
#define IMAGE_MODE 0600

struct draft {
	int dirfd; /* the caller's */
	int fd;	   /* -1: not open (any more) */
	char *hidden;
};
#define DRAFT_INIT { -1, -1, NULL }

/* tag makes the hidden name one of its own; hide: a hidden name in any case (it needs no descriptor to stay). */
int draft_open(struct draft *d, int dirfd, const char *tag, bool hide, struct err *err);
/* Names it; what has that name is replaced, in one step. */
int draft_name(struct draft *d, const char *name, struct err *err);
/* Owner, mode and times of a file that it takes the place of; what privileges do not allow is left out. */
void draft_like(const struct draft *d, const struct stat *st);
/* Closes; what has no name yet is gone. */
void draft_drop(struct draft *d);
#define cleanup_draft cleanup(draft_drop)

#endif
