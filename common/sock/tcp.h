/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TCP connections: those of a dump wait until all are known, are locked together, and then read one by one. */
#ifndef CR_FILE_TCP_H
#define CR_FILE_TCP_H

#include "common/sock/inet.h"
#include "common/net/lock.h"
#include "tcp-stream.pb-c.h"

/* ---- dump ---- */

/* Takes the socket for later: tcp_dump_connections() completes and puts its entry. */
int tcp_collect(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err);
/* The same for a listening one at which n connections wait to be accepted; deferred: others will, when data comes; what: how to speak
 * of it. */
int tcp_collect_waiting(struct dump *d, const struct fd_source *src, FileEntry *entry, unsigned n, bool deferred, const char *what,
			struct err *err);
/* After all descriptors: lock, read, and unlock again unless the tree is going to be killed. */
int tcp_dump_connections(struct dump *d, struct err *err);
/* For a check: what would be refused, without a lock. */
int tcp_check_connections(struct dump *d, struct err *err);
/* Right before the tree is killed, when all images are safe: the lock will outlive us. */
int tcp_before_kill(struct dump *d, struct err *err);
/* After it was: no socket says goodbye. */
void tcp_after_kill(struct dump *d);
/* On every way out. */
void tcp_dump_end(struct dump *d);
/* Whether and how the connections are locked, for the inventory. */
enum net_lock_method tcp_lock_method(const struct dump *d);

/*
 * For who is about to refuse what a program merely was started from, such as a terminal, before any descriptor was looked at:
 * refuses the first connection of the tree that no option allows, which is what people care about.
 */
int tcp_refuse_early(const struct dump *d, struct err *err);
/* Of a TCP socket (include/net/tcp_states.h); -errno. */
int tcp_state(int fd);
/* Whether descriptor `number` of the task is a TCP socket whose connection is there. */
bool tcp_is_connected(const struct dump_task *t, int number);

/* Options with fields of their own; arena memory. */
TcpOptsEntry *tcp_options(struct dump *d, int fd);
/* The same, or what was read ahead, into e. */
void tcp_fill_options(struct dump *d, const struct fd_source *src, InetSkEntry *e);

/* ---- restore ---- */

/* What is left to do with a connection when everything else of the tree is there. */
struct tcp_restore {
	uint32_t slot;
	const InetSkEntry *e;
	const TcpStreamEntry *s;
	const uint8_t *in; /* all of its receive queue */
	const uint8_t *unsent; /* bytes that were never sent */
	uint32_t nunsent;
	bool sizes; /* its buffers have not the sizes of the program yet */
};
struct tcp_plan { struct tcp_restore *v; size_t n, cap; }; /* in the plan's arena */

/* Of addresses in words (one, or with v6 four, which may be an IPv4 address in IPv6) and ports in host order. */
void tcp_connection_of(const uint32_t *own, uint32_t port, const uint32_t *peer, uint32_t peer_port, bool v6, struct net_connection *c);
/* Half of what the kernel is to take for a queue of so many bytes: with what it needs around them. */
int tcp_room(uint32_t len);
/* What one call puts into a receive queue whole (tcp_send_rcvq() in net/ipv4/tcp_input.c takes 16 pages at once). */
#define TCP_RECV_CHUNK 65536u
/* The sizes of buffers that the program has, after the room for queues. */
int tcp_sizes_back(const SkOptsEntry *o, int fd, struct err *err);
void tcp_plan_options(struct plan *plan, const TcpOptsEntry *o, uint32_t slot);
/* The steps of a connection. */
int tcp_plan_connection(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);

struct tcp_run;
/*
 * Before any socket is made: the lock of the dump must be there, or is made again. *run stays NULL without connections, unless the
 * dump's lock is there all the same: whatever becomes of its connections, it goes with a restore that succeeds.
 */
int tcp_run_begin(const struct model *m, const struct plan *plan, const struct log *log, struct tcp_run **run,
		  struct err *err);
/* When all tasks are made and none is let go: the connections leave repair mode. fds: descriptors by slot. */
int tcp_run_release(struct tcp_run *run, const int *fds, pid_t root, struct err *err);
/* When the tasks will stay whatever happens, and before they run: unlocks. */
void tcp_run_done(struct tcp_run *run);
/* On every way out; after a failure nothing is sent, and a lock that was there stays. NULL is fine. */
void tcp_run_free(struct tcp_run *run);

/* Is the own address of each connection on this host? */
bool tcp_address_is_here(const InetSkEntry *e);
void tcp_preflight(const struct model *m, const struct plan *plan, finding_fn report, void *ctx);

#endif
