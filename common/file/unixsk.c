// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unix sockets without a name: pairs with both ends in the process, ends whose peer is gone, and unconnected ones;
 * stream data that is queued. All others are refused by name.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "common/file/sock.h"
#include "sk-packet.pb-c.h"

#define STATE_CONNECTED 1 /* TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE in the words of the kernel */
#define STATE_LISTEN 10
#define STATE_CLOSED 7
#define QUEUE_MAX (1u << 30)

struct unix_info {
	unsigned state;
	uint32_t peer;	 /* inode, 0: none or gone */
	unsigned shutdown;
};

/* ---- dump ---- */

static bool unixsk_match(const struct fd_source *src)
{
	return S_ISSOCK(src->st.st_mode) && !(src->flags & O_PATH) && sock_option(src->fd, SO_DOMAIN) == AF_UNIX;
}

static void take_attributes(const struct nlmsghdr *h, struct unix_info *info)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(h);
	const char *p = (const char *)(msg + 1), *end = (const char *)h + h->nlmsg_len;

	info->state = msg->udiag_state;
	while ((size_t)(end - p) >= sizeof(struct nlattr)) {
		const struct nlattr *a = (const struct nlattr *)(const void *)p;
		const void *value = p + NLA_HDRLEN;
		if (a->nla_len < NLA_HDRLEN || a->nla_len > end - p)
			break;
		if (a->nla_type == UNIX_DIAG_PEER && a->nla_len >= NLA_HDRLEN + 4)
			memcpy(&info->peer, value, 4);
		if (a->nla_type == UNIX_DIAG_SHUTDOWN && a->nla_len >= NLA_HDRLEN + 1)
			info->shutdown = *(const uint8_t *)value;
		size_t step = NLA_ALIGN(a->nla_len);
		if (step > (size_t)(end - p))
			break;
		p += step;
	}
}

/* What only sock_diag tells: state, peer and shutdown of the socket with this inode number. */
static int ask_diag(uint32_t ino, struct unix_info *info, struct err *err)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.r = { .sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_ino = ino,
		       .udiag_show = UDIAG_SHOW_PEER, .udiag_cookie = { ~0u, ~0u } },
	};
	union { struct nlmsghdr h; char bytes[4096]; } answer;
	cleanup_fd int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (nl < 0)
		return err_sys(err, "cannot open a sock_diag socket");
	if (send(nl, &req, sizeof(req), 0) < 0)
		return err_sys(err, "cannot ask sock_diag");
	ssize_t n = recv(nl, &answer, sizeof(answer), 0);
	if (n < 0)
		return err_sys(err, "cannot ask sock_diag");
	if (!NLMSG_OK(&answer.h, (size_t)n))
		return err_set(err, ERR_FAILED, EPROTO, "sock_diag gave half an answer");
	if (answer.h.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(&answer.h);
		if (e->error == -ENOENT)
			return err_refuse(err, "unix socket of another network namespace");
		return err_set(err, ERR_FAILED, -e->error, "sock_diag does not tell about unix sockets");
	}
	if (answer.h.nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
		return err_set(err, ERR_FAILED, EPROTO, "sock_diag gave half an answer");
	take_attributes(&answer.h, info);
	return 0;
}

static int check_names(const struct fd_source *src, const struct unix_info *info, struct err *err)
{
	struct sockaddr_un own = { 0 }, other = { 0 };
	socklen_t own_len = sizeof(own), other_len = sizeof(other);
	char name[sizeof(own.sun_path) + 1], what[256];

	sock_describe(src->fd, what, sizeof(what));
	if (info->state == STATE_LISTEN)
		return err_refuse(err, "%s", what);
	if (getsockname(src->fd, (struct sockaddr *)&own, &own_len) < 0)
		return err_sys(err, "cannot read the name of a socket");
	if (getpeername(src->fd, (struct sockaddr *)&other, &other_len) < 0)
		other_len = 0;
	sock_unix_name(&own, own_len, name, sizeof(name));
	if (*name)
		return err_refuse(err, "%s: sockets with a name cannot come back in this version", what);
	sock_unix_name(&other, other_len, name, sizeof(name));
	if (*name)
		return err_refuse(err, "%s: sockets connected to a name cannot come back in this version", what);
	return 0;
}

