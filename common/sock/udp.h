/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Datagrams in the queues of UDP sockets, of both directions. */
#ifndef CR_FILE_UDP_H
#define CR_FILE_UDP_H

#include "common/sock/inet.h"

/* Writes what waits in the queue, with senders; refuses what could not come back. what: the socket's description. */
int udp_dump_queue(struct dump *d, int fd, const InetSkEntry *e, const char *what, struct err *err);
/* Steps that send it again, of a socket that is bound and not connected yet: MAKE_CONTENT. */
int udp_plan_queue(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);

/*
 * What the socket holds back until its last part comes: into e->corked, which stays NULL where there is nothing, and where this kernel or
 * these privileges do not tell. Refuses what a restore could not say again.
 */
int udp_cork_dump(struct dump *d, int fd, InetSkEntry *e, const char *what, struct err *err);
/* Checks the entry; steps that give it to the socket again, behind connect(2) and options: MAKE_LAST. */
int udp_cork_plan(const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);

/* Multicast groups of a socket, appended to the options of its entry. */
int mcast_dump(struct dump *d, int fd, InetSkEntry *e, struct err *err);

#endif
