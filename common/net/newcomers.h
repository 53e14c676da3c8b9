/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who wants to connect to a program that stands still is not answered, so that its kernel asks again (RFC 9293, 3.8.1; after a second, as
 * a rule): the connection would be in no image, and cut off by the end of the program. Handshakes that are under way go on. The table
 * belongs to its netlink socket, and goes with it.
 */
#ifndef CR_NET_NEWCOMERS_H
#define CR_NET_NEWCOMERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* any: of all addresses of its family. The port in network order. */
struct net_listener { bool v6, any; uint8_t address[16] /* IPv4: the first four */; uint16_t port; };

struct newcomers;

/* id: as in net_lock(). On failure everybody may come. */
int newcomers_stop(const char *id, const struct net_listener *v, size_t n, struct newcomers **out, struct err *err);
/* They may come again. NULL is fine. */
void newcomers_let(struct newcomers *nc);

#endif
