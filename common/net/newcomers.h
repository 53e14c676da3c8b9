/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who wants to connect to a program that stands still is not answered, so that its kernel asks again (RFC 9293, 3.8.1; after a second, as
 * a rule): the connection would be in no image, and cut off by the end of the program. Those
 * that come back would find their place in the accept queue taken. Handshakes that are under way go on. The table
 * belongs to its netlink socket, and goes with it.
 */
#ifndef CR_NET_NEWCOMERS_H
#define CR_NET_NEWCOMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* any: of all addresses of its family. The port in network order. */
struct net_listener { bool v6, any; uint8_t address[16] /* IPv4: the first four */; uint16_t port; };

/* A socket of this family (AF_*) that listens at an address of as many bytes: two where it listens for IPv4, too. How many. */
size_t net_listeners_of(int family, const void *address, uint16_t port, bool v6only, struct net_listener v[2]);

struct newcomers;

/* who stops them, and id, as in net_lock(): the name of the table. On failure everybody may come. */
int newcomers_stop(const char *who, const char *id, const struct net_listener *v, size_t n, struct newcomers **out, struct err *err);
/* They may come again. NULL is fine. */
void newcomers_let(struct newcomers *nc);

#endif
