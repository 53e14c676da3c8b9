// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A datagram that a UDP socket holds back (UDP_CORK, MSG_MORE). Nobody but the kernel can read it, so a dump looks where that has it
 * (common/bpf/kmem.h): each buffer in the socket's write queue has room for headers and, behind that, bytes; the first one has also room
 * for the header of UDP (__ip_append_data() in net/ipv4/ip_output.c, __ip6_append_data() in net/ipv6/ip6_output.c; Linux 6.18). Where it
 * goes, and how, was settled when its first part came, and is beside (struct inet_cork_full, struct inet6_cork). A restore says it again,
 * with MSG_MORE.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/bpf/kmem.h"
#include "common/sock/skbuff.h"
#include "common/sock/udp.h"

#define STATE_CONNECTED 1
#define DATA_MAX (UINT16_MAX - sizeof(struct udphdr))
#define TRIES 20
#define LOOPBACK 1
/* IPCORK_OPT and IPCORK_TS_OPT_ID of include/net/inet_sock.h; SKBFL_ZEROCOPY_ENABLE of include/linux/skbuff.h */
enum { CORK_HAS_OPTIONS = 1, CORK_HAS_STAMP = 4, BUFFER_IS_ZEROCOPY = 1 };
/* SOF_TIMESTAMPING_TX_HARDWARE, _SOFTWARE, _SCHED, _ACK and _COMPLETION */
#define TX_TIMESTAMPS (1u | 2 | 1 << 8 | 1 << 9 | 1 << 18)

/* ---- what is where ---- */

enum field {
	PENDING, LEN, OWN_SEGMENT, QUEUE_NEXT, QUEUE_PREV, QUEUE_LEN, FAMILY, DEVICE, OWN_PRIORITY, OWN_MARK, OWN_TOS, FLAGS, TX_FLAGS, TTL,
	TOS, PRIORITY, SEGMENT, TRANSMIT_TIME, MARK, IFINDEX, SADDR, DADDR, DPORT, SADDR6, DADDR6, DPORT6, LABEL, OPTIONS6, HOP_LIMIT,
	TCLASS, DONTFRAG, FIELDS
};
#define INET "udp.inet."
#define CORK INET "cork.base."
#define FLOW INET "cork.fl.u."
/* Of struct udp6_sock, which begins with what both families have. */
static const struct { const char *path; uint8_t size; bool optional; } fields[FIELDS] = {
	[PENDING] = { "udp.pending", 4 },
	[LEN] = { "udp.len", 2 },
	[OWN_SEGMENT] = { "udp.gso_size", 2 },
	[QUEUE_NEXT] = { INET "sk.sk_write_queue.next", 8 },
	[QUEUE_PREV] = { INET "sk.sk_write_queue.prev", 8 },
	[QUEUE_LEN] = { INET "sk.sk_write_queue.qlen", 4 },
	[FAMILY] = { INET "sk.__sk_common.skc_family", 2 },
	[DEVICE] = { INET "sk.__sk_common.skc_bound_dev_if", 4 },
	[OWN_PRIORITY] = { INET "sk.sk_priority", 4 },
	[OWN_MARK] = { INET "sk.sk_mark", 4 },
	[OWN_TOS] = { INET "tos", 1 },
	[FLAGS] = { CORK "flags", 4 },
	[TX_FLAGS] = { CORK "tx_flags", 1 },
	[TTL] = { CORK "ttl", 1 },
	[TOS] = { CORK "tos", 2 },
	[PRIORITY] = { CORK "priority", 4 },
	[SEGMENT] = { CORK "gso_size", 2 },
	[TRANSMIT_TIME] = { CORK "transmit_time", 8 },
	[MARK] = { CORK "mark", 4 },
	[IFINDEX] = { FLOW "__fl_common.flowic_oif", 4 },
	[SADDR] = { FLOW "ip4.saddr", 4 },
	[DADDR] = { FLOW "ip4.daddr", 4 },
	[DPORT] = { FLOW "ip4.uli.ports.dport", 2 },
	[SADDR6] = { FLOW "ip6.saddr", 0 },
	[DADDR6] = { FLOW "ip6.daddr", 0 },
	[DPORT6] = { FLOW "ip6.uli.ports.dport", 2 },
	[LABEL] = { FLOW "ip6.flowlabel", 4 },
	[OPTIONS6] = { "inet6.cork.opt", 8 },
	[HOP_LIMIT] = { "inet6.cork.hop_limit", 1 },
	[TCLASS] = { "inet6.cork.tclass", 1 },
	[DONTFRAG] = { "inet6.cork.dontfrag", 1, true },
};

