/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all sockets share: options, queues, and how to speak of them. */
#ifndef CR_FILE_SOCK_H
#define CR_FILE_SOCK_H

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/file/file.h"
#include "sk-packet.pb-c.h"

/* Value of an integer option of SOL_SOCKET; -errno when there is none. */
int sock_option(int fd, int option);
/* Sets one of any level; -errno. */
static inline int sock_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}
/* "established TCP connection 127.0.0.1:80 -> 127.0.0.1:4000", "listening unix socket /run/x", ... */
void sock_describe(int fd, char *out, size_t n);
/* "" when unnamed, "@name" when abstract. */
void sock_unix_name(const struct sockaddr_un *sun, socklen_t len, char *out, size_t n);

int sock_options_dump(struct dump *d, const struct fd_source *src, SkOptsEntry **out, struct err *err);
/* Of them the asked ones, bits as in struct sock_change, into an entry that has the others. */
int sock_options_ask(struct dump *d, const struct fd_source *src, uint64_t asked, SkOptsEntry *o, struct err *err);
/*
 * To be called right behind the step that makes the socket, and before the steps that bind or connect it, for which some
 * options are meant; those that would be in the way of queued data (filters, timeouts, peeking) come in MAKE_LAST.
 */
int sock_options_plan(struct plan *plan, uint32_t slot, const SkOptsEntry *o, struct err *err);
/* Refuses a socket with an error that waits to be read, which cannot be made again. what: its description. */
int sock_refuse_errors(int fd, const char *what, struct err *err);

/* Refuses a socket of another network namespace than ours. */
int sock_refuse_netns(int fd, const char *what, struct err *err);
/* Refuses a datagram socket whose queue is not empty; nothing is read. */
int sock_refuse_queue(int fd, const char *what, struct err *err);
/* Owner and options of a socket; refuses one where something waits to be read, data or an error. */
int sock_dump_silent(struct dump *d, const struct fd_source *src, const char *what, FownEntry **fown, SkOptsEntry **opts,
		     struct err *err);
/* Asks sock_diag for all sockets that req (a message with header, of len bytes) describes; each answer of its type goes to cb, whose
 * negative result ends it. */
int sock_diag_dump(const void *req, size_t len, int (*cb)(void *ctx, const struct nlmsghdr *h), void *ctx,
		   struct err *err);
/* Attribute of an answer whose fixed part has head bytes; NULL when it is not there or shorter than min. */
const void *sock_diag_attr(const struct nlmsghdr *h, size_t head, int type, size_t min, size_t *len);
/* setsockopt(2) of an option whose value is an int. */
void plan_sockopt(struct plan *plan, int phase, uint32_t slot, const char *note, int level, int option, int value);
/* Addresses and interfaces of sockets that are not on this host; *count grows by the number of findings. */
void sockets_preflight(const struct model *m, bool held, finding_fn report, void *ctx, int *count);

/* The note of steps that send a message in the name of somebody else. */
extern const char unix_signed_note[];

/* Queued data of the socket with this file id, in order of arrival. Read from sk-queues.img on first use. */
struct sock_packet {
	uint32_t id_for, order, len;
	const void *bytes;
	const SkPacketEntry *entry;
};
int sock_packets(const struct model *m, struct plan *plan, uint32_t id, const struct sock_packet **v, size_t *n,
		 struct err *err);

#endif
