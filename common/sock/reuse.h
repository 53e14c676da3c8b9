/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of sockets that share an address by SO_REUSEPORT. The kernel keeps them in an array, in the order in which they joined, and
 * which one gets a flow goes by the place in it (net/core/sock_reuseport.c): so a dump reads the place, and a restore makes the members
 * join in that order.
 */
#ifndef CR_SOCK_REUSE_H
#define CR_SOCK_REUSE_H

#include "common/sock/inet.h"

/* The place of a bound UDP socket or a listening TCP socket among others of its group, into e; nothing where it is the only one, and where
 * this kernel or these privileges do not tell. fd is ours. */
void reuse_dump(struct dump *d, int fd, InetSkEntry *e);

/* Plans the members that come before this one, where they are not planned yet: before the first step of this one. Errors: theirs. */
int reuse_plan_before(const struct model *m, const InetSkEntry *e, struct plan *plan, struct err *err);

/* How a datagram that is sent again comes to this unconnected UDP socket, and to no other that has its port. */
enum reuse_way {
	REUSE_PLAIN, /* there is no other that it could go to */
	REUSE_INDEX, /* a program that chooses the member with this index for the group leads it there: SO_ATTACH_REUSEPORT_CBPF */
	REUSE_PEER,  /* neither: only who is connected to its sender gets it for certain */
};
/* The same of all members of a group. index: of REUSE_INDEX. Errors: ERR_IMAGE of the queues of members. */
int reuse_way_of(const struct model *m, const InetSkEntry *e, struct plan *plan, enum reuse_way *way, uint32_t *index, struct err *err);

#endif
