/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The accept queue of a listening TCP socket as the kernel has it, and what is before it. For accept_queue.c. */
#ifndef CR_SOCK_ACCEPT_QUEUE_READ_H
#define CR_SOCK_ACCEPT_QUEUE_READ_H

#include "common/net/lock.h"
#include "sk-inet.pb-c.h"

struct arena;
struct queue_reader;
/* ERR_FEATURE: this kernel or these privileges do not let it. */
int queue_reader_open(struct queue_reader **out, struct err *err);
void queue_reader_close(struct queue_reader *r); /* NULL is fine */
struct kmem;
struct kmem *queue_reader_memory(struct queue_reader *r);

/* One connection in the queue: a copy of what the kernel has. */
struct queued;
/* For each connection in turn. */
typedef int queued_fn(void *ctx, size_t i, const struct queued *c, struct err *err);
/* The first n connections of the queue of a listening socket of ours, in their order. */
int queue_read(struct queue_reader *r, int fd, size_t n, queued_fn *one, void *ctx, struct err *err);
/* Whose it is. */
void queued_connection(const struct queued *c, struct net_connection *out);
/* Everything of it but the bytes; looks once more. v6: addresses are to be four words. Refuses what would not come back. */
int queued_fill(struct queue_reader *r, const struct queued *c, bool v6, struct arena *arena, WaitingTcpEntry *out, struct err *err);
/* Its w->unread bytes. -EAGAIN, without an error: more came since queued_fill(). */
int queued_bytes(struct queue_reader *r, const struct queued *c, const WaitingTcpEntry *w, uint8_t *bytes, struct err *err);

/* Connections whose peers take them for open, but that do not come into the queue before data does. v is malloc'ed. */
struct deferred { WaitingTcpEntry **v; size_t n; };
/* All of a listening socket of ours, in an order that stays; addresses as of queued_fill(). Fills *out, also when it fails, and frees what
 * that had. */
int deferred_read(struct queue_reader *r, int fd, bool v6, struct arena *arena, struct deferred *out, struct err *err);

#endif
