// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What waits to be read: streams and packets with their borders, descriptors at their very byte, files that only a message holds,
 * pipes with one end in a message, sockets inside of sockets and inside of themselves, large queues, peeking.
 */
#include <sys/eventfd.h>

#include "unix.h"

static char big[150000];

/* One way goes the stream, the other way go descriptors with queues of their own. */
static int s[2], file;

/* A stream: descriptors come with their byte, not before and not after. */
static void make_stream(void)
{
	int v = 3;

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	file = open("file", O_RDWR | O_CREAT, 0600);
	int only = open("only", O_RDWR | O_CREAT | O_APPEND, 0600);
	CHECK_EQ(write(file, "content", 7), 7);
	CHECK_EQ(write(only, "only here", 9), 9);
	CHECK_EQ(lseek(only, 5, SEEK_SET), 5);
	CHECK_EQ(write(s[0], "before ", 7), 7);
	send_fds(s[0], "with two", 8, (int[]){ file, only }, 2);
	close(only);
	CHECK_EQ(write(s[0], " after", 6), 6);
	send_fds(s[0], "with one", 8, &file, 1);
	send_fds(s[0], "!", 1, &file, 1);
	CHECK(!setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof(v)));
}

static void check_stream(void)
{
	int fds[64], v;
	socklen_t len = sizeof(v);
	char buf[64];

	CHECK(!getsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, &len));
	CHECK_EQ(v, 3);
	CHECK_EQ(recv(s[1], buf, 4, MSG_PEEK), 4);
	CHECK(!memcmp(buf, "ore ", 4));
	check_fds(s[1], 7, "before ", fds, 0, "before");
	check_fds(s[1], 4, "with", fds, 2, "two");
	CHECK_EQ(lseek(fds[1], 0, SEEK_CUR), 5);
	CHECK_EQ(read(fds[1], buf, sizeof(buf)), 4);
	CHECK_EQ(fcntl(fds[1], F_GETFL), O_RDWR | O_APPEND | 0100000);
	CHECK_EQ(lseek(fds[0], 3, SEEK_SET), 3);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), 3); /* the same description */
	/* A read stops behind the message whose descriptors it took. */
	check_fds(s[1], 100, " two afterwith one", fds, 1, "glued");
	check_fds(s[1], 100, "!", fds, 1, "last");
}

/* Packets, one of them empty. */
static int seq[2];

static void make_packets(void)
{
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seq));
	CHECK_EQ(write(seq[0], "first", 5), 5);
	CHECK_EQ(send(seq[0], "", 0, 0), 0);
	int event = eventfd(77, 0);
	send_fds(seq[0], "event", 5, &event, 1);
	close(event);
	CHECK_EQ(write(seq[0], big, 100000), 100000);
}

static void check_packets(void)
{
	int event;
	uint64_t count;
	char buf;

	check_message(seq[1], "first", 5, "packet");
	check_message(seq[1], "", 0, "empty packet");
	check_fds(seq[1], 100, "event", &event, 1, "packet");
	CHECK_EQ(read(event, &count, 8), 8);
	CHECK_EQ(count, 77);
	check_message(seq[1], big, 100000, "large packet");
	CHECK(recv(seq[1], &buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

/* A pipe whose reading end is in a message. */
static int pipe_[2];

static void make_pipe(void)
{
	CHECK(!pipe(pipe_));
	CHECK_EQ(write(pipe_[1], "in the pipe", 11), 11);
	send_fds(s[1], "pipe", 4, &pipe_[0], 1);
	close(pipe_[0]);
}

static void check_pipe(void)
{
	int end;
	char buf[64];

	check_fds(s[0], 4, "pipe", &end, 1, "pipe");
	CHECK_EQ(read(end, buf, sizeof(buf)), 11);
	CHECK_EQ(write(pipe_[1], "on", 2), 2);
	CHECK_EQ(read(end, buf, sizeof(buf)), 2);
	close(end);
	CHECK(write(pipe_[1], "x", 1) < 0 && errno == EPIPE);
}

/* A pair in a message in a pair in a message, with data in all of them; behind the pipe. */
static void make_nest(void)
{
	int nest[2], inner[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, nest));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
	CHECK_EQ(write(inner[0], "innermost", 9), 9);
	send_fds(nest[0], "inner", 5, inner, 2);
	close(inner[0]);
	close(inner[1]);
	send_fds(s[1], "nest", 4, nest, 2);
	close(nest[0]);
	close(nest[1]);
}

static void check_nest(void)
{
	int nest[2], inner[2];

	check_fds(s[0], 4, "nest", nest, 2, "nest");
	check_fds(nest[1], 5, "inner", inner, 2, "inner");
	check_talk(nest[1], nest[0], "nest");
	check_message(inner[1], "innermost", 9, "inner");
	check_talk(inner[0], inner[1], "inner");
}

/* A socket in its own queue, and in that of its peer. */
static int self[2];

static void make_self(void)
{
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, self));
	send_fds(self[0], "self", 4, &self[1], 1);
	send_fds(self[0], "peer", 4, &self[0], 1);
}

static void is_same(int a, int b)
{
	struct stat sa, sb;

	CHECK(!fstat(a, &sa) && !fstat(b, &sb));
	CHECK_EQ(sa.st_ino, sb.st_ino);
}

static void check_self(void)
{
	int got, peer;

	check_fds(self[1], 4, "self", &got, 1, "self");
	is_same(got, self[1]);
	check_fds(got, 4, "peer", &peer, 1, "self");
	is_same(peer, self[0]);
}

