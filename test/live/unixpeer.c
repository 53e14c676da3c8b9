/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unixpeer WHAT NAME: one end of a unix socket in all kinds of states; says "ready" in a file and lives on.
 *
 *	dgram-server	answers each datagram with what it got	stream-server	echoes on every connection
 *	dgram-client	sends "ping" to NAME once in a while and counts the answers in the file "count"
 *	stream-client	the same over a connection		listener	listens on NAME and accepts nobody
 *	early		listens, connects to itself, and writes before it accepts
 *	urgent		a pair with an out-of-band byte that waits
 *	given		a child has a pair that its maker, who lives on, made; says its pid, and on "go" whether the pair is as it was
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static void ready(void)
{
	FILE *f = fopen("ready", "w");

	must(f && !fclose(f), "ready");
}

static socklen_t name_of(const char *name, struct sockaddr_un *a)
{
	size_t n = strlen(name);

	must(n < sizeof(a->sun_path), "name");
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(a->sun_path, name, n + 1);
	if (*name == '@')
		a->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*name != '@'));
}

static void count(unsigned long n)
{
	char text[32];
	FILE *f = fopen("count.new", "w");

	snprintf(text, sizeof(text), "%lu\n", n);
	must(f && fputs(text, f) >= 0 && !fclose(f) && !rename("count.new", "count"), "count");
}

static void serve(int type, const struct sockaddr_un *a, socklen_t len)
{
	struct pollfd v[8] = { { .fd = socket(AF_UNIX, type, 0), .events = POLLIN } };
	int n = 1;
	char buf[64];

	must(!bind(v[0].fd, (const struct sockaddr *)a, len), "bind");
	must(type == SOCK_DGRAM || !listen(v[0].fd, 8), "listen");
	ready();
	for (;;) {
		struct sockaddr_un from;
		socklen_t flen = sizeof(from);

		must(poll(v, (nfds_t)n, -1) > 0 || errno == EINTR, "poll");
		if (type == SOCK_DGRAM) {
			ssize_t got = recvfrom(v[0].fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &flen);
			if (got > 0)
				sendto(v[0].fd, buf, (size_t)got, 0, (struct sockaddr *)&from, flen);
			continue;
		}
		if (v[0].revents && n < 8) {
			v[n] = (struct pollfd){ .fd = accept(v[0].fd, NULL, NULL), .events = POLLIN };
			n++;
		}
		for (int i = 1; i < n; i++) {
			ssize_t got = v[i].revents ? read(v[i].fd, buf, sizeof(buf)) : 0;
			if (got > 0)
				must(write(v[i].fd, buf, (size_t)got) == got, "write");
			else if (v[i].revents)
				close(v[i].fd), v[i] = v[--n];
		}
	}
}

static void ask(int type, const struct sockaddr_un *a, socklen_t len)
{
	char path[200];
	must(getcwd(path, sizeof(path) - 8) != NULL, "getcwd"); /* the server is elsewhere */
	struct sockaddr_un own;
	socklen_t own_len = name_of(strcat(path, "/client"), &own);
	int s = socket(AF_UNIX, type, 0);
	char buf[8];

	if (type == SOCK_DGRAM)
		must(!bind(s, (struct sockaddr *)&own, own_len), "bind");
	must(!connect(s, (const struct sockaddr *)a, len), "connect");
	for (unsigned long n = 1;; n++) {
		must(send(s, "ping", 4, 0) == 4, "send");
		must(recv(s, buf, sizeof(buf), 0) == 4, "recv");
		count(n);
		if (n == 1)
			ready();
		usleep(20000);
	}
}

static void given(void)
{
	struct ucred u = { 0 };
	socklen_t len = sizeof(u);
	char buf[8];
	int fds[2];
	FILE *f;

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
	signal(SIGCHLD, SIG_IGN); /* nothing is left of it */
	if (fork()) {
		close(fds[0]);
		close(fds[1]);
		return;
	}
	must(setsid() > 0 && write(fds[0], "queued", 6) == 6, "write");
	f = fopen("pid", "w");
	must(f && fprintf(f, "%d\n", getpid()) > 0 && !fclose(f), "pid");
	while (access("go", F_OK))
		usleep(10000);
	must(read(fds[1], buf, sizeof(buf)) == 6 && !memcmp(buf, "queued", 6), "read");
	must(!getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &u, &len) && u.uid == getuid() && u.gid == getgid(), "SO_PEERCRED");
	f = fopen("verdict", "w");
	must(f && fputs("pass\n", f) >= 0 && !fclose(f), "verdict");
	exit(0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *name = argc > 2 ? argv[2] : "";
	struct sockaddr_un a;
	socklen_t len = name_of(name, &a);
	int dgram = !strncmp(what, "dgram", 5), fds[2];

	if (strstr(what, "-server"))
		serve(dgram ? SOCK_DGRAM : SOCK_STREAM, &a, len);
	if (strstr(what, "-client"))
		ask(dgram ? SOCK_DGRAM : SOCK_STREAM, &a, len);
	if (!strcmp(what, "given")) {
		given();
	} else if (!strcmp(what, "urgent")) {
		must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
		must(send(fds[0], "ab", 2, MSG_OOB) == 2, "send");
	} else {
		int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
		must(!bind(s, (struct sockaddr *)&a, len) && !listen(s, 3), "listen");
		if (!strcmp(what, "early"))
			must(!connect(c, (struct sockaddr *)&a, len) && write(c, "early", 5) == 5, "early");
	}
	ready();
	for (;;)
		pause();
}
