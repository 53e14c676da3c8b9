// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Netlink sockets (net/netlink/af_netlink.c): address, multicast groups, the connected peer, options. What waits to be
 * read, a dump under way, and what the other side keeps for this socket cannot come back: refused.
 */
#include <errno.h>
#include <linux/netlink_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/sock/sock.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif
#define STATE_CONNECTED 1
#define STATE_CLOSED 7	/* what v1.1 calls it, and what the kernel does: CRIU 4.2 writes either */
#define STATE_UNCONNECTED 0
#define GROUP_WORDS_MAX 1024

static const struct { int option; const char *name; } options[] = {
	{ NETLINK_PKTINFO, "NETLINK_PKTINFO" },
	{ NETLINK_BROADCAST_ERROR, "NETLINK_BROADCAST_ERROR" },
	{ NETLINK_NO_ENOBUFS, "NETLINK_NO_ENOBUFS" },
	{ NETLINK_LISTEN_ALL_NSID, "NETLINK_LISTEN_ALL_NSID" },
	{ NETLINK_CAP_ACK, "NETLINK_CAP_ACK" },
	{ NETLINK_EXT_ACK, "NETLINK_EXT_ACK" },
	{ NETLINK_GET_STRICT_CHK, "NETLINK_GET_STRICT_CHK" },
};

/* ---- dump ---- */

static bool netlinksk_match(const struct fd_source *src)
{
	return src->domain == AF_NETLINK;
}

struct diag {
	struct dump *d;
	uint32_t ino;
	bool found;
	struct netlink_diag_msg msg;
	uint32_t flags;
	const uint32_t *groups; /* arena */
	size_t ngroups;
};

static int take(void *ctx, const struct nlmsghdr *h)
{
	struct diag *q = ctx;
	const struct netlink_diag_msg *msg = NLMSG_DATA(h);
	const void *p;
	size_t len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)) || msg->ndiag_ino != q->ino)
		return 0;
	q->found = true;
	q->msg = *msg;
	p = sock_diag_attr(h, sizeof(*msg), NETLINK_DIAG_FLAGS, 4, &len);
	if (p)
		memcpy(&q->flags, p, 4);
	p = sock_diag_attr(h, sizeof(*msg), NETLINK_DIAG_GROUPS, 4, &len);
	if (p) {
		q->groups = arena_dup(q->d->arena, p, len);
		q->ngroups = len / 4;
	}
	return 0;
}

/* A socket that was never bound and is in no group is in no list; then there is nothing to tell. */
static int ask(struct diag *q, int fd, int protocol, struct err *err)
{
	struct { struct nlmsghdr h; struct netlink_diag_req r; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = AF_NETLINK, .sdiag_protocol = (uint8_t)protocol,
		       .ndiag_show = NDIAG_SHOW_GROUPS | NDIAG_SHOW_FLAGS },
	};
	struct sockaddr_nl own = { 0 };
	socklen_t len = sizeof(own);
	int ret = sock_diag_dump(&req, sizeof(req), take, q, err);

	if (ret < 0 || q->found)
		return ret;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return err_sys(err, "cannot read the address of a netlink socket");
	if (own.nl_pid || own.nl_groups)
		return err_set(err, ERR_FAILED, ENOENT, "sock_diag does not show this netlink socket");
	return 0;
}

/* Whether a line of a file of nfnetlink names this address in its second column: packets go to it. */
static bool bound_there(const char *file, uint32_t portid)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (read_file_at(AT_FDCWD, file, 1 << 20, &text, &len))
		return false;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		const char *p = line;
		uint64_t id, port;
		if (!fdinfo_number(&p, 10, &id) && !fdinfo_number(&p, 10, &port) && port == portid)
			return true;
	}
	return false;
}

static int refuse_kernel_side(const NetlinkSkEntry *e, const char *what, struct err *err)
{
	if (e->protocol == NETLINK_NETFILTER && e->portid &&
	    (bound_there("/proc/net/netfilter/nfnetlink_queue", e->portid) ||
	     bound_there("/proc/net/netfilter/nfnetlink_log", e->portid)))
		return err_refuse(err, "%s: netfilter sends it packets (NFQUEUE, NFLOG), which cannot be asked for again",
				  what);
	if (e->protocol == NETLINK_CONNECTOR && e->n_groups && e->groups[0] & 1)
		return err_refuse(err, "%s: it listens to process events, for which the kernel keeps what cannot be read",
				  what);
	return 0;
}

