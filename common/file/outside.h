/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else holds what is dumped: a pipe, fifo or socket that a process outside of the tree has a descriptor of, too, would be
 * two after the restore, each with a part of what the one had. So all descriptors of the others are looked at, once, by a thread
 * beside the dump's own, and only where the tree has such an object. What /proc does not show us is not known to be held.
 */
#ifndef CR_FILE_OUTSIDE_H
#define CR_FILE_OUTSIDE_H

#include "common/file/file.h"

/* When all tables were looked at and all tasks stand still. */
void outside_look(struct dump *d);
/* Refuses the object with this inode and link, called `what`, when somebody outside holds it. Waits for the thread. */
int outside_refuse(struct dump *d, const struct stat *st, const char *link, const char *what, struct err *err);
/* What to do about it where no option helps: an error gets it as its hint. */
int outside_hint(int ret, struct err *err);
/* The same for a description of a socket that was dumped, where it matters: with nothing but options two are as good as one.
 * later: its entry is yet to be filled. Unix sockets see to themselves (unixsk.c). */
int outside_refuse_socket(struct dump *d, const struct fd_source *src, const FileEntry *entry, bool later, struct err *err);
void outside_free(struct outside *o); /* NULL is fine */

#endif