struct udp_corks {
	struct kmem *k;
	struct btf_bits at[FIELDS];
	bool has_dontfrag, ready;
	size_t size[2]; /* of a socket of IPv4, of IPv6 */
	struct skb_layout skb;
};

void udp_corks_free(struct udp_corks *all)
{
	if (all)
		kmem_close(all->k);
	free(all);
}

static uint64_t get(const struct udp_corks *c, const char *sock, enum field f)
{
	return kmem_field(sock, &c->at[f], fields[f].size);
}

static int prepare(struct udp_corks *all, struct err *err)
{
	int ret = kmem_open(&all->k, err);

	if (ret < 0)
		return ret;
	const struct btf *b = kmem_types(all->k);
	all->size[0] = btf_size(b, "udp_sock");
	all->size[1] = btf_size(b, "udp6_sock");
	for (size_t i = 0; i < FIELDS; i++) {
		const bool has = btf_bits(b, "udp6_sock", fields[i].path, &all->at[i]);

		if (!has && !fields[i].optional)
			return btf_lacks("udp6_sock", fields[i].path, err);
		if (i == DONTFRAG)
			all->has_dontfrag = has;
	}
	ret = skb_layout_find(b, &all->skb, err);
	return ret ? ret : kmem_learn_pages(all->k, err);
}

static struct udp_corks *all_of(struct dump *d)
{
	struct udp_corks *all = d->files->corks;
	struct err why = ERR_INIT;

	if (all)
		return all;
	all = d->files->corks = xzalloc(sizeof(*all));
	all->ready = !prepare(all, &why);
	if (!all->ready)
		log_debug(d->log, "what UDP sockets hold back cannot be read: %s", why.reason);
	return all;
}

/* ---- dump ---- */

static int refuse_zerocopy(struct udp_corks *c, const char *skb, struct err *err)
{
	cleanup_free char *shared = xmalloc(c->skb.shared_size);
	int ret = skb_shared(c->k, &c->skb, skb, shared, err);

	if (!ret && skb_get(&c->skb, shared, SH_FLAGS) & BUFFER_IS_ZEROCOPY)
		ret = err_refuse(err, "it was sent with MSG_ZEROCOPY");
	return ret;
}

/* One buffer: what is behind the place of its headers. */
static int copy_part(struct udp_corks *c, uint64_t at, bool first, char *skb, struct skb_sink *s, uint64_t *next, struct err *err)
{
	const struct skb_layout *l = &c->skb;
	int ret = kmem_read(c->k, at, skb, l->skb_size, err);

	if (ret < 0)
		return ret;
	const uint64_t headers = skb_get(l, skb, SKB_HEAD) + skb_get(l, skb, SKB_TRANSPORT) - skb_get(l, skb, SKB_DATA) +
				 (first ? sizeof(struct udphdr) : 0);
	const uint64_t len = skb_get(l, skb, SKB_LEN);
	*next = skb_get(l, skb, SKB_NEXT);
	if (headers > len || len - headers > s->left)
		return err_set(err, ERR_FAILED, EPROTO, "buffers that are not what they are taken for");
	s->skip = headers;
	ret = refuse_zerocopy(c, skb, err);
	return ret ? ret : skb_copy(c->k, l, s, skb, err);
}

