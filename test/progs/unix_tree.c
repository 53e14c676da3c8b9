// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unix sockets between the processes of a tree: a server and its clients, some of them waiting; a pair whose ends are in two
 * processes; a descriptor on its way from one to another; datagrams of all to one.
 */
#include <sys/wait.h>

#include "unix.h"

enum { CHILDREN = 4 };

/* Each child has a connection, a pair with its parent, and a datagram socket. */
static _Noreturn void child(int i, int pair, int pipe_rd)
{
	char name[40], buf[16];
	int s = new_client(SOCK_STREAM, "server"), d = socket(AF_UNIX, SOCK_DGRAM, 0), fds[1];

	snprintf(name, sizeof(name), "client %d", i);
	if (i & 1)
		CHECK_EQ(write(s, name, strlen(name)), (ssize_t)strlen(name));
	CHECK(!link_to(d, "inbox"));
	CHECK_EQ(send(d, name, strlen(name), 0), (ssize_t)strlen(name));
	send_fds(pair, "up", 2, &d, 1);
	CHECK_EQ(write(pair, "ready", 5), 5);
	CHECK_EQ(read(pipe_rd, buf, 1), 1);
	if (!(i & 1))
		CHECK_EQ(write(s, name, strlen(name)), (ssize_t)strlen(name));
	CHECK_EQ(read(s, buf, sizeof(buf)), 2);
	check_fds(pair, 4, "down", fds, 1, "from above");
	CHECK_EQ(write(fds[0], buf, 2), 2);
	_exit(0);
}

int main(void)
{
	int server = new_listener(SOCK_STREAM, "server", 8), inbox = new_bound(SOCK_DGRAM, "inbox"), wake[2], pairs[CHILDREN],
	    conns[CHILDREN], fds[1], back[2], status;
	char buf[64], want[40];

	CHECK(!pipe(wake));
	for (int i = 0; i < CHILDREN; i++) {
		int p[2];
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, p));
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			child(i, p[1], wake[0]);
		close(p[1]);
		pairs[i] = p[0];
		/* One after the other, so that connections and clients have the same order. */
		while (recv(pairs[i], buf, 7, MSG_PEEK) < 2)
			;
		if (i < 2)
			conns[i] = accept(server, NULL, NULL);
	}
	conns[2] = accept(server, NULL, NULL);
	conns[3] = accept(server, NULL, NULL);
	CHECK(!pipe(back));
	int waits = fork();
	CHECK(waits >= 0);
	if (!waits) {
		int s = new_client(SOCK_STREAM, "server");
		CHECK_EQ(write(back[1], "w", 1), 1);
		close(back[1]);
		CHECK_EQ(read(s, buf, 5), 5);
		_exit(memcmp(buf, "hello", 5) != 0);
	}
	CHECK_EQ(read(back[0], buf, 1), 1);
	for (int i = 0; i < CHILDREN; i++)
		send_fds(pairs[i], "down", 4, &back[1], 1);

	test_ready();

	CHECK_EQ(write(wake[1], "1234", CHILDREN), CHILDREN);
	for (int i = 0; i < CHILDREN; i++) {
		snprintf(want, sizeof(want), "client %d", i);
		check_message(inbox, want, strlen(want), "inbox");
	}
	for (int i = 0; i < CHILDREN; i++) {
		snprintf(want, sizeof(want), "client %d", i);
		CHECK_EQ(read(conns[i], buf, sizeof(buf)), (ssize_t)strlen(want));
		CHECK(!memcmp(buf, want, strlen(want)));
		check_fds(pairs[i], 2, "up", fds, 1, "from below");
		CHECK_EQ(send(fds[0], "by its child's socket", 21, 0), 21);
		check_message(inbox, "by its child's socket", 21, "inbox");
		close(fds[0]);
		CHECK_EQ(write(conns[i], "ok", 2), 2);
	}
	for (int i = 0; i < CHILDREN; i++) {
		CHECK_EQ(read(back[0], buf, 2), 2);
		CHECK(!memcmp(buf, "ok", 2));
	}
	int last = accept(server, NULL, NULL);
	CHECK_EQ(write(last, "hello", 5), 5);
	for (int i = 0; i < CHILDREN + 1; i++) {
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	close(back[1]);
	CHECK_EQ(read(back[0], buf, 1), 0); /* nobody else has it */
	pass();
}
