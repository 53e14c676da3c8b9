/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of many sockets, read by a second thread while the first one writes descriptions. Only of kinds whose dump changes no
 * option that is read here: unix sockets, when their queues have been read, and TCP (of which repair mode changes SO_REUSEADDR).
 */
#ifndef CR_SOCK_AHEAD_H
#define CR_SOCK_AHEAD_H

#include "common/sock/sock.h"

/* Of one socket, that file_fd.ahead and fd_source.ahead mean. */
struct sock_ahead;
/* Of all. */
struct socks_ahead;

/* Begins with d->files->fds. NULL where it is not worth it. */
struct socks_ahead *socks_ahead_start(struct dump *d);
/* Ends it, also in the middle: before descriptors are closed that nobody asked for. NULL is fine. */
void socks_ahead_end(struct socks_ahead *all);
/* The same, and takes back all that was read. */
void socks_ahead_free(struct socks_ahead *all);

struct sock_told {
	SkOptsEntry *opts;
	SockOptEntry **more; /* of inetopt.h, as of one that is not connected */
	size_t nmore;
	IpOptsEntry *ip; /* of TCP over IPv4; or NULL: then they are to be asked */
	TcpOptsEntry *tcp;
};
/*
 * What was read, or NULL: then the caller reads for itself, and finds out why not. a may be NULL. Who would have to wait reads of the
 * others meanwhile, into the arena of d.
 */
const struct sock_told *sock_ahead_get(struct dump *d, struct sock_ahead *a);
/* Before its descriptor is closed: nobody reads there any more. */
void sock_ahead_leave(struct sock_ahead *a);

#endif