static int copy_queue(struct udp_corks *c, uint64_t sk, const char *sock, uint8_t *data, size_t len, struct err *err)
{
	const uint64_t end = sk + c->at[QUEUE_NEXT].at / 8; /* the head of the list has its pointers where a buffer has them */
	cleanup_free char *skb = xmalloc(c->skb.skb_size);
	struct skb_sink s = { .to = data, .left = len };
	uint64_t at = get(c, sock, QUEUE_NEXT);
	int ret = 0;

	for (size_t i = 0; !ret && at != end && i < SKB_QUEUE_MAX; i++)
		ret = copy_part(c, at, !i, skb, &s, &at, err);
	if (!ret && (at != end || s.left))
		ret = err_set(err, ERR_FAILED, EPROTO, "%zu bytes less than there must be", s.left);
	return ret;
}

/* Nobody writes while the tree is frozen; a check may come at any time. -EAGAIN: it has changed meanwhile. */
static int read_once(struct udp_corks *c, uint64_t sk, size_t size, char *sock, uint8_t *data, size_t *len, struct err *err)
{
	static const enum field same[] = { PENDING, LEN, QUEUE_NEXT, QUEUE_PREV, QUEUE_LEN };
	cleanup_free char *again = xmalloc(size);
	struct err why = ERR_INIT;
	int ret = kmem_read(c->k, sk, sock, size, err), found = 0;

	*len = 0;
	if (ret < 0 || !get(c, sock, PENDING))
		return ret;
	if (get(c, sock, LEN) < sizeof(struct udphdr))
		return -EAGAIN;
	*len = get(c, sock, LEN) - sizeof(struct udphdr);
	found = copy_queue(c, sk, sock, data, *len, &why);
	ret = kmem_read(c->k, sk, again, size, err);
	for (size_t i = 0; !ret && i < ARRAY_SIZE(same); i++)
		if (get(c, sock, same[i]) != get(c, again, same[i]))
			return -EAGAIN;
	if (!ret && found)
		*err = why;
	return ret ? ret : found;
}

static int read_held(struct udp_corks *c, int fd, uint32_t family, char *sock, uint8_t *data, size_t *len, struct err *err)
{
	const size_t size = c->size[family == AF_INET6];
	uint64_t file, sk;
	int ret = kmem_file(c->k, fd, &file, err);

	if (!ret)
		ret = kmem_follow(c->k, file, "file", "private_data->(socket)sk", &sk, err);
	if (ret < 0)
		return ret;
	ret = -EAGAIN;
	for (int i = 0; i < TRIES && ret == -EAGAIN && !err->kind; i++)
		ret = read_once(c, sk, size, sock, data, len, err);
	if (ret == -EAGAIN && !err->kind)
		return err_hint(err, err_refuse(err, "it changes while it is read"), "try again");
	if (!ret && get(c, sock, FAMILY) != family)
		return err_set(err, ERR_FEATURE, 0, "fields of struct udp_sock are not what they are taken for");
	return ret;
}

/* What a message asked for itself, and no option of the socket tells. */
static int refuse_settings(const struct udp_corks *c, const char *sock, const InetSkEntry *e, struct err *err)
{
	const bool v6 = get(c, sock, PENDING) == AF_INET6;

	if (v6 ? get(c, sock, OPTIONS6) != 0 : get(c, sock, FLAGS) & CORK_HAS_OPTIONS)
		return err_refuse(err, v6 ? "it has extension headers" : "it has options of IP, as source routes are");
	if (v6 && ntohl((uint32_t)get(c, sock, LABEL)) & 0xfffff)
		return err_refuse(err, "it has a flow label");
	if (get(c, sock, TX_FLAGS) || get(c, sock, FLAGS) & CORK_HAS_STAMP ||
	    (e->opts->has_so_timestamping && e->opts->so_timestamping & TX_TIMESTAMPS))
		return err_refuse(err, "the time when it is sent is asked for (SO_TIMESTAMPING)");
	if (get(c, sock, TRANSMIT_TIME))
		return err_refuse(err, "it is to be sent at a certain time (SO_TXTIME)");
	if (e->has_error)
		return err_refuse(err, "and an error waits to be read");
	return 0;
}

