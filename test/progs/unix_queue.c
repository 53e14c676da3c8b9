// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What waits to be read: streams and packets with their borders, descriptors at their very byte, files that only a message holds,
 * pipes with one end in a message, sockets inside of sockets and inside of themselves, large queues, peeking.
 */
#include <sys/eventfd.h>

#include "unix.h"

int main(void)
{
	static char big[150000];
	int s[2], seq[2], inner[2], pipe_[2], nest[2], self[2], fds[64], reset[2], large[2], end[2], v = 5, c1, c2;
	struct stat st;
	socklen_t len = sizeof(v);

	signal(SIGPIPE, SIG_IGN);
	/* A stream: descriptors come with their byte, not before and not after. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int file = open("file", O_RDWR | O_CREAT, 0600), only = open("only", O_RDWR | O_CREAT | O_APPEND, 0600);
	CHECK_EQ(write(file, "content", 7), 7);
	CHECK_EQ(write(only, "only here", 9), 9);
	CHECK_EQ(lseek(only, 5, SEEK_SET), 5);
	CHECK_EQ(write(s[0], "before ", 7), 7);
	send_fds(s[0], "with two", 8, (int[]){ file, only }, 2);
	close(only);
	CHECK_EQ(write(s[0], " after", 6), 6);
	send_fds(s[0], "with one", 8, &file, 1);
	send_fds(s[0], "!", 1, &file, 1);
	/* Packets, one of them empty. */
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seq));
	CHECK_EQ(write(seq[0], "first", 5), 5);
	CHECK_EQ(send(seq[0], "", 0, 0), 0);
	int event = eventfd(77, 0);
	send_fds(seq[0], "event", 5, &event, 1);
	close(event);
	memset(big, 'x', sizeof(big));
	CHECK_EQ(write(seq[0], big, 100000), 100000);
	/* A pipe whose reading end is in a message. */
	CHECK(!pipe(pipe_));
	CHECK_EQ(write(pipe_[1], "in the pipe", 11), 11);
	send_fds(s[1], "pipe", 4, &pipe_[0], 1);
	close(pipe_[0]);
	/* A pair in a message in a pair in a message, with data in all of them. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, nest));
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, inner));
	CHECK_EQ(write(inner[0], "innermost", 9), 9);
	send_fds(nest[0], "inner", 5, inner, 2);
	close(inner[0]);
	close(inner[1]);
	send_fds(s[1], "nest", 4, nest, 2);
	close(nest[0]);
	close(nest[1]);
	/* A socket in its own queue, and in that of its peer. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, self));
	send_fds(self[0], "self", 4, &self[1], 1);
	send_fds(self[0], "peer", 4, &self[0], 1);
	/* The peer closed and left data unread: what it sent is there, and an error behind it. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, reset));
	CHECK_EQ(write(reset[1], "sent", 4), 4);
	CHECK_EQ(write(reset[0], "unread", 6), 6);
	close(reset[1]);
	/* More than a default buffer. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, large));
	int size = 4 << 20, was;
	CHECK(!setsockopt(large[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)));
	for (int i = 0; i < 12; i++)
		CHECK_EQ(send(large[0], big, sizeof(big), MSG_DONTWAIT), (ssize_t)sizeof(big));
	size = 10000;
	CHECK(!setsockopt(large[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	CHECK(!getsockopt(large[0], SOL_SOCKET, SO_SNDBUF, &was, &len));
	/* Half closed with descriptors left. */
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, end));
	send_fds(end[0], "bye", 3, &file, 1);
	CHECK(!shutdown(end[0], SHUT_WR));
	v = 3;
	CHECK(!setsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, sizeof(v)));

	test_ready();

	CHECK(!getsockopt(s[1], SOL_SOCKET, SO_PEEK_OFF, &v, &len));
	CHECK_EQ(v, 3);
	char buf[64];
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
	check_message(seq[1], "first", 5, "packet");
	check_message(seq[1], "", 0, "empty packet");
	check_fds(seq[1], 100, "event", fds, 1, "packet");
	uint64_t count;
	CHECK_EQ(read(fds[0], &count, 8), 8);
	CHECK_EQ(count, 77);
	check_message(seq[1], big, 100000, "large packet");
	CHECK(recv(seq[1], buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check_fds(s[0], 4, "pipe", fds, 1, "pipe");
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 11);
	CHECK_EQ(write(pipe_[1], "on", 2), 2);
	CHECK_EQ(read(fds[0], buf, sizeof(buf)), 2);
	close(fds[0]);
	CHECK(write(pipe_[1], "x", 1) < 0 && errno == EPIPE);
	check_fds(s[0], 4, "nest", fds, 2, "nest");
	c1 = fds[0], c2 = fds[1];
	check_fds(c2, 5, "inner", fds, 2, "inner");
	check_talk(c2, c1, "nest");
	check_message(fds[1], "innermost", 9, "inner");
	check_talk(fds[0], fds[1], "inner");
	check_fds(self[1], 4, "self", fds, 1, "self");
	CHECK(!fstat(fds[0], &st));
	ino_t ino = st.st_ino;
	CHECK(!fstat(self[1], &st) && st.st_ino == ino);
	check_fds(fds[0], 4, "peer", fds, 1, "self");
	CHECK(!fstat(fds[0], &st));
	ino = st.st_ino;
	CHECK(!fstat(self[0], &st) && st.st_ino == ino);
	check_message(reset[0], "sent", 4, "reset");
	CHECK(recv(reset[0], buf, 1, 0) < 0 && errno == ECONNRESET);
	CHECK_EQ(recv(reset[0], buf, 1, 0), 0);
	CHECK(!getsockopt(large[0], SOL_SOCKET, SO_SNDBUF, &v, &len));
	CHECK_EQ(v, was);
	for (int i = 0; i < 12; i++) {
		static char got[sizeof(big)];
		CHECK_EQ(recv(large[1], got, sizeof(got), MSG_WAITALL), (ssize_t)sizeof(got));
		CHECK(!memcmp(got, big, sizeof(got)));
	}
	CHECK(recv(large[1], buf, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	check_fds(end[1], 9, "bye", fds, 1, "half closed");
	CHECK_EQ(recv(end[1], buf, 1, 0), 0);
	pass();
}
