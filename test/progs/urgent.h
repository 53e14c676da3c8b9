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

/* The end at which "abc", an urgent X and "def" wait. The other end, and what listens, stay open. */
static inline int urgent_waits(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(!bind(l, (struct sockaddr *)&in, sizeof(in)) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(c, (struct sockaddr *)&in, len));
	int s = accept(l, NULL, NULL);
	CHECK(s >= 0);
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
