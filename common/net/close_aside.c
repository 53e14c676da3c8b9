// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/net/close_aside.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/util.h"

/* Into what the second of a pair of sockets is to receive: the descriptor, and that socket. */
static void send_both(int from, int fd, int self)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(2 * sizeof(int))]; } c = { .room = { 0 } };
	char none = 0;
	struct iovec byte = { &none, 1 };
	struct msghdr msg = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	const int fds[2] = { fd, self };

	c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fds)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&c.h), fds, sizeof(fds));
	sendmsg(from, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * A socket that is nowhere but in its own queue is garbage, and a worker of the kernel throws it away with all that is in there
 * (net/unix/garbage.c). It looks when a unix socket is closed: the other one, which goes last.
 */
void close_aside(int fd)
{
	int pair[2] = { -1, -1 };

	if (!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair)) {
		send_both(pair[0], fd, pair[1]);
		close(pair[1]);
	}
	close(fd);
	if (pair[0] >= 0)
		close(pair[0]);
}