/* Addresses of the message as 4 or 16 bytes, and those of the socket, where it has such. */
struct ends { uint8_t from[16], to[16]; size_t len; uint16_t port; const uint8_t *own, *peer; };

static void find_ends(const struct udp_corks *c, const char *sock, const InetSkEntry *e, struct ends *a)
{
	const bool v6 = get(c, sock, PENDING) == AF_INET6;
	const uint32_t from = (uint32_t)get(c, sock, SADDR), to = (uint32_t)get(c, sock, DADDR);

	a->len = v6 ? 16 : 4;
	memcpy(a->from, v6 ? sock + c->at[SADDR6].at / 8 : (const char *)&from, a->len);
	memcpy(a->to, v6 ? sock + c->at[DADDR6].at / 8 : (const char *)&to, a->len);
	a->port = ntohs((uint16_t)get(c, sock, v6 ? DPORT6 : DPORT));
	/* Of a mapped address the last word. */
	a->own = (const uint8_t *)e->src_addr + 4 * e->n_src_addr - a->len;
	a->peer = e->state == STATE_CONNECTED ? (const uint8_t *)e->dst_addr + 4 * e->n_dst_addr - a->len : NULL;
}

static void fill_addresses(struct dump *d, const struct udp_corks *c, const char *sock, const InetSkEntry *e, CorkedUdpEntry *o)
{
	const uint32_t ifindex = (uint32_t)get(c, sock, IFINDEX);
	struct ends a;

	find_ends(c, sock, e, &a);
	if (!a.peer || a.port != e->dst_port || memcmp(a.to, a.peer, a.len)) {
		o->has_to = o->has_to_port = true;
		o->to.len = a.len;
		o->to.data = arena_dup(d->arena, a.to, a.len);
		o->to_port = a.port;
	}
	o->has_from = memcmp(a.from, a.own, a.len) != 0;
	o->from.len = o->has_from ? a.len : 0;
	o->from.data = arena_dup(d->arena, a.from, a.len);
	/* A route to this host itself leads there, whatever was asked for (ip_route_output_key_hash_rcu()). */
	o->has_ifindex = ifindex && ifindex != get(c, sock, DEVICE) && (a.len == 16 || ifindex != LOOPBACK);
	o->ifindex = ifindex;
}

/* What a type of service that a message asks for sets, too (ip_tos2prio[] in net/ipv4/route.c). */
static const uint8_t priorities[4] = { 0, 2, 6, 4 };

static void fill(struct dump *d, const struct udp_corks *c, const char *sock, const InetSkEntry *e, CorkedUdpEntry *o)
{
	const bool v6 = get(c, sock, PENDING) == AF_INET6;
	const int16_t tos = (int16_t)get(c, sock, TOS);

	fill_addresses(d, c, sock, e, o);
	o->v6 = v6;
	o->ttl = (uint32_t)get(c, sock, v6 ? HOP_LIMIT : TTL);
	o->has_ttl = v6 || o->ttl;
	o->tos = v6 ? (uint32_t)get(c, sock, TCLASS) : (uint8_t)tos;
	o->has_tos = v6 || (tos >= 0 && o->tos != get(c, sock, OWN_TOS));
	o->dontfrag = v6 && c->has_dontfrag && get(c, sock, DONTFRAG);
	o->has_dontfrag = v6 && c->has_dontfrag;
	/* Where no type of service was settled, it is the socket's (__ip_make_skb() before Linux 6.14). */
	o->priority = (uint32_t)get(c, sock, PRIORITY);
	o->has_priority = (v6 || tos >= 0) &&
			  o->priority != (!v6 && o->has_tos ? priorities[o->tos >> 3 & 3] : get(c, sock, OWN_PRIORITY));
	o->mark = (uint32_t)get(c, sock, MARK);
	o->has_mark = o->mark != get(c, sock, OWN_MARK);
	o->segment = (uint32_t)get(c, sock, SEGMENT);
	o->has_segment = o->segment != get(c, sock, OWN_SEGMENT);
}

