// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two sides of TCP connections that are never silent, and never forgive a wrong byte.
 *
 *	tcp_peer serve ADDRESS PORT	echoes everything, on any number of connections; writes "ready"
 *	tcp_peer talk ADDRESS PORT N	N connections on each of which a stream that knows itself is sent and must come back; writes the
 *					number of bytes that came back to "beat"; the first wrong byte, reset or end is a verdict; "go" ends it
 *	tcp_peer tables			prints how many nftables tables this network has
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AHEAD (256u << 10) /* so much may be on its way */

static void put(const char *name, const char *text)
{
	char tmp[64];
	snprintf(tmp, sizeof(tmp), ".%s", name);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) || rename(tmp, name))
		exit(3);
}

static void verdict(const char *what, int conn, uint64_t at)
{
	char text[200];

	snprintf(text, sizeof(text), "fail: connection %d, byte %llu: %s: %s\n", conn, (unsigned long long)at, what, strerror(errno));
	put("verdict", text);
	exit(1);
}

static socklen_t address(const char *text, const char *port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		exit(2);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)atoi(port));
	return sizeof(*in6);
}

/* ---- the server ---- */

struct echo { int fd; size_t from, to; unsigned char buf[65536]; };

static int step(struct echo *e)
{
	ssize_t n;

	if (e->from == e->to) {
		n = read(e->fd, e->buf, sizeof(e->buf));
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		e->from = 0;
		e->to = (size_t)n;
	}
	n = write(e->fd, e->buf + e->from, e->to - e->from);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	e->from += (size_t)n;
	return 1;
}

static int serve(char **argv)
{
	struct sockaddr_storage ss;
	socklen_t len = address(argv[0], argv[1], &ss);
	int l = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN };

	signal(SIGPIPE, SIG_IGN); /* connections may come back closed, with an echo still to be sent */
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&ss, len) || listen(l, 4096) || epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev))
		return 1;
	put("ready", "");
	for (;;) {
		struct epoll_event got[64];
		int n = epoll_wait(ep, got, 64, -1);

		for (int i = 0; i < n; i++) {
			struct echo *e = got[i].data.ptr;
			if (!e) {
				int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
				if (fd < 0)
					continue;
				e = calloc(1, sizeof(*e));
				e->fd = fd;
				ev = (struct epoll_event){ .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = e };
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
			}
			int r;
			while ((r = step(e)) > 0)
				;
			if (r < 0) {
				close(e->fd);
				free(e);
			}
		}
	}
}

/* ---- its peer ---- */

struct talk { int fd; uint64_t sent, back; };

static unsigned char byte_at(uint64_t i, int conn)
{
	return (unsigned char)(((i + (uint64_t)conn * 977) * 0x9e3779b97f4a7c15ull) >> 56);
}

static void send_some(struct talk *t, int conn)
{
	unsigned char buf[16384];
	size_t n = 1 + (size_t)(t->sent * 31 % sizeof(buf));

	if (t->sent - t->back > AHEAD)
		return;
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(t->sent + i, conn);
	ssize_t w = write(t->fd, buf, n);
	if (w < 0 && errno != EAGAIN)
		verdict("write", conn, t->sent);
	if (w > 0)
		t->sent += (uint64_t)w;
}

static void hear_some(struct talk *t, int conn)
{
	unsigned char buf[16384];
	ssize_t n = read(t->fd, buf, sizeof(buf));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		verdict(n ? "read" : "the end", conn, t->back);
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != byte_at(t->back + (uint64_t)i, conn)) {
			errno = 0;
			verdict("a wrong byte", conn, t->back + (uint64_t)i);
		}
	t->back += (uint64_t)n;
}

static int talk(char **argv)
{
	int n = atoi(argv[2]);
	struct talk *v = calloc((size_t)n, sizeof(*v));
	struct pollfd *p = calloc((size_t)n, sizeof(*p));
	struct sockaddr_storage ss;
	socklen_t len = address(argv[0], argv[1], &ss);
	time_t said = 0;
	int ending = 0;

	signal(SIGPIPE, SIG_IGN); /* a connection that is at its end is a verdict */

	for (int i = 0; i < n; i++) {
		v[i].fd = socket(ss.ss_family, SOCK_STREAM, 0);
		if (connect(v[i].fd, (void *)&ss, len))
			verdict("connect", i, 0);
		fcntl(v[i].fd, F_SETFL, O_NONBLOCK);
	}
	put("ready", "");
	for (uint64_t turn = 0;; turn++) {
		uint64_t all = 0, open = 0;

		for (int i = 0; i < n; i++) {
			p[i] = (struct pollfd){ v[i].fd, (short)(POLLIN | (!ending && v[i].sent - v[i].back <= AHEAD ? POLLOUT : 0)), 0 };
			all += v[i].back;
			open += v[i].sent - v[i].back;
		}
		if (ending && !open)
			break;
		char text[32];
		if (turn % 64 == 0 || time(NULL) != said) {
			said = time(NULL);
			snprintf(text, sizeof(text), "%llu\n", (unsigned long long)all);
			put("beat", text);
			ending = ending || access("go", F_OK) == 0;
		}
		if (poll(p, (nfds_t)n, 100) < 0)
			continue;
		for (int i = 0; i < n; i++) {
			if (p[i].revents & POLLOUT)
				send_some(&v[i], i);
			if (p[i].revents & (POLLIN | POLLERR | POLLHUP))
				hear_some(&v[i], i);
		}
	}
	put("verdict", "pass\n");
	return 0;
}

/* ---- */

static int tables(void)
{
	struct { struct nlmsghdr h; struct nfgenmsg g; } req = {
		.h = { sizeof(req), NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
	};
	union { struct nlmsghdr h; char bytes[65536]; } in;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), n = 0;

	if (fd < 0 || send(fd, &req, sizeof(req), 0) < 0)
		return 1;
	for (;;) {
		ssize_t left = recv(fd, &in, sizeof(in), 0);
		if (left <= 0)
			return 1;
		for (struct nlmsghdr *h = &in.h; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
				printf("%d\n", n);
				return 0;
			}
			n++;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "talk"))
		return talk(argv + 2);
	return argc == 2 && !strcmp(argv[1], "tables") ? tables() : 2;
}
