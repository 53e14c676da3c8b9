// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * UDP and UDP-Lite sockets that hold data back (UDP_CORK, MSG_MORE): of both families and one over the other, connected or not, in parts
 * of many sizes, above the MTU, out of a file, with settings of their own. Nothing is sent until more is added afterwards; then it is one
 * datagram, from the right address.
 */
/* test: net */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "test.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define FAR_MTU 65536
#define PARTS 4
#define MOST 65536

enum how {
	CORK = 1, CONNECTED = 2, BY_NAME = 4 /* to somebody else than the peer */, LITE = 8, FROM_FILE = 16, SHUT = 32, SETTINGS = 64, SEGMENTS = 128,
	MAPPED = 256, FROM = 512 /* another address of ours */, SETTINGS_LATER = 1024, SMALL_BUFFER = 2048, LAST_BY_CORK = 4096
};
union address { struct sockaddr sa; struct sockaddr_in in; struct sockaddr_in6 in6; };
struct held {
	int family, mtu;
	unsigned how;
	int part[PARTS];
	int s, r, len;
	union address to, from;
};

static struct held all[] = {
	{ AF_INET, FAR_MTU, CONNECTED, { 4 } },
	{ AF_INET, FAR_MTU, 0, { 1, 2, 3, 4 } },
	{ AF_INET, FAR_MTU, CORK, { 0 } },
	{ AF_INET, FAR_MTU, CORK | CONNECTED, { 100, 3000, 5000, 1 } },
	{ AF_INET, FAR_MTU, CONNECTED | BY_NAME, { 700 } },
	{ AF_INET, FAR_MTU, CORK, { 20000, 20000, 15000 } },
	{ AF_INET, FAR_MTU, CONNECTED, { 65000 } },
	{ AF_INET, 1500, CONNECTED | CORK | SMALL_BUFFER | LAST_BY_CORK, { 30000 } },
	{ AF_INET, FAR_MTU, CORK | CONNECTED | FROM_FILE, { 10, 9000, 4096, 77 } },
	{ AF_INET, FAR_MTU, CORK | CONNECTED | SHUT | LAST_BY_CORK, { 500 } },
	{ AF_INET, FAR_MTU, CORK | LAST_BY_CORK, { 50 } },
	{ AF_INET, FAR_MTU, CONNECTED | LITE, { 10, 20 } },
	{ AF_INET, FAR_MTU, SETTINGS | FROM, { 300 } },
	{ AF_INET, FAR_MTU, CONNECTED | SETTINGS_LATER, { 300 } },
	{ AF_INET, FAR_MTU, CONNECTED | SEGMENTS, { 1000, 1000, 500 } },
	{ AF_INET, 1500, CONNECTED, { 1472 } },
	{ AF_INET, 1500, CONNECTED, { 1473 } },
	{ AF_INET, 1500, CONNECTED, { 1470, 1, 1, 1 } },
	{ AF_INET, 1500, CORK, { 3000, 1, 1500, 7777 } },
	{ AF_INET, 1500, CORK | CONNECTED | FROM_FILE, { 100, 4096, 5000, 3 } },
	{ AF_INET, 1500, CONNECTED, { 30000, 30000 } },
	{ AF_INET, 1500, CONNECTED | LITE, { 2000, 2000 } },
	{ AF_INET6, FAR_MTU, CONNECTED, { 4 } },
	{ AF_INET6, FAR_MTU, 0, { 5, 6 } },
	{ AF_INET6, FAR_MTU, CORK | CONNECTED, { 100, 3000, 50000 } },
	{ AF_INET6, FAR_MTU, CORK | CONNECTED | FROM_FILE, { 10, 9000, 77 } },
	{ AF_INET6, FAR_MTU, CONNECTED | BY_NAME | CORK, { 700 } },
	{ AF_INET6, FAR_MTU, SETTINGS, { 300 } },
	{ AF_INET6, FAR_MTU, CONNECTED | SETTINGS_LATER, { 300 } },
	{ AF_INET6, FAR_MTU, CONNECTED | SEGMENTS, { 1000, 1000, 500 } },
	{ AF_INET6, FAR_MTU, LITE, { 100 } },
	{ AF_INET6, 1500, CONNECTED, { 1452 } },
	{ AF_INET6, 1500, CONNECTED, { 1450, 1, 1, 1 } },
	{ AF_INET6, 1500, CORK, { 3000, 1, 1500, 17777 } },
	{ AF_INET6, FAR_MTU, MAPPED, { 9 } },
	{ AF_INET6, FAR_MTU, MAPPED | CONNECTED | CORK, { 9000, 9000 } },
	{ AF_INET6, FAR_MTU, MAPPED | SETTINGS | FROM, { 10 } },
	{ AF_INET6, 1500, MAPPED | CONNECTED, { 1480, 2000 } },
};
#define N (int)(sizeof(all) / sizeof(all[0]))