int udp_cork_dump(struct dump *d, int fd, InetSkEntry *e, const char *what, struct err *err)
{
	struct udp_corks *c = all_of(d);
	CorkedUdpEntry *o;
	size_t len = 0;
	int ret;

	if (!c->ready)
		return 0;
	cleanup_free char *sock = xzalloc(c->size[1]);
	cleanup_free uint8_t *data = xmalloc(DATA_MAX + 1);
	ret = read_held(c, fd, e->family, sock, data, &len, err);
	if (!ret && get(c, sock, PENDING))
		ret = refuse_settings(c, sock, e, err);
	if (ret < 0)
		return err_hint(err, err_object(err, ret, "%s: data that was not sent yet (UDP_CORK, MSG_MORE)", what),
				"let the program send it, and try again");
	if (!get(c, sock, PENDING))
		return 0;
	o = arena_msg(d->arena, CorkedUdpEntry, corked_udp_entry__init);
	fill(d, c, sock, e, o);
	o->data.len = len;
	o->data.data = arena_dup(d->arena, data, len + 1);
	e->corked = o;
	return 0;
}

/* ---- restore ---- */

struct control { _Alignas(struct cmsghdr) unsigned char bytes[256]; size_t len; };

static void put(struct control *c, int level, int type, const void *value, size_t len)
{
	struct cmsghdr h = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };

	memcpy(c->bytes + c->len, &h, sizeof(h));
	memcpy(CMSG_DATA((struct cmsghdr *)(void *)(c->bytes + c->len)), value, len);
	c->len += CMSG_SPACE(len);
}

static void put_int(struct control *c, bool has, int level, int type, uint32_t value)
{
	const int v = (int)value;

	if (has)
		put(c, level, type, &v, sizeof(v));
}

