// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packet sockets, packet(7) (net/packet/af_packet.c): interface, protocol, memberships, fanout group, options. Rings are refused,
 * and so is what was captured and not read yet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/sock/sockerr.h"

#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24
#endif
#define VNET_HDR_SIZE 10 /* struct virtio_net_hdr */
#define NO_FANOUT UINT32_MAX
#define ADDR_MAX 32 /* MAX_ADDR_LEN */
#define TYPE_BPF 6  /* fanout by a program: PACKET_FANOUT_CBPF, PACKET_FANOUT_EBPF */

/* What PACKET_ADD_MEMBERSHIP takes: struct packet_mreq with room for any address. */
struct mreq { int ifindex; unsigned short type, alen; unsigned char addr[ADDR_MAX]; };

/* ---- dump ---- */

static bool packetsk_match(const struct fd_source *src)
{
	return src->domain == AF_PACKET;
}

struct diag {
	struct dump *d;
	PacketSockEntry *e;
	uint32_t ino;
	bool found, ring, fanout;
};

static void take_memberships(struct diag *q, const struct packet_diag_mclist *list, size_t n)
{
	PacketSockEntry *e = q->e;
	size_t all = 0;

	/* The same one several times has a count. */
	for (size_t i = 0; i < n; i++)
		all += list[i].pdmc_count;
	e->mclist = arena_alloc(q->d->arena, (all + 1) * sizeof(*e->mclist));
	for (size_t i = 0; i < n; i++) {
		PacketMclist *mc = arena_msg(q->d->arena, PacketMclist, packet_mclist__init);
		mc->index = list[i].pdmc_index;
		mc->type = list[i].pdmc_type;
		mc->addr.len = MIN(list[i].pdmc_alen, sizeof(list[i].pdmc_addr));
		mc->addr.data = arena_dup(q->d->arena, list[i].pdmc_addr, mc->addr.len);
		for (uint32_t k = 0; k < list[i].pdmc_count; k++)
			e->mclist[e->n_mclist++] = mc;
	}
}

static int take(void *ctx, const struct nlmsghdr *h)
{
	struct diag *q = ctx;
	const struct packet_diag_msg *msg = NLMSG_DATA(h);
	const struct packet_diag_info *info;
	const void *p;
	size_t len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)) || msg->pdiag_ino != q->ino)
		return 0;
	q->found = true;
	info = sock_diag_attr(h, sizeof(*msg), PACKET_DIAG_INFO, sizeof(*info), &len);
	if (info) {
		q->e->version = info->pdi_version;
		q->e->reserve = info->pdi_reserve;
		q->e->copy_thresh = info->pdi_copy_thresh;
		q->e->timestamp = info->pdi_tstamp;
		q->e->aux_data = info->pdi_flags & PDI_AUXDATA;
		q->e->orig_dev = info->pdi_flags & PDI_ORIGDEV;
		q->e->vnet_hdr = info->pdi_flags & PDI_VNETHDR;
		q->e->loss = info->pdi_flags & PDI_LOSS;
	}
	p = sock_diag_attr(h, sizeof(*msg), PACKET_DIAG_MCLIST, sizeof(struct packet_diag_mclist), &len);
	if (p)
		take_memberships(q, p, len / sizeof(struct packet_diag_mclist));
	q->ring = sock_diag_attr(h, sizeof(*msg), PACKET_DIAG_RX_RING, 0, &len) ||
		  sock_diag_attr(h, sizeof(*msg), PACKET_DIAG_TX_RING, 0, &len);
	q->fanout = sock_diag_attr(h, sizeof(*msg), PACKET_DIAG_FANOUT, 4, &len);
	return 0;
}

static int ask(struct diag *q, struct err *err)
{
	struct { struct nlmsghdr h; struct packet_diag_req r; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = AF_PACKET,
		       .pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT },
	};
	int ret = sock_diag_dump(&req, sizeof(req), take, q, err);

	if (!ret && !q->found)
		ret = err_set(err, ERR_FAILED, ENOENT, "sock_diag does not show this packet socket");
	return ret;
}

