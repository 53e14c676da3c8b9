/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All options of a socket that getsockopt(2) shows. */
#ifndef TEST_SOCK_LOOK_H
#define TEST_SOCK_LOOK_H

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

#define NAMES 136
static const int levels[] = { IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET };
#define LEVELS 4
struct value { socklen_t len; int error; unsigned char bytes[64]; };

/* What is no setting but a report: of the route, of the last packets, of clocks; or an act. */
static bool is_report(int level, int name, bool connected)
{
	switch (level) {
	case SOL_SOCKET:
		return name == SO_ERROR || name == SO_MEMINFO || name == SO_COOKIE || name == SO_INCOMING_NAPI_ID ||
		       name == SO_INCOMING_CPU /* of the last packet */ || name == 71 /* SO_NETNS_COOKIE */;
	case IPPROTO_IP:
		return name == 14 /* IP_MTU */ || name == 9 /* IP_PKTOPTIONS */ || (name >= 60 && name < 70) /* of netfilter */ ||
		       name == IP_MULTICAST_TTL /* of the peer's SYN; setsockopt(2) takes it from no stream */;
	case IPPROTO_IPV6:
		return name == 24 /* IPV6_MTU */ || name == 61 /* IPV6_PATHMTU */ || name == 6 /* IPV6_2292PKTOPTIONS */ ||
		       name == 60 || name == 80 /* of netfilter */ || /* __inet6_bind() in net/ipv6/af_inet6.c sets it with an address, and nothing takes it off again. */
		       (name == IPV6_V6ONLY && connected);
	case IPPROTO_TCP:
		/* Of connections, what the kernel sends at the moment: segments of the route's size, acknowledgements at once. */
		return name == TCP_INFO || name == TCP_CC_INFO || name == TCP_TIMESTAMP || name == TCP_ZEROCOPY_RECEIVE ||
		       name == TCP_SAVED_SYN || (name == TCP_QUICKACK && connected) || (name == TCP_MAXSEG && connected) ||
		       name == 43 /* TCP_IS_MPTCP */ || name == 42;
	}
	return false;
}

static void look(int fd, bool connected, struct value v[LEVELS][NAMES])
{
	for (int l = 0; l < LEVELS; l++)
		for (int n = 0; n < NAMES; n++) {
			struct value *x = &v[l][n];
			memset(x, 0, sizeof(*x));
			x->len = sizeof(x->bytes);
			x->error = is_report(levels[l], n, connected) || getsockopt(fd, levels[l], n, x->bytes, &x->len) ? 1 : 0;
			if (x->error || x->len > sizeof(x->bytes))
				x->len = 0;
		}
}

/* What is not as it was, behind what is in `wrong` already. */
static void compare(const char *name, struct value before[LEVELS][NAMES], struct value now[LEVELS][NAMES], char *wrong, size_t size)
{
	for (int k = 0; k < LEVELS; k++)
		for (int n = 0; n < NAMES; n++) {
			const struct value *a = &before[k][n], *b = &now[k][n];
			const size_t at = strlen(wrong);
			if (a->error == b->error && a->len == b->len && !memcmp(a->bytes, b->bytes, a->len))
				continue;
			snprintf(wrong + at, size - at, " %s level %d option %d: %d -> %d;", name, levels[k], n,
				 *(const int *)(const void *)a->bytes, *(const int *)(const void *)b->bytes);
		}
}

#endif
