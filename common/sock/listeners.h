/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening sockets, and how many waited there when they were looked at. The kernel goes on taking connections for a process that stands
 * still; who comes meanwhile is in no image, believes to be connected, and would be cut off by the end of the process.
 */
#ifndef CR_SOCK_LISTENERS_H
#define CR_SOCK_LISTENERS_H

#include "common/dump/dump.h"

/* Of a socket that listens: who comes from now on is noticed. Only for a dump that ends the tasks. waiting: so many (of TCP) wait there
 * already, and are in the image. */
void listeners_watch(struct dump *d, int fd, unsigned waiting);
/* Refuses where somebody has come. */
int listeners_quiet(const struct dump *d, struct err *err);
void listeners_free(struct dump *d);

#endif
