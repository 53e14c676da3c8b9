// SPDX-License-Identifier: GPL-2.0-or-later
/* Credentials on their way: of the process itself and of its child, by request and on their own, with descriptors, by connection and by name. */
#include <sys/wait.h>

#include "unix.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

static void pass_credentials(int s)
{
	const int one = 1;
	CHECK(!setsockopt(s, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
}

static void send_as(int s, const char *text, uid_t uid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = (void *)control;
	struct ucred u = { getpid(), uid, 77 };
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(u));
	memcpy(CMSG_DATA(c), &u, sizeof(u));
	CHECK_EQ(sendmsg(s, &msg, 0), (ssize_t)strlen(text));
}

/* The next message, who sent it, and how many descriptors it holds. */
static void hears(int s, const char *text, pid_t pid, uid_t uid, gid_t gid, size_t fds)
{
	_Alignas(struct cmsghdr) char control[1024];
	char buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(s, &msg, MSG_DONTWAIT);
	struct ucred u = { 0 };
	size_t have = 0;
	if (n != (ssize_t)strlen(text) || memcmp(buf, text, strlen(text)))
		fail("\"%.*s\", not \"%s\" (%s)", n > 0 ? (int)n : 0, buf, text, strerror(errno));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_type == SCM_CREDENTIALS)
			memcpy(&u, CMSG_DATA(c), sizeof(u));
		if (c->cmsg_type == SCM_RIGHTS)
			have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (c->cmsg_type == SCM_PIDFD) {
			int pidfd;
			memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
			CHECK(pidfd >= 0);
		}
	}
	if (u.pid != pid || u.uid != uid || u.gid != gid || have != fds)
		fail("\"%s\" is from pid %d, uid %u, gid %u with %zu descriptors, not from %d, %u, %u with %zu", text, u.pid, u.uid,
		     u.gid, have, pid, uid, gid, fds);
}

int main(void)
{
	int stream[2], seq[2], inbox = new_bound(SOCK_DGRAM, "inbox"), old[2], up[2], wait_[2], status, one = 1;
	char c;
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, seq));
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, old));
	CHECK(!pipe(up) && !pipe(wait_));
	CHECK_EQ(write(old[0], "before", 6), 6); /* nobody asked yet */
	pass_credentials(old[1]);
	CHECK_EQ(write(old[0], "after", 5), 5);
	pass_credentials(stream[1]);
	pass_credentials(seq[1]);
	pass_credentials(inbox);
	CHECK(!setsockopt(seq[1], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one)) || errno == ENOPROTOOPT);

	CHECK_EQ(write(stream[0], "parent", 6), 6);
	pid_t child = fork();
	CHECK(child >= 0);
	if (!child) {
		int s = new_client(SOCK_DGRAM, "inbox");
		CHECK(!setgid(2000) && !setuid(1000));
		CHECK_EQ(write(stream[0], "child", 5), 5);
		CHECK_EQ(write(seq[0], "packet", 6), 6);
		CHECK_EQ(write(s, "datagram", 8), 8);
		CHECK_EQ(write(up[1], "u", 1), 1);
		CHECK_EQ(read(wait_[0], &c, 1), 1);
		_exit(0);
	}
	CHECK_EQ(read(up[0], &c, 1), 1);
	send_as(stream[0], "somebody", 4242);
	send_fds(stream[0], "descriptor", 10, &stream[0], 1);
	int named = new_bound(SOCK_DGRAM, "named");
	CHECK(!link_to(named, "inbox"));
	CHECK_EQ(write(named, "by name", 7), 7);
	CHECK_EQ(write(seq[0], "last", 4), 4);
	CHECK(!shutdown(seq[0], SHUT_WR));

	/* Ends that are gone by now, of connections in both directions. */
	int door = new_listener(SOCK_STREAM, "door", 2), asks[2], serves[2];
	for (int i = 0; i < 2; i++) {
		asks[i] = new_client(SOCK_STREAM, "door");
		serves[i] = accept(door, NULL, NULL);
		CHECK(serves[i] >= 0);
	}
	pass_credentials(serves[0]);
	pass_credentials(asks[1]);
	CHECK_EQ(write(asks[0], "asked", 5), 5);
	CHECK_EQ(write(serves[1], "served", 6), 6);
	close(asks[0]);
	close(serves[1]);

	test_ready();

	pid_t self = getpid();
	hears(stream[1], "parent", self, 0, 0, 0);
	hears(stream[1], "child", child, 1000, 2000, 0);
	hears(stream[1], "somebody", self, 4242, 77, 0);
	hears(stream[1], "descriptor", self, 0, 0, 1);
	hears(seq[1], "packet", child, 1000, 2000, 0);
	hears(seq[1], "last", self, 0, 0, 0);
	CHECK_EQ(recv(seq[1], &c, 1, 0), 0);
	hears(inbox, "datagram", child, 1000, 2000, 0);
	hears(inbox, "by name", self, 0, 0, 0);
	hears(old[1], "before", 0, 65534, 65534, 0);
	hears(old[1], "after", self, 0, 0, 0);
	hears(serves[0], "asked", self, 0, 0, 0);
	CHECK_EQ(recv(serves[0], &c, 1, MSG_DONTWAIT), 0);
	hears(asks[1], "served", self, 0, 0, 0);
	CHECK_EQ(recv(asks[1], &c, 1, MSG_DONTWAIT), 0);
	/* And those to come. */
	CHECK_EQ(write(stream[0], "new", 3), 3);
	hears(stream[1], "new", self, 0, 0, 0);
	CHECK_EQ(write(wait_[1], "g", 1), 1);
	CHECK_EQ(wait(&status), child);
	CHECK_EQ(status, 0);
	pass();
}