static uint32_t own_option(int fd, int option)
{
	uint32_t v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_PACKET, option, &v, &len) < 0 ? 0 : v;
}

static int dump_address(struct dump *d, int fd, PacketSockEntry *e, struct err *err)
{
	struct sockaddr_ll ll = { 0 };
	socklen_t len = sizeof(ll);
	char name[IFNAMSIZ];

	if (getsockname(fd, (struct sockaddr *)&ll, &len) < 0)
		return err_sys(err, "cannot read the address of a packet socket");
	e->protocol = ll.sll_protocol;
	e->ifindex = (uint32_t)MAX(ll.sll_ifindex, 0);
	if (ll.sll_ifindex < 0)
		return err_refuse(err, "packet socket whose network interface is gone");
	if (e->ifindex) {
		if (!if_indextoname(e->ifindex, name))
			return err_refuse(err, "packet socket whose network interface (index %u) is gone", e->ifindex);
		e->ifname = arena_strdup(d->arena, name);
	}
	return 0;
}

static void dump_own(int fd, PacketSockEntry *e)
{
	uint32_t size = own_option(fd, PACKET_VNET_HDR_SZ);

	e->has_tx_has_off = e->tx_has_off = own_option(fd, PACKET_TX_HAS_OFF) != 0;
	e->has_qdisc_bypass = e->qdisc_bypass = own_option(fd, PACKET_QDISC_BYPASS) != 0;
	e->has_ignore_outgoing = e->ignore_outgoing = own_option(fd, PACKET_IGNORE_OUTGOING) != 0;
	if (size && size != VNET_HDR_SIZE) {
		e->has_vnet_hdr_sz = true;
		e->vnet_hdr_sz = size;
	}
}

static int packetsk_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	static const char what[] = "packet socket";
	PacketSockEntry *e = arena_msg(d->arena, PacketSockEntry, packet_sock_entry__init);
	struct diag q = { .d = d, .e = e, .ino = (uint32_t)src->st.st_ino };
	int ret = sock_refuse_netns(src->fd, what, err);

	entry->psk = e;
	e->id = entry->id;
	e->type = (uint32_t)src->type;
	e->flags = (uint32_t)src->flags;
	if (!ret)
		ret = ask(&q, err);
	if (!ret)
		ret = dump_address(d, src->fd, e, err);
	if (ret < 0)
		return ret;
	dump_own(src->fd, e);
	if (e->type == SOCK_PACKET)
		return err_refuse(err, "packet socket of the obsolete type SOCK_PACKET");
	if (q.ring)
		return err_refuse(err, "packet socket with a ring (PACKET_RX_RING, PACKET_TX_RING)");
	e->has_fanout = q.fanout; /* CRIU 4.2 joins whatever group is named */
	e->fanout = q.fanout ? own_option(src->fd, PACKET_FANOUT) : 0;
	if (q.fanout && (e->fanout >> 16 & 0xff) >= TYPE_BPF)
		return err_refuse(err, "packet socket in a fanout group with a program, which cannot be read");
	return sock_dump_silent(d, src, what, &e->fown, &e->opts, err);
}

/* ---- restore ---- */

static int check(const PacketSockEntry *e, struct err *err)
{
	if (!e->opts || (e->type != SOCK_RAW && e->type != SOCK_DGRAM) || e->protocol > 0xffff ||
	    e->ifindex > INT32_MAX)
		return err_image(err, "files.img: packet socket %u: no options, or type, protocol or interface out of range",
				 e->id);
	for (size_t i = 0; i < e->n_mclist; i++)
		if (e->mclist[i]->addr.len > ADDR_MAX || e->mclist[i]->type > 0xffff ||
		    e->mclist[i]->index > INT32_MAX)
			return err_image(err, "files.img: packet socket %u: membership %zu out of range", e->id, i);
	if (e->rx_ring || e->tx_ring)
		return err_refuse(err, "files.img: packet socket %u has a ring, which this version cannot restore", e->id);
	return 0;
}