/* The peer closed and left data unread: what it sent is there, and an error behind it. */
static int reset[2];

static void make_reset(void)
{
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, reset));
	CHECK_EQ(write(reset[1], "sent", 4), 4);
	CHECK_EQ(write(reset[0], "unread", 6), 6);
	close(reset[1]);
}

static void check_reset(void)
{
	char buf;

	check_message(reset[0], "sent", 4, "reset");
	CHECK(recv(reset[0], &buf, 1, 0) < 0 && errno == ECONNRESET);
	CHECK_EQ(recv(reset[0], &buf, 1, 0), 0);
}

/* More than a default buffer, and more than the buffer that there is in the end. */
static struct { int s[2], size; } large;

static void make_large(void)
{
	int size = 4 << 20;
	socklen_t len = sizeof(large.size);

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, large.s));
	CHECK(!setsockopt(large.s[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)));
	for (int i = 0; i < 12; i++)
		CHECK_EQ(send(large.s[0], big, sizeof(big), MSG_DONTWAIT), (ssize_t)sizeof(big));
	size = 10000;
	CHECK(!setsockopt(large.s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	CHECK(!getsockopt(large.s[0], SOL_SOCKET, SO_SNDBUF, &large.size, &len));
}

static void check_large(void)
{
	static char got[sizeof(big)];
	int v;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(large.s[0], SOL_SOCKET, SO_SNDBUF, &v, &len));
	CHECK_EQ(v, large.size);
	for (int i = 0; i < 12; i++) {
		CHECK_EQ(recv(large.s[1], got, sizeof(got), MSG_WAITALL), (ssize_t)sizeof(got));
		CHECK(!memcmp(got, big, sizeof(got)));
	}
	CHECK(recv(large.s[1], got, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

/* Half closed with descriptors left. */
static int end[2];

static void make_half_closed(void)
{
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, end));
	send_fds(end[0], "bye", 3, &file, 1);
	CHECK(!shutdown(end[0], SHUT_WR));
}

static void check_half_closed(void)
{
	int got;
	char buf;

	check_fds(end[1], 9, "bye", &got, 1, "half closed");
	CHECK_EQ(recv(end[1], &buf, 1, 0), 0);
}

/* Empty messages: before all others, several, alone, with a descriptor, and before the end of a connection. */
static int none[2], one_by_one[2], alone[2], ended[2], nothing[2];

static void make_empty(void)
{
	int event = eventfd(78, 0);

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, none));
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, one_by_one));
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, alone));
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ended));
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, nothing));
	CHECK_EQ(send(none[0], "", 0, 0), 0);
	CHECK_EQ(send(none[0], "1", 1, 0), 1);
	CHECK_EQ(send(none[0], "", 0, 0), 0);
	CHECK_EQ(send(none[0], "", 0, 0), 0);
	send_fds(one_by_one[0], "", 0, &event, 1);
	CHECK_EQ(send(one_by_one[0], "", 0, 0), 0);
	CHECK_EQ(send(one_by_one[0], "", 0, 0), 0);
	CHECK_EQ(send(one_by_one[0], "2", 1, 0), 1);
	CHECK_EQ(send(alone[0], "", 0, 0), 0);
	CHECK_EQ(send(ended[0], "", 0, 0), 0);
	CHECK_EQ(send(ended[0], "3", 1, 0), 1);
	CHECK_EQ(send(ended[0], "", 0, 0), 0);
	close(ended[0]);
	close(nothing[0]);
	close(event);
}

static void check_empty(void)
{
	char buf[9];
	int event, on = -1;
	socklen_t len = sizeof(on);

	check_message(none[1], "", 0, "first, empty");
	check_message(none[1], "1", 1, "behind an empty one");
	check_message(none[1], "", 0, "empty, third");
	check_message(none[1], "", 0, "empty, last");
	CHECK(recv(none[1], buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check_fds(one_by_one[1], 0, "", &event, 1, "empty with a descriptor");
	close(event);
	check_message(one_by_one[1], "", 0, "empty datagram");
	check_message(one_by_one[1], "", 0, "empty datagram again");
	check_message(one_by_one[1], "2", 1, "datagram behind empty ones");
	CHECK(recv(one_by_one[1], buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check_message(alone[1], "", 0, "empty datagram alone");
	CHECK(recv(alone[1], buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	/* The end looks like an empty packet, too: but not to who asks for credentials. */
	CHECK(!getsockopt(ended[1], SOL_SOCKET, SO_PASSCRED, &on, &len));
	CHECK_EQ(on, 0);
	on = 1;
	CHECK(!setsockopt(ended[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	for (int i = 0; i < 4; i++) {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct iovec v = { buf, sizeof(buf) };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
		CHECK_EQ(recvmsg(ended[1], &m, MSG_DONTWAIT), i == 1);
		CHECK_EQ(m.msg_controllen > 0, i < 3);
	}
	CHECK_EQ(recv(nothing[1], buf, 1, MSG_DONTWAIT), 0);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	memset(big, 'x', sizeof(big));
	make_stream();
	make_packets();
	make_pipe();
	make_nest();
	make_self();
	make_reset();
	make_large();
	make_half_closed();
	make_empty();

	test_ready();

	check_stream();
	check_packets();
	check_pipe();
	check_nest();
	check_self();
	check_reset();
	check_large();
	check_half_closed();
	check_empty();
	pass();
}
