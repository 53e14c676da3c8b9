// SPDX-License-Identifier: GPL-2.0-or-later
/* Netlink sockets: addresses, groups (also beyond the first 32), a connected peer, options; an answer and an event afterwards. */
/* test: net */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "test.h"

#ifndef NETLINK_LIST_MEMBERSHIPS
#define NETLINK_LIST_MEMBERSHIPS 9
#endif

static unsigned port(int fd)
{
	struct sockaddr_nl nl = { 0 };
	socklen_t len = sizeof(nl);
	CHECK(!getsockname(fd, (struct sockaddr *)&nl, &len));
	return nl.nl_pid;
}

static bool member(int fd, int group)
{
	uint32_t words[64] = { 0 };
	socklen_t len = sizeof(words);
	CHECK(!getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &len));
	return words[(group - 1) / 32] >> ((group - 1) % 32) & 1;
}

static void ask_links(int fd)
{
	struct { struct nlmsghdr h; struct ifinfomsg i; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 77 },
		.i = { .ifi_index = 1 },
	};
	static char buf[65536];
	CHECK_EQ(send(fd, &req, sizeof(req), 0), sizeof(req));
	CHECK(recv(fd, buf, sizeof(buf), 0) > (ssize_t)sizeof(req));
	struct nlmsghdr *h = (void *)buf;
	CHECK_EQ(h->nlmsg_seq, 77);
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	CHECK_EQ(h->nlmsg_pid, port(fd));
}

/* Groups without events on any host: what would arrive meanwhile would rightly be refused. */
int main(void)
{
	int unbound = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE);
	int route = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), one = 1, v;
	int a = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK), b = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_USERSOCK);
	int loner = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int kernel = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = 1234567, .nl_groups = 1 << (RTNLGRP_DECnet_IFADDR - 1) },
			   pa = { .nl_family = AF_NETLINK, .nl_pid = 4000000001u }, pb = { .nl_family = AF_NETLINK },
			   back = { 0 }, none = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(v), back_len = sizeof(back);
	char buf[64];

	CHECK(!bind(route, (struct sockaddr *)&nl, sizeof(nl)));
	for (int g = 33; g < 36; g += 2)
		CHECK(!setsockopt(route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &g, sizeof(g)));
	for (int o = NETLINK_PKTINFO; o <= NETLINK_NO_ENOBUFS; o += 2)
		CHECK(!setsockopt(route, SOL_NETLINK, o, &one, sizeof(one)));
	CHECK(!setsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)));
	v = RTNLGRP_DECnet_ROUTE;
	CHECK(!setsockopt(loner, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &v, sizeof(v)));
	CHECK(!bind(a, (struct sockaddr *)&pa, sizeof(pa)) && !bind(b, (struct sockaddr *)&pb, sizeof(pb)));
	CHECK(!connect(b, (struct sockaddr *)&pa, sizeof(pa)));
	CHECK(!connect(kernel, (struct sockaddr *)&none, sizeof(none)));
	unsigned bport = port(b), kport = port(kernel);
	CHECK(bport && kport);

	test_ready();

	CHECK_EQ(port(unbound), 0);
	CHECK(!getsockopt(unbound, SOL_SOCKET, SO_TYPE, &v, &len));
	CHECK_EQ(v, SOCK_DGRAM);
	CHECK_EQ(fcntl(unbound, F_GETFD), FD_CLOEXEC);
	ask_links(unbound);
	CHECK_EQ(port(route), 1234567);
	CHECK(member(route, RTNLGRP_DECnet_IFADDR) && member(route, 33) && member(route, 35) && !member(route, 34) && !member(route, 2));
	CHECK(!getsockopt(route, SOL_NETLINK, NETLINK_NO_ENOBUFS, &v, &len));
	CHECK_EQ(v, 1);
	CHECK(!getsockopt(route, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &v, &len));
	CHECK_EQ(v, 0);
	CHECK(!getsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &v, &len));
	CHECK_EQ(v, 1);
	ask_links(route);
	CHECK_EQ(port(loner), 0);
	CHECK(member(loner, RTNLGRP_DECnet_ROUTE));
	CHECK_EQ(port(a), 4000000001u);
	CHECK_EQ(port(b), bport);
	CHECK_EQ(fcntl(b, F_GETFL), O_RDWR | O_NONBLOCK);
	CHECK(!getpeername(b, (struct sockaddr *)&back, &back_len));
	CHECK_EQ(back.nl_pid, 4000000001u);
	CHECK(recv(b, buf, sizeof(buf), 0) < 0 && errno == EAGAIN);
	CHECK_EQ(send(b, "hello", 5, 0), 5);
	back_len = sizeof(back);
	CHECK_EQ(recvfrom(a, buf, sizeof(buf), 0, (struct sockaddr *)&back, &back_len), 5);
	CHECK_EQ(back.nl_pid, bport);
	/* Who is connected to the kernel takes nothing from others. */
	nl.nl_pid = kport;
	nl.nl_groups = 0;
	CHECK(sendto(unbound, "x", 1, 0, (struct sockaddr *)&nl, sizeof(nl)) < 0 && errno == ECONNREFUSED);
	CHECK_EQ(port(kernel), kport);
	ask_links(kernel);
	pass();
}
