/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that wait at a listening TCP socket until the program accepts them. They have no descriptor, and nothing may take them
 * out of there, so a dump reads them where the kernel has them (common/bpf/kmem.h), and a restore lets their handshakes end once more
 * (handshake.h), under the network lock, and says again what their peers had said.
 */
#ifndef CR_SOCK_ACCEPT_QUEUE_H
#define CR_SOCK_ACCEPT_QUEUE_H

#include "common/sock/tcp.h"
#include "common/sock/tcp_packet.h"

/* ---- dump ---- */

struct accept_queues;

/* Whether this host can read such connections and bring them back: ERR_REFUSED by the name `what`. *all stays open then. */
int accept_queues_open(struct accept_queues **all, const char *what, struct err *err);
/* One listening socket at which n wait, for later; entry is complete but for them. deferred: others wait for data there before they do
 * (TCP_DEFER_ACCEPT). fd becomes ours. */
void accept_queues_add(struct accept_queues *all, struct dump_task *task, const struct fd_source *src, int fd, FileEntry *entry,
		       unsigned n, bool deferred);
size_t accept_queues_n(const struct accept_queues *all); /* sockets; NULL: none */
/* Which connections wait now, to be locked; *v (malloc'ed) has *n of them, and grows. */
int accept_queues_look(struct dump *d, struct accept_queues *all, struct net_connection **v, size_t *n, struct err *err);
/* Reads those that accept_queues_look() has found, and writes the entries of their sockets. check: writes nothing, and notes errors. */
int accept_queues_dump(struct dump *d, struct accept_queues *all, struct err *err);
/* For a guard: each socket, with its number of connections. */
struct guard;
void accept_queues_guard(const struct accept_queues *all, struct guard *g);
/* When the tree is dead: their connections go without a word. */
void accept_queues_silence(struct accept_queues *all);
void accept_queues_close(struct accept_queues *all); /* NULL is fine */

/* ---- restore ---- */

/* The connections of one listening socket. */
struct accept_queue { uint32_t slot; const InetSkEntry *e; const uint8_t *bytes; struct accept_queue *next; };

/* Checks what the image says of them, and notes them for accept_queues_run(). */
int accept_queue_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);
/* Whether this kernel and these privileges can make them; nothing is made. */
int accept_queues_need(const struct plan *plan, struct err *err);
void accept_queues_preflight(const struct plan *plan, finding_fn report, void *ctx);
/* One of them, whose entry has passed accept_queue_plan(), as the lock sees it. */
void accept_queue_connection(const InetSkEntry *e, const WaitingTcpEntry *w, struct net_connection *c);
struct handshake;
/* Makes all of them; fds: descriptors by slot. */
int accept_queues_run(const struct plan *plan, struct handshake *h, struct tcp_packets *packets, const int *fds, struct err *err);
/* After a failure: they go without a word. */
void accept_queues_undo(const struct plan *plan, const int *fds);

#endif
