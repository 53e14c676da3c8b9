/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last segment of a handshake that never was: it makes a connection with numbers of our choice and puts it behind those that wait at a
 * listening socket. The kernel takes what a BPF program on the way in says of a segment for a syncookie that it has checked
 * (bpf_sk_assign_tcp_reqsk() in net/core/filter.c, cookie_bpf_check() and tcp_get_cookie_sock() in net/ipv4/syncookies.c, Linux 6.18).
 *
 * Needs Linux 6.9 with CONFIG_SYN_COOKIES, CONFIG_NET_XGRESS and CONFIG_DEBUG_INFO_BTF, net.ipv4.tcp_syncookies that is not 0, and CAP_BPF
 * and CAP_NET_ADMIN in the first user namespace.
 */
#ifndef CR_NET_HANDSHAKE_H
#define CR_NET_HANDSHAKE_H

#include "common/net/lock.h"

/* The loopback device, in every network namespace (LOOPBACK_IFINDEX in include/net/flow.h). */
#define HANDSHAKE_DEVICE 1u

struct handshake;

/* Whether this network namespace and this kernel have what it takes, as far as that can be told without privileges. ERR_FEATURE. */
int handshake_possible(struct err *err);
/* The same by loading the program. */
int handshake_try(struct err *err);
/* The program sees what comes over the loopback device from here on, and acts on nothing but what handshake_next() has named. */
int handshake_open(struct handshake **out, struct err *err);
/* NULL is fine. */
void handshake_close(struct handshake *h);

/* The socket whose connections are to be made; -1: none any more. */
int handshake_listener(struct handshake *h, int fd, struct err *err);

/* Shorter segments the kernel does not take for possible. */
#define HANDSHAKE_MSS_MIN(v6) ((v6) ? 1220u : 536u)
struct handshake_options {
	uint16_t mss;
	bool timestamps, usec, wscale, sack, ecn;
	uint8_t snd_wscale, rcv_wscale;
	uint32_t ts_recent, clock; /* with timestamps: the peer's last, and what ours says from now on */
};
/* The segment that comes next from c's remote end, with these numbers. */
void handshake_next(struct handshake *h, const struct net_connection *c, uint32_t seq, uint32_t ack, const struct handshake_options *o);
/* From then on until here what is said to that remote end does not pass the loopback device: nobody there answers. */
void handshake_done(struct handshake *h);
/* What became of it: 1: it has not come yet; 0; -errno. */
int handshake_result(const struct handshake *h);

#endif
