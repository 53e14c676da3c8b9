/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Urgent data of TCP connections: its mark in what waits to be read, its byte, and how far what was sent is urgent. */
#ifndef CR_SOCK_TCP_URGENT_H
#define CR_SOCK_TCP_URGENT_H

#include "common/sock/tcp.h"

/* ---- dump ---- */

/* What only the kernel's memory tells (common/bpf/kmem.h), opened when it is needed; NULL: not yet. */
struct tcp_urgent;
/* Whether urgent data was announced to it and has not come; such a socket looks like others. False where SO_OOBINLINE is on. */
bool tcp_urgent_announced(int fd);
/*
 * Of a connection (all NULL: one that has ended) where there may be a mark: fills urgent, urgent_read and inq_len of s, which then counts
 * what lies behind the mark, and the urgent byte. Leaves them alone where there is none. For who is the tracer: a guard of its own asks.
 * what: how to speak of it.
 */
int tcp_urgent_look(struct tcp_urgent **all, int fd, const char *what, TcpStreamEntry *s, struct err *err);
/* The inq_len bytes of a connection with a mark, the urgent one among them. */
int tcp_urgent_take(int fd, const TcpStreamEntry *s, uint8_t *bytes, struct err *err);
/* Fills urgent_sent of s, where something waits to be acknowledged and this kernel and these privileges let it be known. */
int tcp_urgent_sent(struct tcp_urgent **all, int fd, TcpStreamEntry *s, struct err *err);
void tcp_urgent_close(struct tcp_urgent *all); /* NULL is fine */

/* ---- restore ---- */

int tcp_urgent_check(const InetSkEntry *e, const TcpStreamEntry *s, struct err *err);
/* How much of its receive queue is there before the peer speaks: all up to the mark. */
uint32_t tcp_urgent_before(const TcpStreamEntry *s);
/*
 * When the controller has made all sockets and before any task is there, so nobody hears of it: no socket has a signal owner yet, and
 * all are in repair mode. fds: descriptors by slot.
 */
int tcp_urgent_run(const struct plan *plan, const int *fds, struct err *err);
/* Of a connection between two sockets of ours: the peer says all from the urgent byte on, of the bytes of the queue; -errno. */
int tcp_urgent_say(int peer, const TcpStreamEntry *s, const uint8_t *bytes);
/* When it has come: looks for the mark, and reads the byte if that was read; -errno, -EPROTO where the mark is not where it was. */
int tcp_urgent_set(int fd, const TcpStreamEntry *s, const uint8_t *bytes);

#endif