static int check_peer(struct dump *d, const struct fd_source *src, const struct unix_info *info, struct err *err)
{
	struct stat st = src->st;
	char link[32], who[96];
	size_t n;

	if (!info->peer)
		return 0;
	st.st_ino = info->peer;
	file_same_inode(d, &st, &n);
	if (n)
		return 0;
	snprintf(link, sizeof(link), "socket:[%u]", info->peer);
	if (!file_find_holder(d, link, who, sizeof(who)))
		snprintf(who, sizeof(who), "nobody in sight");
	return err_refuse(err, "unix socket, whose other end (%s) is not dumped: %s has it", link, who);
}

/* Data waits to be read. Peeking takes nothing and, with a buffer for all of it, passes over every write of a stream.
 */
static int dump_queue(struct dump *d, const struct fd_source *src, uint32_t id, int type, struct err *err)
{
	int bytes = 0;

	if (ioctl(src->fd, FIONREAD, &bytes) < 0)
		return err_sys(err, "cannot read the size of a socket's queue");
	if (bytes <= 0) {
		/* A datagram of no bytes is one nevertheless. */
		char c;
		if (type == SOCK_STREAM || recv(src->fd, &c, 0, MSG_PEEK | MSG_DONTWAIT) < 0)
			return 0;
		return err_refuse(err, "unix socket with a queued empty datagram");
	}
	if (type == SOCK_DGRAM)
		return err_refuse(err, "unix datagram socket with queued messages");
	if (sock_option(src->fd, SO_PASSCRED) > 0)
		return err_refuse(err, "unix socket with queued data and SO_PASSCRED");
	if (sock_option(src->fd, SO_PEEK_OFF) >= 0)
		return err_refuse(err, "unix socket with queued data and SO_PEEK_OFF");
	cleanup_free char *buf = xmalloc((size_t)bytes);
	struct iovec iov = { buf, (size_t)bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(src->fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return err_sys(err, "cannot look into the queue of a socket");
	/* Descriptors on the way end a peek, and without room for them leave this mark; nothing is received. */
	if (msg.msg_flags & MSG_CTRUNC)
		return err_refuse(err, "unix socket with descriptors on their way (SCM_RIGHTS)");
	if (n != bytes)
		return err_refuse(err, "unix socket with several queued messages");
	SkPacketEntry packet = SK_PACKET_ENTRY__INIT;
	packet.id_for = id;
	packet.length = (uint32_t)bytes;
	image_store_put(d->store, IMG_SK_QUEUES, 0, &packet.base);
	image_store_payload(d->store, IMG_SK_QUEUES, 0, buf, (size_t)bytes);
	return 0;
}

static int unixsk_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	UnixSkEntry *e = arena_msg(d->arena, UnixSkEntry, unix_sk_entry__init);
	struct unix_info info = { 0 };
	int ret = ask_diag((uint32_t)src->st.st_ino, &info, err);

	if (ret < 0)
		return ret;
	entry->usk = e;
	e->id = entry->id;
	e->ino = (uint32_t)src->st.st_ino;
	e->type = (uint32_t)sock_option(src->fd, SO_TYPE);
	e->flags = (uint32_t)src->flags;
	e->state = info.state;
	e->peer = info.peer;
	if (info.shutdown) {
		e->has_shutdown = true;
		e->shutdown = (SkShutdown)info.shutdown;
	}
	ret = check_names(src, &info, err);
	if (!ret)
		ret = check_peer(d, src, &info, err);
	if (!ret)
		ret = fown_dump(d, src, &e->fown, err);
	if (!ret)
		ret = sock_options_dump(d, src->fd, &e->opts, err);
	if (!ret)
		ret = dump_queue(d, src, e->id, (int)e->type, err);
	return ret;
}

/* ---- restore ---- */

static int refuse(const UnixSkEntry *e, const char *what, struct err *err)
{
	return err_refuse(err, "files.img: unix socket %u %s, which this version cannot restore", e->id, what);
}

static int check_entry(const UnixSkEntry *e, struct err *err)
{
	if (e->name.len)
		return refuse(e, "has a name", err);
	if (e->uflags)
		return refuse(e, "is external", err);
	if (e->state == STATE_LISTEN)
		return refuse(e, "is listening", err);
	if (e->type != SOCK_STREAM && e->type != SOCK_DGRAM && e->type != SOCK_SEQPACKET)
		return err_image(err, "files.img: unix socket %u: no such type %u", e->id, e->type);
	if (!e->opts)
		return err_image(err, "files.img: unix socket %u: no options", e->id);
	return 0;
}

/* Data for `e` is sent from its peer's end, then shut down. */
static int plan_content(const struct model *m, struct plan *plan, const UnixSkEntry *e, uint32_t slot, bool has_peer,
			uint32_t peer, struct err *err)
{
	struct program *c = plan->controller;
	const struct sock_packet *v;
	size_t n;
	int ret = sock_packets(m, plan, e->id, &v, &n, err);

	if (ret < 0)
		return ret;
	ret = sock_options_plan(plan, slot, e->opts, err);
	if (ret < 0)
		return ret;
	if (n && !has_peer)
		return err_image(err, "sk-queues.img: data for the unconnected socket %u", e->id);
	for (size_t i = 0; i < n; i++)
		program_call_eq(c, MAKE_CONTENT, "queued data", v[i].len, SYS_sendto, A_SLOT(peer), A_PTR(v[i].bytes),
				A(v[i].len), A(MSG_DONTWAIT | MSG_NOSIGNAL), A(0), A(0));
	return 0;
}

static void plan_end(struct plan *plan, const UnixSkEntry *e, uint32_t slot)
{
	/* SHUT_RD, SHUT_WR, SHUT_RDWR are the kernel's bits minus one. */
	if (e->has_shutdown && e->shutdown >= 1 && e->shutdown <= 3 && e->peer)
		program_call(plan->controller, MAKE_CONTENT, "shutdown", SYS_shutdown, A_SLOT(slot),
			     A((uint64_t)e->shutdown - 1));
	plan_setfl(plan, slot, O_NONBLOCK, e->flags);
}

static int plan_pair(const struct model *m, struct plan *plan, const UnixSkEntry *a, uint32_t slot_a,
		     const UnixSkEntry *b, uint32_t slot_b, struct err *err)
{
	struct program *c = plan->controller;
	struct data_ref fds = program_data(c, NULL, 2 * sizeof(int));
	struct step_ref step = program_call(c, MAKE_OBJECTS, "unix socket pair", SYS_socketpair, A(AF_UNIX),
					    A(a->type | SOCK_NONBLOCK | SOCK_CLOEXEC), A(0), A_DATA(fds));
	int ret;

	plan_slot_from_data(plan, slot_a, step, fds, 0);
	plan_slot_from_data(plan, slot_b, step, fds, sizeof(int));
	ret = plan_content(m, plan, a, slot_a, true, slot_b, err);
	if (!ret && b)
		ret = plan_content(m, plan, b, slot_b, true, slot_a, err);
	if (ret < 0)
		return ret;
	plan_end(plan, a, slot_a);
	if (b)
		plan_end(plan, b, slot_b);
	return 0;
}

static int unixsk_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const UnixSkEntry *e = entry->usk;
	size_t n;
	int ret = check_entry(e, err);

	if (ret < 0)
		return ret;
	if (!e->peer && e->state == STATE_CONNECTED) /* the other end is closed, as it will be when this slot is */
		return plan_pair(m, plan, e, slot, NULL, plan_slot(plan, "unix socket, end that is gone"), err);
	if (!e->peer) {
		plan_slot_is(plan, slot,
			     program_call(plan->controller, MAKE_OBJECTS, "unix socket", SYS_socket, A(AF_UNIX),
					  A(e->type | SOCK_NONBLOCK | SOCK_CLOEXEC), A(0)));
		ret = plan_content(m, plan, e, slot, false, 0, err);
		plan_end(plan, e, slot);
		return ret;
	}
	const struct file_group_index *group = file_group(m, plan, GROUP_UNIX, e->peer, &n);
	if (n != 1 || e->peer == e->ino)
		return err_image(err, "files.img: unix socket %u has no peer %u", e->id, e->peer);
	const FileEntry *other = m->files[group->i];
	ret = check_entry(other->usk, err);
	if (ret < 0)
		return ret;
	if (other->usk->peer != e->ino || other->usk->type != e->type)
		return refuse(e, "and its peer do not make a pair", err);
	return plan_pair(m, plan, e, slot, other->usk, file_slot_get(plan, other, "unix socket"), err);
}

const struct file_kind unixsk_kind = {
	.name = "unix socket",
	.type = FD_TYPES__UNIXSK,
	.match = unixsk_match,
	.dump = unixsk_dump,
	.plan = unixsk_plan,
};