static void put_source(struct control *c, const CorkedUdpEntry *o)
{
	struct in_pktinfo v4 = { .ipi_ifindex = o->has_ifindex ? (int)o->ifindex : 0 };
	struct in6_pktinfo v6 = { .ipi6_ifindex = o->has_ifindex ? o->ifindex : 0 };

	if (!o->has_from && !o->has_ifindex)
		return;
	memcpy(o->v6 ? (void *)&v6.ipi6_addr : (void *)&v4.ipi_spec_dst, o->from.data, o->has_from ? o->from.len : 0);
	if (o->v6)
		put(c, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
	else
		put(c, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
}

static void put_all(struct control *c, const CorkedUdpEntry *o)
{
	const uint16_t segment = (uint16_t)o->segment;

	put_source(c, o);
	put_int(c, o->has_ttl, o->v6 ? IPPROTO_IPV6 : IPPROTO_IP, o->v6 ? IPV6_HOPLIMIT : IP_TTL, o->ttl);
	put_int(c, o->has_tos, o->v6 ? IPPROTO_IPV6 : IPPROTO_IP, o->v6 ? IPV6_TCLASS : IP_TOS, o->tos);
	put_int(c, o->has_dontfrag, IPPROTO_IPV6, IPV6_DONTFRAG, o->dontfrag);
	/* Behind the type of service, which sets it. */
	put_int(c, o->has_priority, SOL_SOCKET, SO_PRIORITY, o->priority);
	put_int(c, o->has_mark, SOL_SOCKET, SO_MARK, o->mark);
	if (o->has_segment)
		put(c, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
}

static socklen_t destination(const InetSkEntry *e, const CorkedUdpEntry *o, union inet_address *to)
{
	*to = (union inet_address){ .sa.sa_family = (sa_family_t)e->family };
	if (e->family == AF_INET) {
		to->in.sin_port = htons((uint16_t)o->to_port);
		memcpy(&to->in.sin_addr, o->to.data, 4);
		return sizeof(to->in);
	}
	to->in6.sin6_port = htons((uint16_t)o->to_port);
	if (!o->v6)
		memset(to->in6.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(to->in6.sin6_addr.s6_addr + 16 - o->to.len, o->to.data, o->to.len);
	if (IN6_IS_ADDR_LINKLOCAL(&to->in6.sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&to->in6.sin6_addr))
		to->in6.sin6_scope_id = o->has_ifindex ? o->ifindex : 0;
	return sizeof(to->in6);
}

static int check(const InetSkEntry *e, const CorkedUdpEntry *o, struct err *err)
{
	const size_t len = o->v6 ? 16 : 4;

	if (o->data.len > DATA_MAX)
		return err_image(err, "files.img: UDP socket %u: %zu bytes that were not sent yet; at most %zu are possible", e->id,
				 o->data.len, (size_t)DATA_MAX);
	if ((o->v6 && e->family != AF_INET6) || (o->has_to && o->to.len != len) || (o->has_from && o->from.len != len) ||
	    (o->has_to ? !o->to_port || o->to_port > UINT16_MAX : e->state != STATE_CONNECTED))
		return err_image(err, "files.img: UDP socket %u: data that was not sent yet, and an address that cannot be", e->id);
	if (o->ttl > UINT8_MAX || o->tos > UINT8_MAX || o->segment > UINT16_MAX || (o->has_ifindex && o->ifindex > INT32_MAX))
		return err_image(err, "files.img: UDP socket %u: data that was not sent yet: a number out of range", e->id);
	if (e->has_error)
		return err_image(err, "files.img: UDP socket %u: data that was not sent yet, and an error", e->id);
	return 0;
}

/* A buffer of the program's choice may be too small for what was put in before it was chosen. */
static bool needs_room(const struct plan *plan, const InetSkEntry *e)
{
	return e->corked->data.len > e->opts->so_sndbuf / 4 && !(plan->lacks >> CAP_NET_ADMIN & 1);
}

static void plan_send(struct plan *plan, const InetSkEntry *e, uint32_t slot)
{
	const CorkedUdpEntry *o = e->corked;
	struct program *p = plan->controller;
	struct control control = { .len = 0 };
	union inet_address to;
	struct msghdr msg = { .msg_iovlen = o->data.len != 0 };
	const struct iovec iov = { .iov_len = o->data.len };
	struct data_ref m, v, d;

	put_all(&control, o);
	msg.msg_controllen = control.len;
	msg.msg_namelen = o->has_to ? destination(e, o, &to) : 0;
	m = program_data(p, &msg, sizeof(msg));
	v = program_data(p, &iov, sizeof(iov));
	d = program_data(p, o->data.data, o->data.len);
	program_data_pointer(p, m, offsetof(struct msghdr, msg_iov), v, 0);
	program_data_pointer(p, v, offsetof(struct iovec, iov_base), d, 0);
	if (control.len)
		program_data_pointer(p, m, offsetof(struct msghdr, msg_control), program_data(p, control.bytes, control.len), 0);
	if (o->has_to)
		program_data_pointer(p, m, offsetof(struct msghdr, msg_name), program_data(p, &to, msg.msg_namelen), 0);
	program_call_eq(p, MAKE_LAST, "data that is not sent yet", o->data.len, SYS_sendmsg, A_SLOT(slot), A_DATA(m),
			A(MSG_MORE | MSG_NOSIGNAL));
}

int udp_cork_plan(const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	int ret = e->corked ? check(e, e->corked, err) : 0;
	bool room;

	if (ret < 0 || !e->corked)
		return ret;
	room = needs_room(plan, e);
	if (room)
		plan_sockopt(plan, MAKE_LAST, slot, "room for what is not sent yet", SOL_SOCKET, SO_SNDBUFFORCE, 4 << 16);
	plan_send(plan, e, slot);
	if (room) {
		plan_sockopt(plan, MAKE_LAST, slot, "SO_SNDBUFFORCE", SOL_SOCKET, SO_SNDBUFFORCE, (int)(e->opts->so_sndbuf / 2));
		plan_sockopt(plan, MAKE_LAST, slot, "SO_BUF_LOCK", SOL_SOCKET, 72 /* SO_BUF_LOCK */,
			     e->opts->has_so_buf_lock ? (int)(e->opts->so_buf_lock & 3) : 3);
	}
	return 0;
}
