/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes of files that a restore makes: deleted ones (ghost.c), and those of bound sockets. */
#ifndef CR_FILE_GHOST_H
#define CR_FILE_GHOST_H

#include "common/file/file.h"
#include "ghost-file.pb-c.h"

struct xattrs { GhostXattrEntry **v; size_t n; };
#define XATTRS(msg) (struct xattrs){ (msg)->xattrs, (msg)->n_xattrs }

/* path: of the file itself, wherever it is (/proc/PID/fd/N); that serves also where a descriptor has O_PATH, or there is none. */
int xattrs_take(struct dump *d, const char *path, struct xattrs *x, struct err *err);
/* As far as an image can lie about them. */
bool xattrs_good(struct xattrs x);
/* Steps that set them. file: a path, or a descriptor that is open. Only when the owner is there: a new one takes capabilities away. A
 * new mode changes an access control list. */
void xattrs_set(struct program *c, struct xattrs x, struct arg file, bool open);

#endif
