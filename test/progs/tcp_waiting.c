// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that wait to be accepted, IPv4, IPv6 and one over the other: in their order, with what their peers have said, the end or a
 * reset of theirs, and a conversation that goes on when the program accepts them. The peers are in the same process.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "test.h"
#include "waiting.h"

#define MUCH (64u << 20)

enum last { NOTHING, END, RESET, END_AND_RESET };
struct peer { int listener, fd; size_t said; enum last last; struct sockaddr_storage name; };

static int listener(int family, struct sockaddr_storage *at, int backlog)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	int fd = socket(family, SOCK_STREAM, 0), one = 1;
	socklen_t len = sizeof(*at);

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)));
	CHECK(!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	if (family == AF_INET)
		CHECK(!bind(fd, (struct sockaddr *)&in, sizeof(in)));
	else
		CHECK(!bind(fd, (struct sockaddr *)&in6, sizeof(in6)));
	CHECK(!listen(fd, backlog) && !getsockname(fd, (struct sockaddr *)at, &len));
	return fd;
}

static unsigned char byte_at(size_t i, int salt)
{
	return (unsigned char)(i * 2654435761u >> 13) ^ (unsigned char)salt;
}

static int get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, level, name, &v, &len));
	return v;
}

static void say(struct peer *p, size_t max, int salt)
{
	static unsigned char buf[65536];

	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	while (p->said < max) {
		size_t n = max - p->said < sizeof(buf) ? max - p->said : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(p->said + i, salt);
		ssize_t w = write(p->fd, buf, n);
		if (w < 0) {
			CHECK_EQ(errno, EAGAIN);
			break;
		}
		p->said += (size_t)w;
	}
	fcntl(p->fd, F_SETFL, 0);
}

static struct peer peer(int listening, int family, const struct sockaddr_storage *at, size_t say_n, enum last last, int salt)
{
	struct peer p = { .listener = listening, .fd = socket(family, SOCK_STREAM, 0), .last = last };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	const struct linger now = { 1, 0 };
	socklen_t len = sizeof(p.name);

	in.sin_port = in6.sin6_port = ((const struct sockaddr_in *)at)->sin_port;
	if (family == AF_INET)
		CHECK(!connect(p.fd, (struct sockaddr *)&in, sizeof(in)));
	else
		CHECK(!connect(p.fd, (struct sockaddr *)&in6, sizeof(in6)));
	CHECK(!getsockname(p.fd, (struct sockaddr *)&p.name, &len));
	say(&p, say_n, salt);
	if (last == END || last == END_AND_RESET)
		CHECK(!shutdown(p.fd, SHUT_WR));
	if (last == RESET || last == END_AND_RESET) {
		usleep(10000);
		CHECK(!setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(p.fd));
	}
	return p;
}

/* All that it has said, and its last word. */
static void hear(const struct peer *p, int fd, int salt)
{
	static unsigned char buf[65536];
	size_t done = 0;

	while (done < p->said) {
		struct pollfd ready = { fd, POLLIN, 0 };
		CHECK_EQ(poll(&ready, 1, 20000), 1);
		ssize_t n = read(fd, buf, p->said - done < sizeof(buf) ? p->said - done : sizeof(buf));
		if (n <= 0)
			fail("%zu bytes of %zu, then %zd, errno %d", done, p->said, n, errno);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(done + (size_t)i, salt))
				fail("byte %zu of %zu is wrong", done + (size_t)i, p->said);
		done += (size_t)n;
	}
	if (p->last == END)
		CHECK_EQ(read(fd, buf, 1), 0);
}

static void same_name(const struct peer *p, const struct sockaddr_storage *got)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&p->name;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)got;

	CHECK_EQ(ntohs(six->sin6_port), ntohs(in->sin_port));
	if (got->ss_family == AF_INET6 && in->sin_family == AF_INET)
		CHECK(IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && !memcmp(six->sin6_addr.s6_addr + 12, &in->sin_addr, 4));
	else if (in->sin_family == AF_INET)
		CHECK(((const struct sockaddr_in *)got)->sin_addr.s_addr == in->sin_addr.s_addr);
	else
		CHECK(!memcmp(&six->sin6_addr, &((const struct sockaddr_in6 *)&p->name)->sin6_addr, 16));
}

