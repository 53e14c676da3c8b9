/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection on which urgent data came. */
#ifndef CR_TEST_URGENT_H
#define CR_TEST_URGENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

static int urgent_peer_;

/* Two ends. What listens stays open. */
static inline void urgent_pair(bool v6, int *s, int *c)
{
	union { struct sockaddr sa; struct sockaddr_in in; struct sockaddr_in6 in6; } a = { 0 };
	socklen_t len = v6 ? sizeof(a.in6) : sizeof(a.in);
	const int family = v6 ? AF_INET6 : AF_INET, l = socket(family, SOCK_STREAM, 0);

	a.sa.sa_family = (sa_family_t)family;
	if (v6)
		a.in6.sin6_addr = in6addr_loopback;
	else
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*c = socket(family, SOCK_STREAM, 0);
	CHECK(!bind(l, &a.sa, len) && !listen(l, 1) && !getsockname(l, &a.sa, &len));
	CHECK(!connect(*c, &a.sa, len));
	*s = accept(l, NULL, NULL);
	CHECK(*s >= 0);
}

/* The end at which "abc", an urgent X and "def" wait. The other end, and what listens, stay open. */
static inline int urgent_waits(void)
{
	int s, c;

	urgent_pair(false, &s, &c);
	CHECK_EQ(write(c, "abc", 3), 3);
	CHECK_EQ(send(c, "X", 1, MSG_OOB), 1);
	CHECK_EQ(write(c, "def", 3), 3);
	struct pollfd p = { s, POLLPRI, 0 };
	CHECK_EQ(poll(&p, 1, 30000), 1);
	urgent_peer_ = c;
	return s;
}

/* Both sides say their end, and hear of it. */
static inline void urgent_ends(int s)
{
	struct pollfd p = { s, POLLRDHUP, 0 };

	CHECK(!shutdown(urgent_peer_, SHUT_WR));
	CHECK_EQ(poll(&p, 1, 30000), 1);
	CHECK(!shutdown(s, SHUT_WR));
	p = (struct pollfd){ s, 0, 0 };
	CHECK(poll(&p, 1, 30000) == 1 && p.revents & POLLHUP);
}

#endif
