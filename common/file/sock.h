/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all sockets share: options, queues, and how to speak of them. */
#ifndef CR_FILE_SOCK_H
#define CR_FILE_SOCK_H

#include <sys/un.h>

#include "common/file/file.h"

/* Value of an integer option of SOL_SOCKET; -errno when there is none. */
int sock_option(int fd, int option);
/* "established TCP connection 127.0.0.1:80 -> 127.0.0.1:4000", "listening unix socket /run/x", ... */
void sock_describe(int fd, char *out, size_t n);
/* "" when unnamed, "@name" when abstract. */
void sock_unix_name(const struct sockaddr_un *sun, socklen_t len, char *out, size_t n);

int sock_options_dump(struct dump *d, int fd, SkOptsEntry **out, struct err *err);
/*
 * To be called right behind the step that makes the socket, and before the steps that bind or connect it, for which some
 * options are meant; those that would be in the way of queued data (filters, timeouts, peeking) come in MAKE_LAST.
 */
int sock_options_plan(struct plan *plan, uint32_t slot, const SkOptsEntry *o, struct err *err);
/* Refuses a socket with an error that waits to be read, which cannot be made again. what: its description. */
int sock_refuse_errors(int fd, const char *what, struct err *err);

/* Queued data of the socket with this file id, in order of arrival. Read from sk-queues.img on first use. */
struct sock_packet { uint32_t id_for; uint32_t order; uint32_t len; const void *bytes; };
int sock_packets(const struct model *m, struct plan *plan, uint32_t id, const struct sock_packet **v, size_t *n,
		 struct err *err);

#endif
