/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What it takes to bring back connections that wait to be accepted: Linux 6.9. Without it they are refused (live/tcp-waiting-refused). */
#ifndef WAITING_H
#define WAITING_H

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

static inline void needs_waiting(void)
{
	if (system("exec grep -qw bpf_sk_assign_tcp_reqsk /proc/kallsyms"))
		TEST_SKIP("the kernel has no bpf_sk_assign_tcp_reqsk()");
}

/* Of a listening socket: tcpi_unacked wait, and tcpi_sacked may. */
static inline struct tcp_info info(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len));
	return i;
}

#endif
