// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that wait to be accepted where that is not plain: at two sockets of a reuseport group, each at its own; more of them than may wait
 * by now; with more data than a small buffer of the program's choice seems to hold; and at a socket that sends a signal when somebody
 * comes, which is not sent again. Two have had the same addresses one after the other, and the first one was reset.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "test.h"
#include "waiting.h"

#define CLIENTS 12

static struct sockaddr_in at(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listener(int port, int backlog, int option, int value)
{
	struct sockaddr_in in = at(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (option)
		CHECK(!setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)));
	CHECK(!bind(fd, (struct sockaddr *)&in, sizeof(in)) && !listen(fd, backlog));
	return fd;
}

static int client(int port, int own)
{
	struct sockaddr_in to = at(port), from = at(own);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (own)
		CHECK(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) && !bind(fd, (struct sockaddr *)&from, sizeof(from)));
	CHECK(!connect(fd, (struct sockaddr *)&to, sizeof(to)));
	return fd;
}

static int get(int fd, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, SOL_SOCKET, name, &v, &len));
	return v;
}

static int port_of(int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	CHECK(!getsockname(fd, (struct sockaddr *)&in, &len));
	return ntohs(in.sin_port);
}

/* The one whose peer's port that is, and its word. */
static int accept_one(int fd, int *port)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int s = accept(fd, (struct sockaddr *)&in, &len);

	CHECK(s >= 0);
	*port = ntohs(in.sin_port);
	return s;
}

static unsigned char buf[1 << 20];

/* Who was at which, nobody knows; but each of them is at one, in the order in which they came. */
static void check_group(const int group[2], const unsigned n[2], const int clients[CLIENTS])
{
	int port, s;
	char byte;

	for (int i = 0; i < 2; i++) {
		int last = -1;

		CHECK_EQ(info(group[i]).tcpi_unacked, n[i]);
		for (unsigned k = 0; k < n[i]; k++) {
			int who = 0;

			s = accept_one(group[i], &port);
			CHECK_EQ(read(s, &byte, 1), 1);
			while (port_of(clients[who]) != port)
				who++;
			CHECK_EQ(byte, who);
			CHECK(who > last);
			last = who;
			CHECK_EQ(write(s, "!", 1), 1);
			CHECK_EQ(read(clients[who], &byte, 1), 1);
		}
	}
}

static void check_shrunk(int shrunk, const int clients[CLIENTS])
{
	char byte;

	CHECK_EQ(info(shrunk).tcpi_unacked, CLIENTS);
	CHECK_EQ(info(shrunk).tcpi_sacked, 3);
	for (int i = 0; i < CLIENTS; i++) {
		int got, s = accept_one(shrunk, &got);

		CHECK_EQ(got, port_of(clients[i]));
		CHECK_EQ(read(s, &byte, 1), 1);
		CHECK_EQ(byte, i);
	}
}

int main(void)
{
	needs_waiting();
	const struct linger now = { 1, 0 };
	sigset_t sigio, pending;
	int group[2] = { listener(4001, 20, SO_REUSEPORT, 1), listener(4001, 20, SO_REUSEPORT, 1) }, in_group[CLIENTS];
	int shrunk = listener(4002, 20, 0, 0), in_shrunk[CLIENTS], small = listener(4003, 5, SO_RCVBUF, 3000), same = listener(4004, 5, 0, 0);
	unsigned n[2], own, port;
	ssize_t said;
	char byte;

	sigemptyset(&sigio);
	sigaddset(&sigio, SIGIO);
	CHECK(!sigprocmask(SIG_BLOCK, &sigio, NULL));
	for (int i = 0; i < CLIENTS; i++) {
		in_group[i] = client(4001, 0);
		byte = (char)i;
		CHECK_EQ(write(in_group[i], &byte, 1), 1);
		in_shrunk[i] = client(4002, 0);
		CHECK_EQ(write(in_shrunk[i], &byte, 1), 1);
	}
	for (int i = 0; i < 2; i++)
		n[i] = info(group[i]).tcpi_unacked;
	CHECK_EQ(n[0] + n[1], CLIENTS);
	CHECK(!listen(shrunk, 3));
	const int full = client(4003, 0);
	memset(buf, 'f', sizeof(buf));
	CHECK(!fcntl(full, F_SETFL, O_NONBLOCK));
	said = write(full, buf, sizeof(buf));
	CHECK(said > 0);
	const int first = client(4004, 0);
	own = (unsigned)port_of(first);
	CHECK_EQ(write(first, "1", 1), 1);
	CHECK(!setsockopt(first, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) && !close(first));
	const int second = client(4004, (int)own);
	CHECK_EQ(write(second, "2", 1), 1);
	CHECK(!fcntl(same, F_SETOWN, getpid()) && !fcntl(same, F_SETFL, O_ASYNC));
	usleep(50000);

	test_ready();

	CHECK(!sigpending(&pending));
	CHECK_EQ(sigismember(&pending, SIGIO), 0);
	check_group(group, n, in_group);
	check_shrunk(shrunk, in_shrunk);
	CHECK_EQ(get(small, SO_RCVBUF), 6000);
	int got, s = accept_one(small, &got);
	for (ssize_t done = 0; done < said;) {
		ssize_t r = read(s, buf, sizeof(buf));

		CHECK(r > 0);
		for (ssize_t i = 0; i < r; i++)
			CHECK_EQ(buf[i], 'f');
		done += r;
	}
	/* The same addresses: the dead one first. */
	s = accept_one(same, &got);
	port = (unsigned)got;
	CHECK_EQ(port, own);
	CHECK_EQ(get(s, SO_ERROR), ECONNRESET);
	CHECK_EQ(read(s, &byte, 1), 1);
	CHECK_EQ(byte, '1');
	s = accept_one(same, &got);
	CHECK_EQ(got, (int)own);
	CHECK_EQ(read(s, &byte, 1), 1);
	CHECK_EQ(byte, '2');
	CHECK_EQ(write(s, "3", 1), 1);
	CHECK_EQ(read(second, &byte, 1), 1);
	/* Who comes now is told. */
	client(4004, 0);
	CHECK(!sigpending(&pending));
	CHECK_EQ(sigismember(&pending, SIGIO), 1);
	pass();
}
