/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queues and numbers of connections, as tcp-stream images have them. */
#ifndef CR_SOCK_TCP_LOAD_H
#define CR_SOCK_TCP_LOAD_H

#include "common/sock/tcp.h"

struct tcp_stream { const TcpStreamEntry *s; const uint8_t *in, *out; };

/* Of one connection. The first time, those of all are read, by two threads. */
int tcp_stream_load(const struct model *m, struct plan *plan, const InetSkEntry *e, struct tcp_stream *out, struct err *err);

#endif
