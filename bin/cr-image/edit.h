/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing an image as a transaction, and running programs for it. */
#ifndef CR_IMAGE_EDIT_H
#define CR_IMAGE_EDIT_H

#include "bin/cr-image/cr-image.h"
#include "common/base/io.h"

/* Starts a program found in PATH with its own standard input and output (-1: ours). *pid is to be waited for. */
int spawn(const char *const argv[], int in, int out, pid_t *pid, struct err *err);
/* Waits; a program that fails is an error that names it. */
int spawn_wait(pid_t pid, const char *name, struct err *err);

/*
 * An image that is being changed: its JSON goes out to a private temporary file, JSON comes back in, and the image is
 * replaced when the JSON encodes to an image of the same kind. The old one is kept as FILE~.
 */
struct edit {
	char *path; /* of the image, links resolved */
	enum image_kind kind;
	char *tmp; /* the JSON; "" when it is gone */
	int fd;
};
#define EDIT_INIT { NULL, IMG_KINDS, NULL, -1 }
int edit_begin(struct edit *e, const char *path, bool words, struct err *err);
/* in: the new JSON from its beginning. 0: replaced or unchanged. */
int edit_commit(struct edit *e, int in, struct err *err);
void edit_release(struct edit *e); /* removes the temporary file */
#define cleanup_edit cleanup(edit_release)

#endif
