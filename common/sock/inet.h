/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sockets of IPv4 and IPv6 share, whatever their protocol: addresses, options, how they are made again. */
#ifndef CR_FILE_INET_H
#define CR_FILE_INET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "common/sock/sock.h"
#include "common/sock/inetopt.h"

/* One protocol over inet. inetsk.c has the list of them; the first that matches takes the socket or its entry. */
struct inet_protocol {
	const char *name; /* "TCP socket" */
	bool (*match)(int type, int protocol);
	/* e is filled (inet_fill) but for state and backlog, which are 7 (TCP_CLOSE) and 0. As file_kind.dump, entry->isk == e. */
	int (*dump)(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err);
	/* The entry has passed inet_check(). As file_kind.plan. */
	int (*plan)(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err);
};
extern const struct inet_protocol tcp_protocol, udp_protocol, ping_protocol, raw_protocol;

/* Kinds of addresses in messages: words that hold the bytes in network order. */
union inet_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage storage;
};
/* Own address and port of an entry (or its peer's) for bind(2) and connect(2); gives the length. */
socklen_t inet_address_of(const InetSkEntry *e, bool peer, union inet_address *out);
/* Options let it have addresses that are not this host's. */
bool inet_any_address(const InetSkEntry *e);
/* "127.0.0.1:80", "[::1]:80" */
void inet_address_text(const InetSkEntry *e, bool peer, char *out, size_t n);

/*
 * Everything of the entry that does not depend on the protocol: addresses, flags, signal owner, options of SOL_SOCKET,
 * IP and IPv6 and (inetopt.h) the rest. connected decides which options are the kernel's own.
 */
int inet_fill(struct dump *d, const struct fd_source *src, InetSkEntry *e, bool connected, struct err *err);

/* Options of IP with fields of their own; arena memory. */
IpOptsEntry *inet_ip_options(struct dump *d, int fd, uint32_t family);
/* Address of the peer; connected: also while a connection is being opened. Without one an empty address of the family. */
bool inet_peer(int fd, int family, bool connected, union inet_address *out);

/* Ranges of what an image says: family, type, ports, addresses, options. */
int inet_check(const InetSkEntry *e, struct err *err);
/* socket(2), nonblocking, with the options that come before bind(2): MAKE_OBJECTS. Fills slot. */
int inet_plan_socket(struct plan *plan, const InetSkEntry *e, uint32_t slot, struct err *err);
/* bind(2) where the entry has an address or a port: MAKE_OBJECTS. SO_REUSEADDR is set for it, and gets its value
 * back in MAKE_CONTENT. */
void inet_plan_bind(struct plan *plan, const InetSkEntry *e, bool shared, uint32_t slot);
/* Whether other sockets of the checkpoint have its port, which they may have been allowed to share only when they were bound. */
bool inet_port_shared(const struct model *m, struct plan *plan, const InetSkEntry *e);
/* All other options and the open flags: MAKE_CONTENT. */
int inet_plan_options(struct plan *plan, const InetSkEntry *e, uint32_t slot, struct err *err);
/* One int option: setsockopt(level, name, value) that must succeed. */
void inet_plan_int(struct plan *plan, int phase, uint32_t slot, const char *note, int level, int name, int value);

/* Refuses TCP sockets that sign their segments (TCP_MD5SIG, TCP_AO), and sockets that send with a flow label of the host's list. */
int inet_refuse_keys(struct dump *d, const struct fd_source *src, struct err *err);
int inet_refuse_flowlabel(int fd, struct err *err);
/* Whether the mark of urgent data that was read hides some of what waits in a TCP socket: unread bytes, and a FIN, can be seen. */
int inet_hidden_mark(struct dump *d, const struct fd_source *src, uint32_t unread, bool *hidden, struct err *err);
/* How many connections to this port of a listening TCP socket are not open yet. */
int inet_opening(struct dump *d, const struct fd_source *src, uint16_t port, unsigned *n, struct err *err);
/* Which directions of a datagram socket are shut down (1: receiving, 2: sending); 0 when the kernel does not tell. */
int inet_shutdown_told(struct dump *d, int fd, uint32_t ino, unsigned *shutdown, struct err *err);

extern const struct file_kind inetsk_kind;

#endif