static void accept_it(const struct peer *p, int salt)
{
	struct sockaddr_storage got;
	socklen_t len = sizeof(got);
	int fd = accept(p->listener, (struct sockaddr *)&got, &len);
	char byte = 0;

	CHECK(fd >= 0);
	same_name(p, &got);
	CHECK_EQ(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	if (p->last == RESET || p->last == END_AND_RESET) {
		/* The error comes before what waits to be read; the end of the peer makes it another one. */
		CHECK_EQ(get(fd, SOL_SOCKET, SO_ERROR), p->last == RESET ? ECONNRESET : EPIPE);
		hear(p, fd, salt);
		CHECK_EQ(read(fd, &byte, 1), 0);
		CHECK_EQ(info(fd).tcpi_state, 7);
		close(fd);
		return;
	}
	const struct tcp_info a = info(fd), b = info(p->fd);
	CHECK_EQ(a.tcpi_options, b.tcpi_options);
	CHECK_EQ(a.tcpi_snd_wscale, b.tcpi_rcv_wscale);
	CHECK_EQ(a.tcpi_rcv_wscale, b.tcpi_snd_wscale);
	hear(p, fd, salt);
	/* Both ways, as far as they are open. */
	CHECK_EQ(write(fd, "a", 1), 1);
	CHECK_EQ(read(p->fd, &byte, 1), 1);
	CHECK_EQ(byte, 'a');
	if (p->last == NOTHING) {
		CHECK_EQ(write(p->fd, "b", 1), 1);
		CHECK_EQ(read(fd, &byte, 1), 1);
		CHECK_EQ(byte, 'b');
		CHECK(!close(p->fd));
		CHECK_EQ(read(fd, &byte, 1), 0);
	}
	close(fd);
}

int main(void)
{
	needs_waiting();
	struct sockaddr_storage at4, at6;
	int l4 = listener(AF_INET, &at4, 12), l6 = listener(AF_INET6, &at6, 7);
	struct peer p[] = {
		peer(l4, AF_INET, &at4, 0, NOTHING, 0),	     peer(l6, AF_INET6, &at6, 100, NOTHING, 1),
		peer(l4, AF_INET, &at4, 5, NOTHING, 2),	     peer(l6, AF_INET, &at6, 70000, NOTHING, 3),
		peer(l4, AF_INET, &at4, 30000, END, 4),	     peer(l4, AF_INET, &at4, MUCH, NOTHING, 5),
		peer(l4, AF_INET, &at4, 777, RESET, 6),	     peer(l4, AF_INET, &at4, 0, END, 7),
		peer(l4, AF_INET, &at4, 20, END_AND_RESET, 8), peer(l6, AF_INET6, &at6, 0, END, 9),
		peer(l6, AF_INET6, &at6, MUCH, NOTHING, 10),   peer(l6, AF_INET, &at6, 1, END, 11),
		peer(l4, AF_INET, &at4, 0, RESET, 12),	     peer(l4, AF_INET, &at4, 1, NOTHING, 13),
	};
	const size_t n = sizeof(p) / sizeof(*p);

	test_ready();

	CHECK_EQ(info(l4).tcpi_unacked, 9);
	CHECK_EQ(info(l4).tcpi_sacked, 12);
	CHECK_EQ(info(l6).tcpi_unacked, 5);
	CHECK_EQ(info(l6).tcpi_sacked, 7);
	for (size_t i = 0; i < n; i++)
		accept_it(&p[i], (int)i);
	CHECK_EQ(info(l4).tcpi_unacked, 0);
	CHECK_EQ(info(l6).tcpi_unacked, 0);
	/* Others come and are accepted. */
	struct peer late[] = { peer(l4, AF_INET, &at4, 10, NOTHING, 20), peer(l6, AF_INET6, &at6, 10, END, 21) };
	accept_it(&late[0], 20);
	accept_it(&late[1], 21);
	pass();
}
