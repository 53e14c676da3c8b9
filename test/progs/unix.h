/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of unix sockets share. */
#ifndef TEST_UNIX_H
#define TEST_UNIX_H

#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "test.h"

#define MIN_(a, b) ((a) < (b) ? (a) : (b))

/* A path, or an abstract name when it begins with '@': then the directory's inode is part of it, for tests share a network. */
__attribute__((unused)) static socklen_t name_of(const char *name, struct sockaddr_un *a)
{
	char whole[sizeof(a->sun_path) + 1] = { 0 };
	struct stat st;
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (*name == '@' && stat(test_dir_, &st))
		fail("cannot stat %s", test_dir_);
	if (*name == '@')
		snprintf(whole, sizeof(whole), "%s %lx %lx", name, (unsigned long)st.st_dev, (unsigned long)st.st_ino);
	else
		memcpy(whole, name, strlen(name));
	size_t n = strlen(whole);
	memcpy(a->sun_path, whole, n);
	if (*name == '@')
		a->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*name != '@' && n < sizeof(a->sun_path)));
}

__attribute__((unused)) static int new_bound(int type, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = name_of(name, &a);
	int s = socket(AF_UNIX, type, 0);
	CHECK(s >= 0);
	CHECK(!bind(s, (struct sockaddr *)&a, len));
	return s;
}

__attribute__((unused)) static int new_listener(int type, const char *name, int backlog)
{
	int s = new_bound(type, name);
	CHECK(!listen(s, backlog));
	return s;
}

__attribute__((unused)) static int link_to(int s, const char *name)
{
	struct sockaddr_un a;
	socklen_t len = name_of(name, &a);
	return connect(s, (struct sockaddr *)&a, len);
}

__attribute__((unused)) static int new_client(int type, const char *name)
{
	int s = socket(AF_UNIX, type, 0);
	CHECK(s >= 0);
	CHECK(!link_to(s, name));
	return s;
}

__attribute__((unused)) static void check_address(const struct sockaddr_un *a, socklen_t len, const char *name, const char *where)
{
	struct sockaddr_un want;
	socklen_t n = *name ? name_of(name, &want) : (socklen_t)sizeof(sa_family_t);
	if (n == sizeof(want)) /* the kernel adds the NUL */
		n++;
	if (len != n && !(!*name && !len))
		fail("%s: name of %u bytes, not %u (%s)", where, len, n, name);
	if (*name && memcmp(a->sun_path, want.sun_path, MIN_((size_t)n, sizeof(want)) - offsetof(struct sockaddr_un, sun_path)))
		fail("%s: another name than %s", where, name);
}

__attribute__((unused)) static void check_name(int s, const char *name, const char *where)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	CHECK(!getsockname(s, (struct sockaddr *)&a, &len));
	check_address(&a, len, name, where);
}

__attribute__((unused)) static void check_peer_name(int s, const char *name, const char *where)
{
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	CHECK(!getpeername(s, (struct sockaddr *)&a, &len));
	check_address(&a, len, name, where);
}

/* What is written to a arrives at b, and the other way. */
__attribute__((unused)) static void check_talk(int a, int b, const char *where)
{
	char buf[16];
	if (send(a, "ping", 4, MSG_NOSIGNAL) != 4 || recv(b, buf, sizeof(buf), MSG_DONTWAIT) != 4 || memcmp(buf, "ping", 4) ||
	    send(b, "pong", 4, MSG_NOSIGNAL) != 4 || recv(a, buf, sizeof(buf), MSG_DONTWAIT) != 4 || memcmp(buf, "pong", 4))
		fail("%s: the two ends do not talk to each other (%s)", where, strerror(errno));
}

/* A new connection, which waits behind no other. */
__attribute__((unused)) static void check_reach(int listener, const char *name, const char *where)
{
	int a = socket(AF_UNIX, SOCK_STREAM, 0);
	if (link_to(a, name))
		fail("%s: cannot connect to %s (%s)", where, name, strerror(errno));
	int b = accept(listener, NULL, NULL);
	check_talk(a, b, where);
	close(a);
	close(b);
}

/* The next message is exactly this. */
__attribute__((unused)) static void check_message(int s, const void *want, size_t n, const char *where)
{
	static char buf[1 << 20];
	ssize_t got = recv(s, buf, sizeof(buf), MSG_DONTWAIT);
	if (got != (ssize_t)n || (n && memcmp(buf, want, n)))
		fail("%s: a message of %zd bytes, not of %zu (%s)", where, got, n, got < 0 ? strerror(errno) : "");
}

__attribute__((unused)) static void send_fds(int s, const void *bytes, size_t n, const int *fds, size_t nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = CMSG_SPACE(nfds * sizeof(int)) };
	struct cmsghdr *c = (void *)control;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	CHECK_EQ(sendmsg(s, &msg, MSG_DONTWAIT), (ssize_t)n);
}

/* The next read of at most n bytes gives `bytes` and so many descriptors. */
__attribute__((unused)) static void check_fds(int s, size_t n, const char *bytes, int *fds, size_t nfds, const char *where)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
	char buf[256];
	struct iovec iov = { buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(s, &msg, MSG_DONTWAIT);
	size_t have = 0;
	for (struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_type == SCM_RIGHTS) {
			have = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), have * sizeof(int));
		}
	if (got != (ssize_t)strlen(bytes) || memcmp(buf, bytes, strlen(bytes)) || have != nfds)
		fail("%s: %zd bytes with %zu descriptors, not %zu with %zu (%s)", where, got, have, strlen(bytes), nfds,
		     strerror(errno));
}

#endif
