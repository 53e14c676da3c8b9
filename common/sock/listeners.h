/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening sockets. The kernel goes on taking connections for a process that stands still; who comes meanwhile is in no image, believes
 * to be connected, and would be cut off by the end of the process. So where the network may be locked, nobody comes (newcomers.h), and
 * who is about to come gets the time for it; and how many waited at each socket when that was looked at is looked at again at the end.
 */
#ifndef CR_SOCK_LISTENERS_H
#define CR_SOCK_LISTENERS_H

#include "common/dump/dump.h"

/* Where the tasks are to end and connections to go on: no new ones come to TCP sockets of the tree, until listeners_free(). When all
 * tables were looked at and all tasks stand still. Without the means for that they come. */
void listeners_stop(struct dump *d);
/* Waits until the handshakes with this socket that were under way then are complete, for a fifth of a second at most. */
void listeners_settle(struct dump *d, int fd, uint16_t port);
/* Of a socket that listens: who comes from now on is noticed. Only for a dump that ends the tasks. waiting: so many (of TCP) wait there
 * already, and are in the image. */
void listeners_watch(struct dump *d, int fd, unsigned waiting);
/* Refuses where somebody has come. Warns of handshakes that were waited for in vain. */
int listeners_quiet(const struct dump *d, struct err *err);
/* Closes its descriptors of them. */
void listeners_leave(struct dump *d);
void listeners_free(struct dump *d);

#endif
