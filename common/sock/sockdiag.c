// SPDX-License-Identifier: GPL-2.0-or-later
/* What the dump sides of several kinds of sockets ask: sock_diag, the network namespace, whether something waits. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/sock/sock.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* include/uapi/asm-generic/socket.h */
#endif

/* One datagram of answers: 1 go on, 0 that was the last. */
static int take_answers(const char *buf, size_t n, int type, int (*cb)(void *ctx, const struct nlmsghdr *h), void *ctx,
			struct err *err)
{
	const struct nlmsghdr *h = (const void *)buf;

	for (size_t left = n; left >= sizeof(*h);) {
		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > left)
			return err_set(err, ERR_FAILED, EPROTO, "sock_diag gave half an answer");
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);
			int errnum = h->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) && e->error < 0 ? -e->error : EPROTO;
			return err_set(err, ERR_FEATURE, errnum, "sock_diag does not tell about sockets of this family");
		}
		if (h->nlmsg_type == type) {
			int ret = cb(ctx, h);
			if (ret < 0)
				return ret;
		}
		size_t step = NLMSG_ALIGN(h->nlmsg_len);
		if (step >= left)
			break;
		left -= step;
		h = (const void *)((const char *)h + step);
	}
	return 1;
}

int sock_diag_dump(const void *req, size_t len, int (*cb)(void *ctx, const struct nlmsghdr *h), void *ctx,
		   struct err *err)
{
	const int type = ((const struct nlmsghdr *)req)->nlmsg_type;
	cleanup_free char *buf = xmalloc(65536);
	cleanup_fd int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int more = 1;

	if (nl < 0)
		return err_sys(err, "cannot open a sock_diag socket");
	if (send(nl, req, len, 0) < 0)
		return err_sys(err, "cannot ask sock_diag");
	while (more > 0) {
		ssize_t n = recv(nl, buf, 65536, 0);
		if (n < 0)
			return err_sys(err, "cannot ask sock_diag");
		more = take_answers(buf, (size_t)n, type, cb, ctx, err);
	}
	return more;
}

const void *sock_diag_attr(const struct nlmsghdr *h, size_t head, int type, size_t min, size_t *len)
{
	const char *p = (const char *)h + NLMSG_LENGTH(NLMSG_ALIGN(head)), *end = (const char *)h + h->nlmsg_len;

	while (end - p >= (ptrdiff_t)sizeof(struct nlattr)) {
		const struct nlattr *a = (const struct nlattr *)(const void *)p;
		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - p)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type && a->nla_len >= NLA_HDRLEN + min) {
			*len = a->nla_len - (size_t)NLA_HDRLEN;
			return p + NLA_HDRLEN;
		}
		p += MIN((ptrdiff_t)NLA_ALIGN(a->nla_len), end - p);
	}
	return NULL;
}

/* Since Linux 5.14 everybody may ask (sk_getsockopt() in net/core/sock.c). */
static bool same_cookie(int fd)
{
	cleanup_fd int mine = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t its = 0, own = 1;
	socklen_t len = sizeof(its), own_len = sizeof(own);

	return mine >= 0 && !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &its, &len) &&
	       !getsockopt(mine, SOL_SOCKET, SO_NETNS_COOKIE, &own, &own_len) && its == own;
}

int sock_refuse_netns(int fd, const char *what, struct err *err)
{
	struct stat its, own;

	if (same_cookie(fd))
		return 0;
	cleanup_fd int ns = ioctl(fd, SIOCGSKNS);
	if (ns < 0 || fstat(ns, &its) < 0 || stat("/proc/self/ns/net", &own) < 0) {
		const int ret = err_sys(err, "cannot find out the network namespace of a socket");

		return ret == -EPERM ? err_hint(err, ret, "it takes CAP_NET_ADMIN (SIOCGSKNS), where it is not that of cr-dump") : ret;
	}
	if (its.st_ino == own.st_ino && its.st_dev == own.st_dev)
		return 0;
	return err_hint(err, err_refuse(err, "%s is of another network namespace (net:[%llu])", what,
					(unsigned long long)its.st_ino),
			"such a socket comes back only where its process lives in that namespace, and cr-dump runs there, too");
}

int sock_refuse_queue(int fd, const char *what, struct err *err)
{
	struct pollfd p = { fd, POLLIN, 0 };

	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a socket");
	if (p.revents & POLLIN)
		return err_hint(err, err_refuse(err, "%s: what waits there to be read cannot come back", what),
				"let the program read it, and try again");
	return 0;
}

void plan_sockopt(struct plan *plan, int phase, uint32_t slot, const char *note, int level, int option, int value)
{
	struct program *c = plan->controller;

	program_call(c, phase, note, SYS_setsockopt, A_SLOT(slot), A((uint64_t)level), A((uint64_t)option),
		     A_DATA(program_data(c, &value, sizeof(value))), A(sizeof(value)));
}
