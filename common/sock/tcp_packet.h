/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segments that a socket of this host takes for its peer's. */
#ifndef CR_FILE_TCP_PACKET_H
#define CR_FILE_TCP_PACKET_H

#include "common/net/lock.h"

struct tcp_packets { int fd[2]; }; /* raw sockets by family, opened when needed */

void tcp_packets_init(struct tcp_packets *p);
void tcp_packets_close(struct tcp_packets *p);
/* window, urgent: as they stand in the header. len: so many bytes of data, up to TCP_PACKET_BYTES. */
struct tcp_segment { uint32_t seq, ack; bool fin, rst, urg; uint16_t window, urgent; const uint8_t *bytes; size_t len; };
/* What fits into a buffer of 16 KiB with all that is around it: of one byte more the receiver would have to answer for 32 KiB. */
#define TCP_PACKET_BYTES 15872u
/* One segment from c's remote end to its local end, with the mark that passes the network lock. */
int tcp_packets_send(struct tcp_packets *p, const struct net_connection *c, const struct tcp_segment *s, struct err *err);

#endif
