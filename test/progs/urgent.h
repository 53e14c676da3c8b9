/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A connection on which urgent data came. */
#ifndef CR_TEST_URGENT_H
#define CR_TEST_URGENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "test.h"

#define URGENT_LONG 100000
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

static inline void send_all(int fd, const unsigned char *from, int len)
{
	for (int done = 0; done < len;) {
		const ssize_t w = write(fd, from + done, (size_t)(len - done));

		CHECK(w > 0);
		done += (int)w;
	}
}

/* All of it, whatever marks are in the way. Leaves SO_OOBINLINE off. */
static inline int waiting(int fd)
{
	const int on = 1;
	int len;

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
	CHECK(!ioctl(fd, FIONREAD, &len));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &(int){ 0 }, sizeof(int)));
	return len;
}

static inline bool at_mark(int fd)
{
	int at = -1;

	CHECK(!ioctl(fd, SIOCATMARK, &at));
	return at;
}

/* to_mark: with more room than there is up to the mark. */
static inline void comes(int fd, const unsigned char *what, int len, bool to_mark)
{
	static unsigned char got[2 * URGENT_LONG];

	for (int done = 0; done < len;) {
		struct pollfd p = { fd, POLLIN, 0 };

		CHECK(!done || !to_mark || !at_mark(fd));
		CHECK_EQ(poll(&p, 1, 30000), 1);
		const ssize_t r = read(fd, got, to_mark ? sizeof(got) : (size_t)(len - done));
		CHECK(r > 0 && r <= len - done);
		CHECK(!memcmp(got, what + done, (size_t)r));
		done += (int)r;
	}
}

/* So many bytes, an urgent X, and more bytes come; taken: it is read, and its mark is still ahead. */
static inline void urgent_say(int s, int c, const unsigned char *bytes, int before, int behind, bool taken, int inlined)
{
	char got;

	send_all(c, bytes, before);
	CHECK_EQ(send(c, "X", 1, MSG_OOB), 1);
	send_all(c, bytes + before, behind);
	for (int i = 0; i < 6000 && waiting(s) != before + 1 + behind; i++)
		usleep(5000);
	CHECK_EQ(waiting(s), before + 1 + behind);
	if (taken)
		CHECK(recv(s, &got, 1, MSG_OOB) == 1 && got == 'X');
	CHECK(!setsockopt(s, SOL_SOCKET, SO_OOBINLINE, &inlined, sizeof(inlined)));
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
static inline void urgent_ends(int s, int c)
{
	struct pollfd p = { s, POLLRDHUP, 0 };

	CHECK(!shutdown(c, SHUT_WR));
	CHECK_EQ(poll(&p, 1, 30000), 1);
	CHECK(!shutdown(s, SHUT_WR));
	p = (struct pollfd){ s, 0, 0 };
	CHECK(poll(&p, 1, 30000) == 1 && p.revents & POLLHUP);
}

#endif