static int netlinksk_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	NetlinkSkEntry *e = arena_msg(d->arena, NetlinkSkEntry, netlink_sk_entry__init);
	int protocol = src->protocol, type = src->type;
	struct diag q = { .d = d, .ino = (uint32_t)src->st.st_ino };
	char what[64];
	int ret;

	snprintf(what, sizeof(what), "netlink socket of protocol %d", protocol);
	entry->nlsk = e;
	ret = sock_refuse_netns(src->fd, what, err);
	if (!ret)
		ret = ask(&q, src->fd, protocol, err);
	if (ret < 0)
		return ret;
	e->id = entry->id;
	e->ino = q.ino;
	e->protocol = (uint32_t)protocol;
	e->state = q.msg.ndiag_state == STATE_CONNECTED ? STATE_CONNECTED : STATE_CLOSED;
	e->flags = (uint32_t)src->flags;
	e->portid = q.msg.ndiag_portid;
	e->dst_portid = q.msg.ndiag_dst_portid;
	e->dst_group = q.msg.ndiag_dst_group;
	while (q.ngroups && !q.groups[q.ngroups - 1])
		q.ngroups--;
	e->groups = (uint32_t *)(uintptr_t)q.groups;
	e->n_groups = q.ngroups;
	if (type != SOCK_RAW) {
		e->has_type = true;
		e->type = (uint32_t)type;
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int on = 0;
		socklen_t len = sizeof(on);
		if (getsockopt(src->fd, SOL_NETLINK, options[i].option, &on, &len) == 0 && on)
			e->nl_options |= 1u << options[i].option;
	}
	e->has_nl_options = e->nl_options != 0;
	if (q.flags & NDIAG_FLAG_CB_RUNNING)
		return err_refuse(err, "%s: it is in the middle of reading a list from the kernel", what);
	ret = refuse_kernel_side(e, what, err);
	return ret ? ret : sock_dump_silent(d, src, what, &e->fown, &e->opts, err);
}

/* ---- restore ---- */

static int check(const NetlinkSkEntry *e, struct err *err)
{
	if (!e->opts)
		return err_image(err, "files.img: netlink socket %u: no options", e->id);
	if (e->n_groups > GROUP_WORDS_MAX)
		return err_image(err, "files.img: netlink socket %u: %zu words of groups", e->id, e->n_groups);
	if (e->has_type && e->type != SOCK_RAW && e->type != SOCK_DGRAM)
		return err_image(err, "files.img: netlink socket %u: no such type %u", e->id, e->type);
	if (e->protocol > 255 || e->dst_group > 32 ||
	    (e->state != STATE_CONNECTED && e->state != STATE_CLOSED && e->state != STATE_UNCONNECTED))
		return err_image(err, "files.img: netlink socket %u: protocol, state or group out of range", e->id);
	return 0;
}

static int netlinksk_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			  struct err *err)
{
	const NetlinkSkEntry *e = entry->nlsk;
	struct program *c = plan->controller;
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_pid = e->portid },
			   peer = { .nl_family = AF_NETLINK, .nl_pid = e->dst_portid };
	int ret = check(e, err);

	if (ret < 0)
		return ret;
	plan_slot_is(plan, slot,
		     program_call(c, MAKE_OBJECTS, "netlink socket", SYS_socket, A(AF_NETLINK),
				  A((e->has_type ? e->type : SOCK_RAW) | SOCK_NONBLOCK | SOCK_CLOEXEC),
				  A(e->protocol)));
	ret = sock_options_plan(plan, slot, e->opts, err);
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (e->has_nl_options && e->nl_options >> options[i].option & 1)
			plan_sockopt(plan, MAKE_OBJECTS, slot, options[i].name, SOL_NETLINK, options[i].option, 1);
	/* Events arrive from here on: what decides about them is in place. */
	if (e->portid)
		program_call(c, MAKE_LAST, "bind to the old port id", SYS_bind, A_SLOT(slot),
			     A_DATA(program_data(c, &own, sizeof(own))), A(sizeof(own)));
	if (e->state == STATE_CONNECTED) {
		peer.nl_groups = e->dst_group ? 1u << (e->dst_group - 1) : 0;
		program_call(c, MAKE_LAST, "connect", SYS_connect, A_SLOT(slot),
			     A_DATA(program_data(c, &peer, sizeof(peer))), A(sizeof(peer)));
	}
	for (size_t g = 0; g < e->n_groups * 32; g++)
		if (e->groups[g / 32] >> g % 32 & 1)
			plan_sockopt(plan, MAKE_LAST, slot, "multicast group", SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
				     (int)g + 1);
	plan_setfl(plan, slot, O_NONBLOCK, e->flags);
	(void)m;
	return 0;
}

const struct file_kind netlinksk_kind = {
	.name = "netlink socket",
	.type = FD_TYPES__NETLINKSK,
	.match = netlinksk_match,
	.dump = netlinksk_dump,
	.plan = netlinksk_plan,
};
