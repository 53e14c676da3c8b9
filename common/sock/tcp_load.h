/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queues and numbers of connections, as tcp-stream images have them. */
#ifndef CR_SOCK_TCP_LOAD_H
#define CR_SOCK_TCP_LOAD_H

#include "common/sock/tcp.h"

struct tcp_stream { const TcpStreamEntry *s; const uint8_t *in, *out; };

/* Of one connection. The first time, those of all are read, by two threads. */
int tcp_stream_load(const struct model *m, struct plan *plan, const InetSkEntry *e, struct tcp_stream *out, struct err *err);
/*
 * A closed socket that has the addresses of its last connection, and a stream of what waits to be read, is how CRIU 4.2 tells of one whose
 * connection has ended: *out is the same as cr-dump would tell it.
 */
int tcp_as_ended(const struct model *m, struct plan *plan, const InetSkEntry *e, const InetSkEntry **out, struct err *err);

#endif
