// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Send queues that hold more than TCP_NOTSENT_LOWAT, or the same setting of the host, lets in: set after they were filled. Of one
 * pair nothing is acknowledged: what was sent waits in the queue, too.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

struct pair { int client, server; size_t queued; };

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static struct pair make(bool deaf)
{
	static struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog prog = { 1, &nothing };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct pair p = { .client = socket(AF_INET, SOCK_STREAM, 0) };
	unsigned char buf[40000];
	socklen_t len = sizeof(in);

	CHECK(!bind(l, (struct sockaddr *)&in, len) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in, &len));
	CHECK(!connect(p.client, (struct sockaddr *)&in, sizeof(in)));
	p.server = accept(l, NULL, NULL);
	CHECK(p.server >= 0);
	close(l);
	if (deaf)
		CHECK(!setsockopt(p.server, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	for (;;) {
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = byte_at(p.queued + i);
		ssize_t n = send(p.client, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0)
			break;
		p.queued += (size_t)n;
	}
	CHECK_EQ(errno, EAGAIN);
	return p;
}

static int get(int fd)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &v, &len));
	return v;
}

static void drain(const struct pair *p)
{
	static unsigned char buf[65536];

	for (size_t done = 0; done < p->queued;) {
		struct pollfd ready = { p->server, POLLIN, 0 };
		CHECK_EQ(poll(&ready, 1, 30000), 1);
		ssize_t n = recv(p->server, buf, sizeof(buf), MSG_DONTWAIT);
		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(done + (size_t)i))
				fail("byte %zu of %zu is wrong", done + (size_t)i, p->queued);
		done += (size_t)n;
	}
}

int main(void)
{
	struct pair p[] = { make(false), make(true), make(false), make(true) };
	const int limit = 3000;
	int fd = open("/proc/sys/net/ipv4/tcp_notsent_lowat", O_WRONLY);

	if (fd < 0 || write(fd, "4096\n", 5) != 5)
		TEST_SKIP("net.ipv4.tcp_notsent_lowat cannot be set");
	close(fd);
	for (int i = 0; i < 2; i++)
		CHECK(!setsockopt(p[i].client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof(limit)));

	test_ready();

	for (int i = 0; i < 4; i++)
		CHECK_EQ(get(p[i].client), i < 2 ? limit : 0);
	/* As late as this: what a cycle sees is the same for each. */
	CHECK(!setsockopt(p[1].server, SOL_SOCKET, SO_DETACH_FILTER, &limit, sizeof(limit)));
	CHECK(!setsockopt(p[3].server, SOL_SOCKET, SO_DETACH_FILTER, &limit, sizeof(limit)));
	for (int i = 0; i < 4; i++)
		drain(&p[i]);
	pass();
}