static unsigned char byte_at(int i, int salt)
{
	return (unsigned char)((unsigned)i * 2654435761u >> 13) ^ (unsigned char)salt;
}

static void mtu(int n)
{
	struct ifreq q = { .ifr_name = "lo", .ifr_mtu = n };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(s >= 0 && !ioctl(s, SIOCSIFMTU, &q));
	close(s);
}

static void set(int s, int level, int name, int v)
{
	CHECK(!setsockopt(s, level, name, &v, sizeof(v)));
}

static bool is4(const struct held *h)
{
	return h->family == AF_INET || h->how & MAPPED;
}

static union address loopback(const struct held *h, int last)
{
	union address a = { .sa.sa_family = (sa_family_t)h->family };
	char text[64];

	snprintf(text, sizeof(text), h->family == AF_INET ? "127.0.0.%d" : h->how & MAPPED ? "::ffff:127.0.0.%d" : "::%d", last);
	CHECK_EQ(inet_pton(h->family, text, h->family == AF_INET ? (void *)&a.in.sin_addr : (void *)&a.in6.sin6_addr), 1);
	return a;
}

static socklen_t size_of(const struct held *h)
{
	return h->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static int socket_of(const struct held *h)
{
	return socket(h->family, SOCK_DGRAM, h->how & LITE ? IPPROTO_UDPLITE : 0);
}

static int receiver(const struct held *h, union address *at)
{
	int r = socket_of(h);
	socklen_t len = sizeof(*at);

	*at = loopback(h, 1);
	CHECK(r >= 0 && !bind(r, &at->sa, size_of(h)) && !getsockname(r, &at->sa, &len));
	if (is4(h)) {
		set(r, IPPROTO_IP, IP_RECVTTL, 1);
		set(r, IPPROTO_IP, IP_RECVTOS, 1);
	} else {
		set(r, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		set(r, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	}
	return r;
}

static void put_cmsg(struct msghdr *m, int level, int type, const void *v, size_t len)
{
	struct cmsghdr *c = (void *)((char *)m->msg_control + m->msg_controllen);

	*c = (struct cmsghdr){ .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len) };
	memcpy(CMSG_DATA(c), v, len);
	m->msg_controllen += CMSG_SPACE(len);
}

/* More of it: its bytes go on where the last ones have ended. */
static void add(struct held *h, int n, int flags, bool first)
{
	static unsigned char buf[MOST];
	_Alignas(struct cmsghdr) char room[256] = { 0 };
	struct iovec v = { buf, (size_t)n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room };
	const int ttl = 33, tos = 0x28;
	struct in_pktinfo from = { .ipi_spec_dst = { htonl(INADDR_LOOPBACK + 1) } };

	for (int i = 0; i < n; i++)
		buf[i] = byte_at(h->len + i, (int)(h - all));
	if (!(h->how & CONNECTED) || h->how & BY_NAME) {
		m.msg_name = &h->to;
		m.msg_namelen = size_of(h);
	}
	if (first && h->how & SETTINGS) {
		put_cmsg(&m, is4(h) ? IPPROTO_IP : IPPROTO_IPV6, is4(h) ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof(ttl));
		put_cmsg(&m, is4(h) ? IPPROTO_IP : IPPROTO_IPV6, is4(h) ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos));
	}
	if (first && h->how & FROM)
		put_cmsg(&m, IPPROTO_IP, IP_PKTINFO, &from, sizeof(from));
	CHECK_EQ(sendmsg(h->s, &m, flags), n);
	h->len += n;
}

static void add_file(struct held *h, int n)
{
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	off_t at = 10; /* of an odd number of bytes out of a page Linux 6.18 takes a wrong sum, and nobody gets the datagram */

	CHECK(fd >= 0);
	for (int i = 0; i < n; i++) {
		const unsigned char b = byte_at(h->len + i, (int)(h - all));
		CHECK_EQ(pwrite(fd, &b, 1, at + i), 1);
	}
	CHECK_EQ(sendfile(h->s, fd, &at, (size_t)n), n);
	CHECK(!close(fd) && !unlink("file"));
	h->len += n;
}

static void hold(struct held *h)
{
	socklen_t len = sizeof(h->from);
	union address other;

	h->r = receiver(h, &h->to);
	h->s = socket_of(h);
	CHECK(h->s >= 0);
	h->from = loopback(h, 1);
	other = h->to;
	if (h->how & BY_NAME)
		CHECK(!close(receiver(h, &other)));
	if (h->how & CONNECTED)
		CHECK(!connect(h->s, &other.sa, size_of(h)));
	if (h->how & CORK)
		set(h->s, IPPROTO_UDP, UDP_CORK, 1);
	if (h->how & SEGMENTS)
		set(h->s, IPPROTO_UDP, UDP_SEGMENT, 1000);
	for (int i = 0; i < PARTS && (h->part[i] || !i); i++)
		if (i % 2 && h->how & FROM_FILE)
			add_file(h, h->part[i]);
		else
			add(h, h->part[i], h->how & CORK ? 0 : MSG_MORE, !i);
	if (h->how & SHUT)
		CHECK(!shutdown(h->s, SHUT_WR));
	if (h->how & SMALL_BUFFER)
		set(h->s, SOL_SOCKET, SO_SNDBUF, 1);
	if (h->how & SEGMENTS)
		set(h->s, IPPROTO_UDP, UDP_SEGMENT, 0);
	if (h->how & SETTINGS_LATER) {
		set(h->s, IPPROTO_IP, IP_TOS, 0x10);
		if (!is4(h))
			set(h->s, IPPROTO_IPV6, IPV6_TCLASS, 0x30);
	}
	CHECK(!getsockname(h->s, &other.sa, &len));
	h->from = h->how & FROM ? loopback(h, 2) : h->from;
	h->from.in.sin_port = other.in.sin_port; /* at the same place in both */
	CHECK(h->from.in.sin_port);
}

static int setting(struct msghdr *m, bool ttl, bool four)
{
	int v;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (four ? c->cmsg_level != IPPROTO_IP || c->cmsg_type != (ttl ? IP_TTL : IP_TOS) :
			   c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != (ttl ? IPV6_HOPLIMIT : IPV6_TCLASS))
			continue;
		if (four && !ttl)
			return *(unsigned char *)CMSG_DATA(c);
		memcpy(&v, CMSG_DATA(c), sizeof(v));
		return v;
	}
	return -1;
}