static void plan_options(struct plan *plan, uint32_t slot, const PacketSockEntry *e)
{
	const struct { int option; const char *name; uint32_t value, normal; } opts[] = {
		{ PACKET_VERSION, "PACKET_VERSION", e->version, TPACKET_V1 },
		{ PACKET_RESERVE, "PACKET_RESERVE", e->reserve, 0 },
		{ PACKET_COPY_THRESH, "PACKET_COPY_THRESH", e->copy_thresh, 0 },
		{ PACKET_TIMESTAMP, "PACKET_TIMESTAMP", e->timestamp, 0 },
		{ PACKET_AUXDATA, "PACKET_AUXDATA", e->aux_data, 0 },
		{ PACKET_ORIGDEV, "PACKET_ORIGDEV", e->orig_dev, 0 },
		{ PACKET_VNET_HDR, "PACKET_VNET_HDR", e->vnet_hdr, 0 },
		{ PACKET_VNET_HDR_SZ, "PACKET_VNET_HDR_SZ", e->has_vnet_hdr_sz ? e->vnet_hdr_sz : 0, 0 },
		{ PACKET_LOSS, "PACKET_LOSS", e->loss, 0 },
		{ PACKET_TX_HAS_OFF, "PACKET_TX_HAS_OFF", e->has_tx_has_off && e->tx_has_off, 0 },
		{ PACKET_QDISC_BYPASS, "PACKET_QDISC_BYPASS", e->has_qdisc_bypass && e->qdisc_bypass, 0 },
		{ PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", e->has_ignore_outgoing && e->ignore_outgoing, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++)
		if (opts[i].value != opts[i].normal)
			plan_sockopt(plan, MAKE_CONTENT, slot, opts[i].name, SOL_PACKET, opts[i].option,
				     (int)opts[i].value);
}

static int packetsk_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot,
			 struct err *err)
{
	const PacketSockEntry *e = entry->psk;
	struct program *c = plan->controller;
	const struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = (uint16_t)e->protocol,
					.sll_ifindex = (int)e->ifindex };
	int ret = check(e, err);

	(void)m;
	if (ret < 0)
		return ret;
	/* Of no protocol at first: nothing is captured before the filter is there. */
	plan_slot_is(plan, slot,
		     program_call(c, MAKE_OBJECTS, "packet socket", SYS_socket, A(AF_PACKET),
				  A(e->type | SOCK_NONBLOCK | SOCK_CLOEXEC), A(0)));
	ret = sock_options_plan(plan, slot, e->opts, err);
	if (ret < 0)
		return ret;
	plan_options(plan, slot, e);
	for (size_t i = 0; i < e->n_mclist; i++) {
		const PacketMclist *mc = e->mclist[i];
		struct mreq req = { (int)mc->index, (unsigned short)mc->type, (unsigned short)mc->addr.len, { 0 } };
		if (mc->addr.len)
			memcpy(req.addr, mc->addr.data, mc->addr.len);
		program_call(c, MAKE_CONTENT, "membership", SYS_setsockopt, A_SLOT(slot), A(SOL_PACKET),
			     A(PACKET_ADD_MEMBERSHIP), A_DATA(program_data(c, &req, sizeof(req))), A(sizeof(req)));
	}
	if (e->protocol || e->ifindex)
		program_call(c, MAKE_LAST, "bind to the interface", SYS_bind, A_SLOT(slot),
			     A_DATA(program_data(c, &ll, sizeof(ll))), A(sizeof(ll)));
	if (e->has_fanout && e->fanout != NO_FANOUT)
		plan_sockopt(plan, MAKE_LAST, slot, "PACKET_FANOUT", SOL_PACKET, PACKET_FANOUT, (int)e->fanout);
	plan_setfl(plan, slot, O_NONBLOCK, e->flags);
	sock_error_plan_deaf(plan, slot);
	return 0;
}

const struct file_kind packetsk_kind = {
	.name = "packet socket",
	.type = FD_TYPES__PACKETSK,
	.match = packetsk_match,
	.dump = packetsk_dump,
	.plan = packetsk_plan,
};
