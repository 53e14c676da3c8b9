/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the plan of unix sockets: unixsk_plan.c, unixsk_dgram.c. */
#ifndef CR_FILE_UNIXSK_PLAN_H
#define CR_FILE_UNIXSK_PLAN_H

#include "common/sock/unixsk.h"

#define NEW_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

struct host;

struct sk {
	const UnixSkEntry *e;
	uint32_t slot;
	struct sk *peer;
	const UnixSkEntry *outside; /* peer that is not in the tree */
	struct host *own;	    /* itself, when others can connect to it */
	struct host *host;	    /* comes out of it by accept(2), waits in it, or connects to it */
	enum { ALONE, PAIR, CLIENT, ACCEPTED, WAITING, LINKED } role;
	bool made, fed, gone, gone_slot, half, late;
	/* late: messages with credentials, whose senders must exist: sent when all tasks stand ready */
	struct arg feeder; /* fed: what is sent through this arrives here; gone: it is closed at the end */
};

/* A bound socket, or a temporary one. */
struct host {
	const ProtobufCBinaryData *name;
	uint32_t type;
	bool listens, temporary;
	struct sk *sk; /* NULL: temporary */
	struct arg fd;
	struct unix_place *place;
	uint32_t waiting; /* connections that nobody accepts */
	uint32_t next;	  /* with the same hash, +1 */
	uint64_t backlog;
	const PeerCredEntry *listener; /* who called listen(2) last; NULL: we */
	uint32_t nobody;  /* slot + 1 of a nameless sender that is connected to it */
};

struct topology {
	const struct model *m;
	struct plan *plan;
	struct sk *sks;
	size_t n;
	struct host **hosts;
	size_t nhosts, cap;
	struct id_map by_name; /* hash -> index of a host + 1, chained */
	struct host *nobody;   /* sends datagrams without a name */
	struct id_map by_cred; /* hash -> index of an identity */
	const struct plan_identity **creds;
	size_t ncreds, creds_cap;
};

struct host *unix_find_host(struct topology *t, uint32_t type, bool listens, const ProtobufCBinaryData *name);
/* sk NULL: a temporary one. */
struct host *unix_add_host(struct topology *t, uint32_t type, bool listens, const ProtobufCBinaryData *name, struct sk *sk);
/* Steps: a new socket that no slot holds; a send buffer for so much; its name; a connection, inside of its place. */
struct arg unix_new_socket(struct topology *t, uint32_t type, const char *note);
void unix_make_room(struct topology *t, struct arg fd, uint64_t bytes);
uint64_t unix_queue_room(const struct sock_packet *v, size_t n);
void unix_bind_host(struct topology *t, struct host *h);
void unix_connect_to(struct topology *t, const struct host *h, struct arg fd, const PeerCredEntry *who);
/* Connections that were accepted, through temporary hosts or lasting ones; and those that wait for it. */
int unix_plan_accepts(struct topology *t, bool temporary, struct err *err);
void unix_plan_waiting(struct topology *t);
/* The step is made in this name; NULL: in ours. */
void unix_step_as(struct topology *t, struct step_ref step, const PeerCredEntry *who);
int unix_no_credentials(const struct sock_packet *p, struct err *err);

/* Datagrams that came by the name of the receiver, each from who sent it. */
int unix_plan_datagrams(struct topology *t, struct host *h, struct err *err);
/* Connections of datagram sockets, and of all to what is outside. */
void unix_plan_links(struct topology *t);

#endif
