/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICMP messages that a socket of this host takes for an answer to a packet of its own: so it comes to an error that waits to be read. */
#ifndef CR_SOCK_ICMP_H
#define CR_SOCK_ICMP_H

#include "common/sock/inet.h"

/*
 * Whether some message of IPv4 or IPv6 means this errno (icmp_err_convert[] in net/ipv4/icmp.c, icmpv6_err_convert() in
 * net/ipv6/icmp.c). hard: also for a datagram socket, which ignores what may pass. EMSGSIZE is none: it would change the route, too.
 */
bool icmp_means(bool v6, int error, bool hard);
/* IPv6, and no IPv4 address in it. */
bool inet_is_v6(const union inet_address *a);

/* A packet that was sent: its addresses, protocol, and the first bytes behind its IP header (of ICMP and transport: ports, numbers). */
struct icmp_answered { const union inet_address *own, *peer; int protocol; unsigned char head[20]; size_t len; };
/*
 * Answers it, as if a host on the way did, over the loopback device: nothing leaves this host. raw: a raw socket of ICMP or ICMPv6, which
 * is bound to the packet's own address by this. What a packet filter drops is no error: the caller looks, and tries again.
 */
int icmp_answer(int raw, const struct icmp_answered *packet, int error, struct err *err);

#endif
