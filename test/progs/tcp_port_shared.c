// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets that share a port by an option that was taken off when they were bound: they have it still, and the option is off. */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

struct pair { int option, listening, fd[2]; struct sockaddr_in in; };

static int get(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, SOL_SOCKET, name, &v, &len));
	return v;
}

static void make(struct pair *p)
{
	socklen_t len = sizeof(p->in);
	const int one = 1, zero = 0;

	p->in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (int i = 0; i < 2; i++) {
		p->fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		CHECK(p->fd[i] >= 0 && !setsockopt(p->fd[i], SOL_SOCKET, p->option, &one, sizeof(one)));
		CHECK(!bind(p->fd[i], (struct sockaddr *)&p->in, sizeof(p->in)));
		CHECK(!getsockname(p->fd[i], (struct sockaddr *)&p->in, &len));
	}
	for (int i = 0; i < p->listening; i++)
		CHECK(!listen(p->fd[i], 3));
	for (int i = 0; i < 2; i++)
		CHECK(!setsockopt(p->fd[i], SOL_SOCKET, p->option, &zero, sizeof(zero)));
}

static void check(const struct pair *p)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int c = socket(AF_INET, SOCK_STREAM, 0);

	for (int i = 0; i < 2; i++) {
		CHECK_EQ(get(p->fd[i], SO_REUSEADDR), 0);
		CHECK_EQ(get(p->fd[i], SO_REUSEPORT), 0);
		CHECK_EQ(get(p->fd[i], SO_ACCEPTCONN), i < p->listening);
		CHECK(!getsockname(p->fd[i], (struct sockaddr *)&in, &len));
		CHECK_EQ(in.sin_port, p->in.sin_port);
	}
	CHECK(!connect(c, (struct sockaddr *)&p->in, sizeof(p->in)));
	close(c);
}

int main(void)
{
	struct pair both = { .option = SO_REUSEPORT, .listening = 2 }, one = { .option = SO_REUSEADDR, .listening = 1 };

	make(&both);
	make(&one);
	test_ready();
	check(&both);
	check(&one);
	pass();
}