static void nothing(struct held *h)
{
	char byte;

	CHECK(recv(h->r, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

/* One datagram, which has bytes from `at` on; gives how many. */
static int take(struct held *h, int at)
{
	static unsigned char buf[MOST];
	char room[256];
	struct iovec v = { buf, sizeof(buf) };
	union address from;
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room),
			    .msg_name = &from, .msg_namelen = sizeof(from) };
	const int n = (int)recvmsg(h->r, &m, 0);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++)
		if (buf[i] != byte_at(at + i, (int)(h - all)))
			fail("byte %d of %d of datagram %d is another", i, n, (int)(h - all));
	CHECK_EQ(from.in.sin_port, h->from.in.sin_port);
	CHECK(!memcmp(&from, &h->from, h->family == AF_INET ? 8 : 24));
	CHECK_EQ(setting(&m, true, is4(h)), h->how & SETTINGS ? 33 : 64);
	CHECK_EQ(setting(&m, false, is4(h)), h->how & SETTINGS ? 0x28 : 0);
	return n;
}

static void prove(struct held *h)
{
	const int off = 0;
	int got;

	nothing(h);
	if (!(h->how & LAST_BY_CORK))
		add(h, 40, MSG_MORE, false);
	nothing(h);
	if (h->how & LAST_BY_CORK || h->how & CORK)
		CHECK(!setsockopt(h->s, IPPROTO_UDP, UDP_CORK, &off, sizeof(off)));
	else
		add(h, 7, 0, false);
	got = take(h, 0);
	if (h->how & SEGMENTS) {
		CHECK_EQ(got, 1000);
		CHECK_EQ(take(h, 1000), 1000);
		got = 2000 + take(h, 2000);
	}
	CHECK_EQ(got, h->len);
	nothing(h);
	/* What comes next is a datagram of its own. */
	if (!(h->how & SHUT)) {
		h->how &= ~(unsigned)(SETTINGS | SETTINGS_LATER);
		add(h, 5, MSG_DONTWAIT, false);
		CHECK_EQ(recv(h->r, &(char[16]){ 0 }, 16, 0), 5);
	}
}

int main(void)
{
	for (int i = 0; i < N; i++) {
		mtu(all[i].mtu);
		hold(&all[i]);
	}
	/* What came in one piece comes back in several. */
	for (int i = 0; i < N; i++)
		nothing(&all[i]);
	test_ready();
	for (int i = 0; i < N; i++)
		prove(&all[i]);
	pass();
}
