// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that nobody has accepted yet, on which something was sent: by several writes, more than fits into a page, from pages of a
 * file, by a child, and then shut down or closed; packets with their borders; who sent it; and one without anything between them.
 */
#include <grp.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "unix.h"

enum { LARGE = 200000 };

static char big[LARGE], got[LARGE + 1];

static void ask(int s)
{
	const int one = 1;

	CHECK(!setsockopt(s, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
}

static int come(int listener)
{
	const int s = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	if (s < 0)
		fail("nobody waits any more (%s)", strerror(errno));
	return s;
}

/* All of it, until there is no more; `ends`: then its end. */
static void hears_all(int s, const char *want, size_t n, bool ends, const char *where)
{
	size_t have = 0;
	ssize_t k;

	while ((k = read(s, got + have, sizeof(got) - have)) > 0)
		have += (size_t)k;
	if (have != n || memcmp(got, want, n))
		fail("%s: %zu bytes, or others, not %zu", where, have, n);
	if (ends ? k : k >= 0 || errno != EAGAIN)
		fail("%s: it %s", where, ends ? "does not end" : "ends");
}

/* The next message, and who sent it. */
static void hears(int s, const char *text, pid_t pid, uid_t uid)
{
	_Alignas(struct cmsghdr) char control[256];
	char buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	const ssize_t n = recvmsg(s, &msg, MSG_DONTWAIT);
	struct ucred u = { 0 };

	if (n != (ssize_t)strlen(text) || memcmp(buf, text, (size_t)n))
		fail("not \"%s\" (%zd, %s)", text, n, strerror(errno));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&u, CMSG_DATA(c), sizeof(u));
	if (u.pid != pid || u.uid != uid)
		fail("\"%s\" is from process %d of user %u, not from %d of %u", text, u.pid, u.uid, pid, uid);
}

static int large_client(void)
{
	const int c = socket(AF_UNIX, SOCK_STREAM, 0), room = 4 * LARGE;

	CHECK(!setsockopt(c, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)));
	CHECK(!link_to(c, "stream"));
	CHECK_EQ(send(c, big, LARGE, MSG_DONTWAIT), LARGE);
	return c;
}

/* Pages of a file, not copies of them. */
static int file_client(void)
{
	const int c = new_client(SOCK_STREAM, "stream"), f = open("content", O_RDWR | O_CREAT, 0600);
	off_t from = 100;

	CHECK_EQ(write(f, big, 20000), 20000);
	CHECK_EQ(sendfile(c, f, &from, 10000), 10000);
	close(f);
	return c;
}

struct child { pid_t pid; int up[2], down[2]; };

/* Connects, sends, shuts down what it has sent on, and is there after the restore. */
static void begin_child(struct child *c)
{
	char byte;

	CHECK(!pipe(c->up) && !pipe(c->down));
	c->pid = fork();
	CHECK(c->pid >= 0);
	if (c->pid) {
		CHECK_EQ(read(c->up[0], &byte, 1), 1);
		return;
	}
	const int s = new_client(SOCK_STREAM, "stream"), packets = new_client(SOCK_SEQPACKET, "packets");
	CHECK(!setresuid(1234, -1, -1));
	CHECK_EQ(write(packets, "child", 5), 5);
	CHECK(!setresuid(0, -1, -1));
	CHECK_EQ(write(s, "from a child", 12), 12);
	CHECK(!shutdown(s, SHUT_WR));
	CHECK_EQ(write(c->up[1], "x", 1), 1);
	CHECK_EQ(read(c->down[0], &byte, 1), 1);
	_exit(read(s, got, sizeof(got)) == 6 && !memcmp(got, "answer", 6) ? 0 : 1);
}

/* A packet and the end, from who has three groups and another effective group for the moment. */
static void close_client(const char *text, gid_t gid)
{
	const gid_t groups[] = { 5, 6, 7 };
	const int c = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	CHECK(!setgroups(3, groups) && !setegid(gid) && !link_to(c, "packets") && !setegid(0) && !setgroups(0, NULL));
	CHECK_EQ(write(c, text, strlen(text)), (ssize_t)strlen(text));
	CHECK(!close(c));
}

