/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes of deleted files: ghost.c stores and makes the files themselves. */
#ifndef CR_FILE_GHOST_H
#define CR_FILE_GHOST_H

#include "common/file/file.h"
#include "ghost-file.pb-c.h"

/* path: of the file itself, wherever it is (/proc/PID/fd/N); that serves also where a descriptor has O_PATH, or there is none. */
int ghost_xattrs_take(struct dump *d, const char *path, GhostFileEntry *g, struct err *err);
/* As far as an image can lie about them. */
bool ghost_xattrs_good(const GhostFileEntry *e);
/* Steps that set them. file: a path, or a descriptor that is open. Only when owner and mode are there: a new owner takes capabilities
 * away, and a new mode changes an access control list. */
void ghost_xattrs_set(struct program *c, const GhostFileEntry *e, struct arg file, bool open);

#endif
