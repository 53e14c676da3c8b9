/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the controller's programs will be asked for by the kernel: capabilities that some step takes, known before any is made. */
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/restore/inner.h"
#include "common/sock/sock.h"

#define CAP(c) (1ull << (c))
#define NET_ANY (CAP(CAP_NET_ADMIN) | CAP(CAP_NET_RAW))

/* One of `caps` suffices. Sources, of 6.18: sk_setsockopt(), do_ip_setsockopt(), do_ipv6_setsockopt(), tcp_setsockopt(). */
static const struct { int level, option; uint64_t caps; } options[] = {
	{ SOL_SOCKET, SO_SNDBUFFORCE, CAP(CAP_NET_ADMIN) },
	{ SOL_SOCKET, SO_RCVBUFFORCE, CAP(CAP_NET_ADMIN) },
	{ SOL_SOCKET, SO_DEBUG, CAP(CAP_NET_ADMIN) },
	{ SOL_SOCKET, SO_MARK, NET_ANY },
	{ IPPROTO_IP, 19 /* IP_TRANSPARENT */, NET_ANY },
	{ IPPROTO_IPV6, 75 /* IPV6_TRANSPARENT */, NET_ANY },
	{ IPPROTO_TCP, TCP_REPAIR, CAP(CAP_NET_ADMIN) },
};

static bool is(struct arg a, uint64_t v)
{
	return a.kind == ARG_CONST && a.v == v;
}

static uint64_t step_takes(const struct program *p, size_t i)
{
	const struct arg *a = program_args(p, i);
	const char *note = program_note(p, i);

	switch (program_nr(p, i)) {
	case SYS_setsockopt:
		for (size_t k = 0; k < ARRAY_SIZE(options); k++)
			if (is(a[1], (uint64_t)options[k].level) && is(a[2], (uint64_t)options[k].option))
				return options[k].caps;
		return 0;
	case SYS_socket: /* inet_create(), packet_create() */
		if (is(a[0], AF_PACKET) || ((is(a[0], AF_INET) || is(a[0], AF_INET6)) && (a[1].v & 0xf) == SOCK_RAW))
			return CAP(CAP_NET_RAW);
		return 0;
	case SYS_sendmsg: /* __scm_send(): somebody else's number */
		return note && !strcmp(note, unix_signed_note) ? CAP(CAP_SYS_ADMIN) : 0;
	case SYS_chroot:
		return CAP(CAP_SYS_CHROOT);
	case SYS_setresuid:
		return is(a[1], UINT32_MAX) || is(a[0], UINT32_MAX) ? 0 : CAP(CAP_SETUID);
	case SYS_fsopen:
		return CAP(CAP_SYS_ADMIN);
	default:
		return 0;
	}
}

uint64_t plan_privileges(const struct plan *plan, uint64_t have)
{
	const struct program *const programs[] = { plan->controller, plan->last };
	uint64_t need = 0;

	for (size_t k = 0; k < ARRAY_SIZE(programs); k++)
		for (size_t i = 0; i < program_steps(programs[k]); i++) {
			int64_t want;
			uint64_t takes;

			if (program_expect(programs[k], i, &want) == EXPECT_ANY)
				continue;
			takes = step_takes(programs[k], i);
			if (!(takes & have))
				need |= takes & -takes; /* any: the lowest is named */
		}
	return need;
}
