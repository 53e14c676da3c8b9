// SPDX-License-Identifier: GPL-2.0-or-later
/* A connection that is being opened goes on being opened, from the same address, and gets through when somebody answers. */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(4200) }, own, now;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct tcp_info info;
	socklen_t len = sizeof(own);

	/* Such packets come in again at once, and belong to nobody: no answer at all. */
	if (system("exec ip route add 192.0.2.0/24 dev lo src 127.0.0.1"))
		TEST_SKIP("no route can be made");
	CHECK_EQ(inet_pton(AF_INET, "192.0.2.9", &to.sin_addr), 1);
	CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	CHECK_EQ(errno, EINPROGRESS);
	CHECK(!getsockname(fd, (struct sockaddr *)&own, &len));

	test_ready();

	len = sizeof(info);
	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_state, 2);
	len = sizeof(now);
	CHECK(!getsockname(fd, (struct sockaddr *)&now, &len));
	CHECK_EQ(now.sin_port, own.sin_port);
	CHECK_EQ(now.sin_addr.s_addr, own.sin_addr.s_addr);
	CHECK(!system("exec ip addr add 192.0.2.9/32 dev lo"));
	CHECK(!setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK(!bind(l, (struct sockaddr *)&to, sizeof(to)) && !listen(l, 1));
	struct pollfd p = { fd, POLLOUT, 0 };
	CHECK_EQ(poll(&p, 1, 30000), 1);
	len = sizeof(one);
	CHECK(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &one, &len));
	CHECK_EQ(one, 0);
	int s = accept(l, NULL, NULL);
	CHECK_EQ(write(fd, "hi", 2), 2);
	char got[4];
	CHECK_EQ(read(s, got, sizeof(got)), 2);
	pass();
}
