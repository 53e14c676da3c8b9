// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lender WHAT: makes an object and forks; both processes keep it. The child, with a session of its own, writes its number into the
 * file "pid", and, when there is a file "go", whether the object is as it was into "verdict". The parent lets go of the object when there is
 * a file "release", says "released", and lives on.
 *
 *	pipe	both ends, with data	pipe-read	its read end; the write end is closed
 *	fifo	open for both, with data	fifo-path	as fifo; but the parent has only a path to it (O_PATH)
 *	listen	a TCP socket that listens	udp	bound	connected	one end of a TCP connection to itself
 *	unix	a listening socket	datagram	bound	pair	a socketpair	netlink	bound
 *	fresh	sockets without any address: nobody needs to know that they were one
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int held[2] = { -1, -1 };

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void say(const char *file, const char *word)
{
	FILE *f = fopen("new", "w");

	must(f && fputs(word, f) >= 0 && !fclose(f) && !rename("new", file), file);
}

static void wait_for(const char *file)
{
	while (access(file, F_OK))
		usleep(10000);
}

static int bound(int family, int type, const void *address, socklen_t len, int backlog)
{
	int s = socket(family, type, 0), one = 1;

	if (family == AF_INET && backlog)
		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(s >= 0 && !bind(s, address, len) && (!backlog || !listen(s, backlog)), "socket");
	return s;
}

static void make_inet(const char *what)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7321), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s;

	if (!strcmp(what, "udp")) {
		held[0] = bound(AF_INET, SOCK_DGRAM, &a, sizeof(a), 0);
		return;
	}
	s = bound(AF_INET, SOCK_STREAM, &a, sizeof(a), 3);
	held[0] = s;
	if (!strcmp(what, "listen"))
		return;
	held[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(!connect(held[0], (struct sockaddr *)&a, sizeof(a)) && (held[1] = accept(s, NULL, NULL)) >= 0, "connect");
	must(write(held[0], "data", 4) == 4, "write");
	close(s);
}

static void make(const char *what)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct sockaddr_nl port = { .nl_family = AF_NETLINK, .nl_pid = 7321 };

	must(snprintf(name.sun_path, sizeof(name.sun_path), "%cmine", 0) > 0, "name");
	if (!strncmp(what, "pipe", 4)) {
		must(!pipe(held) && write(held[1], "data", 4) == 4, "pipe");
		if (!strcmp(what, "pipe-read")) {
			close(held[1]);
			held[1] = -1;
		}
	} else if (!strncmp(what, "fifo", 4)) {
		must(!mkfifo("fifo", 0600) && (held[0] = open("fifo", O_RDWR)) >= 0 && write(held[0], "data", 4) == 4, "fifo");
	} else if (!strcmp(what, "unix")) {
		held[0] = bound(AF_UNIX, SOCK_STREAM, &name, 7, 3);
	} else if (!strcmp(what, "datagram")) {
		held[0] = bound(AF_UNIX, SOCK_DGRAM, &name, 7, 0);
	} else if (!strcmp(what, "pair")) {
		must(!socketpair(AF_UNIX, SOCK_STREAM, 0, held) && write(held[1], "data", 4) == 4, "pair");
	} else if (!strcmp(what, "netlink")) {
		held[0] = bound(AF_NETLINK, SOCK_RAW, &port, sizeof(port), 0);
	} else if (!strcmp(what, "fresh")) {
		held[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
		held[1] = socket(AF_INET, SOCK_STREAM, 0);
	} else {
		make_inet(what);
	}
}

static void child(const char *what)
{
	char buf[8];
	int data = !strncmp(what, "pipe", 4) || !strncmp(what, "fifo", 4) || !strcmp(what, "pair");
	FILE *f;

	must(setsid() > 0, "setsid");
	f = fopen("pid.new", "w");
	must(f && fprintf(f, "%d\n", getpid()) > 0 && !fclose(f) && !rename("pid.new", "pid"), "pid");
	wait_for("go");
	if (!strcmp(what, "connected"))
		must(read(held[1], buf, sizeof(buf)) == 4 && !memcmp(buf, "data", 4), "read of a connection");
	else if (data)
		must(read(held[0], buf, sizeof(buf)) == 4 && !memcmp(buf, "data", 4), "read");
	else
		must(fcntl(held[0], F_GETFL) >= 0, "fcntl");
	say("verdict", "pass\n");
	exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGCHLD, SIG_IGN); /* nothing is left of the child */
	make(what);
	if (!fork())
		child(what);
	if (!strcmp(what, "fifo-path")) {
		must(open("fifo", O_PATH) >= 0, "fifo");
		close(held[0]);
	}
	wait_for("release");
	close(held[0]);
	close(held[1]);
	say("released", "yes\n");
	for (;;)
		pause();
}
