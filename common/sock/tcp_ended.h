/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP sockets whose connection has ended: by what both sides said, or by a reset of which the program knows. */
#ifndef CR_SOCK_TCP_ENDED_H
#define CR_SOCK_TCP_ENDED_H

#include "common/sock/sockerr.h"
#include "common/sock/tcp.h"

/* ---- dump ---- */

/* Of a closed socket: it was connected once, or was to be. */
bool tcp_was_connected(int fd);
/* Everything of such a socket; its connection is dropped as far as there is one. */
int tcp_dump_dropped(struct dump *d, const struct fd_source *src, InetSkEntry *e, struct err *err);
/* Everything of such a socket, with what waits to be read. */
int tcp_dump_ended(struct dump *d, const struct fd_source *src, InetSkEntry *e, struct err *err);
/*
 * The same of an entry that inet_fill() has filled already. all: how many bytes tcp_unread() counted, -1: not known, by a process
 * that is the tracer and has no guard of its own for this.
 */
int tcp_end_entry(struct dump *d, const struct fd_source *src, InetSkEntry *e, int all, struct err *err);
/*
 * How much waits to be read, behind a mark of urgent data, too; -errno. For some microseconds SO_OOBINLINE of the socket is on, so
 * this is for a guard (common/net/guard.h). Nothing but system calls.
 */
int tcp_unread(int fd);

/* The same of the error that waits there, if any: into e and ended; refuses what tcp_error.c cannot let happen again. */
int tcp_error_dump(const struct sock_error *w, InetSkEntry *e, EndedTcpEntry *ended, const char *what, struct err *err);

/* ---- restore ---- */

/* Steps of the socket; tcp_ended_run() does the rest. 1, and nothing is planned: who may not do that makes a socket without a name. */
int tcp_plan_ended(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);
/* When the controller has made all sockets, and before any task is there. fds: descriptors by slot. */
int tcp_ended_run(const struct plan *plan, const struct log *log, const int *fds, struct err *err);
/* Is the own address of each that has something to be read on this host? */
void tcp_ended_preflight(const struct plan *plan, finding_fn report, void *ctx);

/* Within tcp_ended.c and tcp_error.c. */

struct tcp_ended {
	uint32_t slot, raw; /* raw: for icmp_answer(), where by_icmp */
	const InetSkEntry *e; /* with the own address in its place */
	const uint8_t *bytes;
	uint32_t unread;
	const TcpStreamEntry *urgent; /* NULL: there is no mark in that */
	bool by_icmp;
	struct tcp_ended *next;
};

/* ret, and what of the calls that it is the -errno of. */
static inline int tcp_ended_failed(struct err *err, int ret, const char *what)
{
	return ret < 0 ? err_set(err, ERR_FAILED, -ret, "%s", what) : 0;
}
/* Waits for a state (include/net/tcp_states.h); -errno, -ETIMEDOUT after two seconds. */
int tcp_wait_state(int fd, int want);
/* The own address of an entry, with its device where it needs one. */
socklen_t tcp_ended_address(const struct tcp_ended *r, union inet_address *own);
/* Gives fd, which is in repair mode from then on, that address, and peer another port of it. The length of both. */
int tcp_ended_bind(const struct tcp_ended *r, int fd, int peer, union inet_address *own, union inet_address *other, struct err *err);

/* Checks what an image says of the error, and notes what it takes. */
int tcp_error_plan(struct tcp_ended *r, struct plan *plan, struct err *err);
/*
 * An attempt to connect that fails, or a connection whose peer is `peer` (tcp_ended.c has paired them, in repair mode). 1: the kernel's
 * timer will tell it, so nobody waits yet: tcp_error_wait(). Leaves repair mode where it must be left.
 */
int tcp_error_attempt(const struct tcp_ended *r, int fd, int peer, int raw, struct err *err);
int tcp_error_connected(const struct tcp_ended *r, int fd, int peer, int raw, struct err *err);
int tcp_error_wait(int fd, struct err *err);

#endif
