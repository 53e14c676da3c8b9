/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of a TCP socket, as TCP_INFO numbers it. */
#ifndef TEST_TCP_STATE_H
#define TEST_TCP_STATE_H

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING };

static int state(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

static void wait_state(int fd, int want)
{
	for (int i = 0; i < 6000 && state(fd) != want; i++)
		usleep(5000);
	CHECK_EQ(state(fd), want);
}

#endif