/* Whom an accepted socket shows. */
static void shows(int s, pid_t pid, gid_t gid, size_t ngroups)
{
	struct ucred u;
	gid_t groups[8];
	socklen_t len = sizeof(u), glen = sizeof(groups);

	CHECK(!getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len) && !getsockopt(s, SOL_SOCKET, SO_PEERGROUPS, groups, &glen));
	if (u.pid != pid || u.gid != gid || glen != ngroups * sizeof(*groups) || (glen && groups[2] != 7))
		fail("it shows process %d of group %u and %zu more, not %d, %u and %zu", u.pid, u.gid, glen / sizeof(*groups), pid, gid,
		     ngroups);
}

int main(void)
{
	struct child child;
	int status, value;
	socklen_t len = sizeof(value);

	for (size_t i = 0; i < LARGE; i++)
		big[i] = (char)(i * 31 ^ i >> 9);
	const int stream = new_listener(SOCK_STREAM, "stream", 9), packets = new_listener(SOCK_SEQPACKET, "packets", 5);
	ask(packets);
	CHECK(!setgroups(0, NULL));

	const int several = new_client(SOCK_STREAM, "stream");
	CHECK_EQ(write(several, "one ", 4), 4);
	CHECK_EQ(write(several, "two ", 4), 4);
	CHECK_EQ(write(several, "three", 5), 5);
	const int large = large_client();
	begin_child(&child);
	const int silent = new_client(SOCK_STREAM, "stream"), file = file_client(), both = new_client(SOCK_STREAM, "stream");
	CHECK_EQ(write(both, "no more", 7), 7);
	CHECK(!shutdown(both, SHUT_RDWR));
	const int closed = new_client(SOCK_STREAM, "stream"), mute = new_client(SOCK_STREAM, "stream"), last = new_client(SOCK_STREAM, "stream");
	CHECK_EQ(write(closed, "first ", 6), 6);
	CHECK_EQ(write(closed, big, 3000), 3000);
	CHECK_EQ(write(last, "last", 4), 4);
	CHECK(!close(closed) && !close(mute));
	const int seq = new_client(SOCK_SEQPACKET, "packets");
	CHECK_EQ(write(seq, "first", 5), 5);
	CHECK_EQ(send(seq, "", 0, 0), 0);
	CHECK_EQ(write(seq, "third", 5), 5);
	close_client("last words", 1234);

	test_ready();

	CHECK(!getsockopt(large, SOL_SOCKET, SO_SNDBUF, &value, &len));
	CHECK_EQ(value, 8 * LARGE);
	int s = come(stream);
	hears_all(s, "one two three", 13, false, "several writes");
	check_talk(several, s, "several writes");
	s = come(stream);
	hears_all(s, big, LARGE, false, "a large one");
	check_talk(large, s, "a large one");
	s = come(stream);
	ask(s);
	hears(s, "from a child", child.pid, 0);
	hears_all(s, "", 0, true, "a child");
	CHECK_EQ(write(s, "answer", 6), 6);
	CHECK_EQ(write(child.down[1], "x", 1), 1);
	CHECK(waitpid(child.pid, &status, 0) == child.pid && !status);
	s = come(stream);
	hears_all(s, "", 0, false, "one that is silent");
	check_talk(silent, s, "one that is silent");
	s = come(stream);
	hears_all(s, big + 100, 10000, false, "a file");
	check_talk(file, s, "a file");
	s = come(stream);
	hears_all(s, "no more", 7, true, "shut down");
	CHECK(send(s, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	s = come(stream);
	memmove(big + 6, big, 3000);
	memcpy(big, "first ", 6);
	hears_all(s, big, 3006, true, "closed");
	shows(s, getpid(), 0, 0);
	s = come(stream);
	hears_all(s, "", 0, true, "closed without a word");
	s = come(stream);
	hears_all(s, "last", 4, false, "behind the closed ones");
	check_talk(last, s, "behind the closed ones");
	CHECK(!fcntl(stream, F_SETFL, O_NONBLOCK) && accept(stream, NULL, NULL) < 0 && errno == EAGAIN);

	s = come(packets);
	hears(s, "child", child.pid, 1234);
	s = come(packets);
	hears(s, "first", getpid(), 0);
	hears(s, "", getpid(), 0);
	hears(s, "third", getpid(), 0);
	check_talk(seq, s, "packets");
	s = come(packets);
	shows(s, getpid(), 1234, 3);
	hears(s, "last words", getpid(), 0);
	CHECK_EQ(recv(s, got, sizeof(got), 0), 0);
	pass();
}
