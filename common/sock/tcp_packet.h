/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments that a socket of this host takes for its peer's. */
#ifndef CR_FILE_TCP_PACKET_H
#define CR_FILE_TCP_PACKET_H

#include "common/net/lock.h"

struct tcp_packets { int fd[2]; }; /* raw sockets by family, opened when needed */

void tcp_packets_init(struct tcp_packets *p);
void tcp_packets_close(struct tcp_packets *p);
/* One segment without data from c's remote end to its local end, with the mark that passes the network lock. */
int tcp_packets_send(struct tcp_packets *p, const struct net_connection *c, uint32_t seq, uint32_t ack, bool fin,
		     struct err *err);

#endif
