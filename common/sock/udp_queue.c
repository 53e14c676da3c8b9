// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagrams that wait in UDP sockets. A dump looks at them with MSG_PEEK and SO_PEEK_OFF, which steps from one to the next. A restore
 * sends them again from a raw socket with headers of our own, so the sender may be anybody; they go over the loopback device, where no
 * route is asked for the source (the packet keeps the route that it was sent by: ip_rcv_finish_core(), ip6_rcv_finish_core()).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/sock/reuse.h"
#include "common/sock/udp.h"

#define DATAGRAM_MAX 65536
#define DATAGRAMS_MAX (1u << 20)
/* A datagram costs the receiver this much more than its bytes, at most (SKB_TRUESIZE of rounded up heads). */
#define DATAGRAM_COST 2304

/* ---- dump ---- */

/* What a look at one datagram gives. */
struct look {
	union inet_address from;
	unsigned char to[16];
	size_t to_len; /* 0: not shown */
	uint32_t to_ifindex;
	int tos, ttl;  /* -1: not shown */
	int segment;   /* UDP_GRO: several of this size in one, 0: one */
	size_t len;
};

static void take_control(struct msghdr *msg, struct look *l)
{
	l->tos = l->ttl = -1;
	l->to_len = 0;
	l->segment = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const void *p = CMSG_DATA(c);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			const struct in_pktinfo *info = p;
			memcpy(l->to, &info->ipi_addr, l->to_len = 4);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			memcpy(l->to, &((const struct sockaddr_in *)p)->sin_addr, l->to_len = 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			const struct in6_pktinfo *info = p;
			memcpy(l->to, &info->ipi6_addr, l->to_len = 16);
			l->to_ifindex = (uint32_t)info->ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
			memcpy(l->to, &((const struct sockaddr_in6 *)p)->sin6_addr, l->to_len = 16);
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			l->tos = *(const unsigned char *)p;
		} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			memcpy(&l->ttl, p, sizeof(int));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			memcpy(&l->tos, p, sizeof(int));
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&l->segment, p, sizeof(int));
		}
	}
}

/* The datagram at the peek offset: 1, or 0 when there is none. */
static int peek(int fd, unsigned char *buf, struct look *l, struct err *err)
{
	_Alignas(struct cmsghdr) char control[1024];
	struct iovec iov = { buf, DATAGRAM_MAX };
	struct msghdr msg = { .msg_name = &l->from, .msg_namelen = sizeof(l->from), .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control, .msg_controllen = sizeof(control) };

	memset(l, 0, sizeof(*l));
	ssize_t n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return errno == EAGAIN ? 0 : err_sys(err, "cannot look into the queue of a socket");
	if (n > DATAGRAM_MAX || msg.msg_flags & MSG_CTRUNC)
		return err_set(err, ERR_FAILED, EMSGSIZE, "a datagram in a queue is larger than datagrams are");
	l->len = (size_t)n;
	take_control(&msg, l);
	return 1;
}

static bool is_mapped(const union inet_address *a)
{
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
}

/* The address of ours that a packet of this sender comes to: the one that this host answers from. */
static size_t guess_destination(int fd, const struct look *l, unsigned char to[16], uint32_t *ifindex)
{
	union inet_address own = { 0 };
	socklen_t len = l->from.sa.sa_family == AF_INET ? sizeof(own.in) : sizeof(own.in6);
	cleanup_fd int probe = socket(l->from.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	union inet_address peer = l->from;
	int device = sock_option(fd, 62 /* SO_BINDTOIFINDEX */);

	if (peer.sa.sa_family == AF_INET && !peer.in.sin_port)
		peer.in.sin_port = htons(9);
	if (device > 0)
		setsockopt(probe, SOL_SOCKET, 62, &device, sizeof(device));
	if (probe < 0 || connect(probe, &peer.sa, len) < 0 || getsockname(probe, &own.sa, &len) < 0) {
		if (l->from.sa.sa_family == AF_INET || is_mapped(&l->from)) {
			memcpy(to, &(struct in_addr){ htonl(INADDR_LOOPBACK) }, 4);
			return 4;
		}
		memcpy(to, &in6addr_loopback, 16);
		return 16;
	}
	if (own.sa.sa_family == AF_INET) {
		memcpy(to, &own.in.sin_addr, 4);
		return 4;
	}
	memcpy(to, &own.in6.sin6_addr, 16);
	*ifindex = own.in6.sin6_scope_id;
	return 16;
}

/* Where it is to be sent again, as 4 or 16 bytes; a mapped IPv4 address counts as IPv4. */
static int destination(int fd, const InetSkEntry *e, struct look *l, const char *what, struct err *err)
{
	static const uint32_t any[4];
	const bool four = e->family == AF_INET || is_mapped(&l->from);

	if (!l->to_len && memcmp(e->src_addr, any, 4 * e->n_src_addr)) {
		memcpy(l->to, e->src_addr, l->to_len = 4 * e->n_src_addr);
		if (l->to_len == 16 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)(const void *)l->to))
			l->to_ifindex = l->from.in6.sin6_scope_id;
	}
	if (!l->to_len)
		l->to_len = guess_destination(fd, l, l->to, &l->to_ifindex);
	if (l->to_len == 16 && four) {
		memmove(l->to, l->to + 12, 4);
		l->to_len = 4;
	}
	const uint32_t v4 = four ? ntohl(*(const uint32_t *)(const void *)l->to) : 0;
	if (four ? IN_MULTICAST(v4) || v4 == INADDR_BROADCAST : l->to[0] == 0xff)
		return err_hint(err, err_refuse(err, "%s: a datagram in its queue went to a group of hosts, and would again",
						what),
				"let the program read it, and try again");
	return 0;
}

static void put(struct dump *d, uint32_t id, const struct look *l, const unsigned char *bytes, size_t len)
{
	const bool four = l->from.sa.sa_family == AF_INET || is_mapped(&l->from);
	SkPacketEntry p = SK_PACKET_ENTRY__INIT;

	p.id_for = id;
	p.length = (uint32_t)len;
	p.has_inet_from = p.has_inet_from_port = p.has_inet_to = true;
	p.inet_from.len = four ? 4 : 16;
	p.inet_from.data = l->from.sa.sa_family == AF_INET ? (uint8_t *)(uintptr_t)&l->from.in.sin_addr :
							     (uint8_t *)(uintptr_t)&l->from.in6.sin6_addr + (four ? 12 : 0);
	p.inet_from_port = ntohs(l->from.sa.sa_family == AF_INET ? l->from.in.sin_port : l->from.in6.sin6_port);
	p.inet_to.len = l->to_len;
	p.inet_to.data = (uint8_t *)(uintptr_t)l->to;
	p.has_inet_to_ifindex = l->to_len == 16 && l->to[0] == 0xfe && l->to_ifindex;
	p.inet_to_ifindex = l->to_ifindex;
	p.has_inet_tos = l->tos > 0;
	p.inet_tos = (uint32_t)MAX(l->tos, 0);
	p.has_inet_ttl = l->ttl >= 0;
	p.inet_ttl = (uint32_t)MAX(l->ttl, 0);
	image_store_put(d->store, IMG_SK_QUEUES, 0, &p.base);
	image_store_payload(d->store, IMG_SK_QUEUES, 0, bytes, len);
}

static int dump_one(struct dump *d, int fd, const InetSkEntry *e, struct look *l, const unsigned char *buf,
		    const char *what, struct err *err)
{
	const size_t step = l->segment > 0 ? (size_t)l->segment : l->len;
	size_t off = 0;
	int ret = destination(fd, e, l, what, err);

	if (ret < 0)
		return ret;
	/* The kernel would put one in. */
	if (l->from.sa.sa_family == AF_INET && !l->from.in.sin_addr.s_addr)
		return err_refuse(err, "%s: a datagram in its queue has no sender's address", what);
	do {
		put(d, e->id, l, buf + off, MIN(step, l->len - off));
		off += step;
	} while (off < l->len);
	return 0;
}

/* l: the first one, which was looked at without an offset. */
static int dump_all(struct dump *d, int fd, const InetSkEntry *e, struct look *l, unsigned char *buf, const char *what,
		    struct err *err)
{
	int ret = 0;

	/* An empty one is stepped over once it was looked at (__skb_try_recv_from_queue() in net/core/datagram.c). */
	if (!l->len)
		ret = dump_one(d, fd, e, l, buf, what, err);
	for (size_t n = 0; !ret && (ret = peek(fd, buf, l, err)) > 0; n++) {
		if (n >= DATAGRAMS_MAX)
			return err_refuse(err, "%s: more than %u datagrams in its queue", what, DATAGRAMS_MAX);
		ret = dump_one(d, fd, e, l, buf, what, err);
	}
	return ret;
}

int udp_dump_queue(struct dump *d, int fd, const InetSkEntry *e, const char *what, struct err *err)
{
	int old = sock_option(fd, SO_PEEK_OFF), off = -1, zero = 0;
	struct pollfd p = { fd, POLLIN, 0 };
	struct look l;

	/* Nearly always there is nothing, and then nothing of the socket is touched. */
	if (poll(&p, 1, 0) < 0)
		return err_sys(err, "cannot poll a socket");
	if (!(p.revents & POLLIN))
		return 0;
	cleanup_free unsigned char *buf = xmalloc(DATAGRAM_MAX);
	if (old >= 0 && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0)
		return err_sys(err, "cannot step through the queue of a socket (SO_PEEK_OFF)");
	int ret = peek(fd, buf, &l, err);
	if (ret > 0 && e->proto != IPPROTO_UDP) {
		ret = err_refuse(err, "%s: UDP-Lite datagrams in its queue", what);
	} else if (ret > 0) {
		ret = setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) < 0 ?
			      err_sys(err, "cannot step through the queue of a socket (SO_PEEK_OFF)") :
			      dump_all(d, fd, e, &l, buf, what, err);
	}
	off = MAX(old, -1);
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0 && ret >= 0)
		ret = err_sys(err, "cannot give a socket its SO_PEEK_OFF back");
	return ret;
}

/* ---- restore ---- */

static uint32_t add_words(uint32_t sum, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (n & 1)
		sum += (uint32_t)p[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint16_t udp_sum(const SkPacketEntry *p, const struct udphdr *u, size_t len)
{
	uint32_t sum = add_words(IPPROTO_UDP + (uint32_t)len, p->inet_from.data, p->inet_from.len);

	sum = add_words(sum, p->inet_to.data, p->inet_to.len);
	sum = add_words(sum, u, len);
	sum = ~sum & 0xffff;
	return htons(sum ? (uint16_t)sum : 0xffff);
}

/* The packet with its headers; gives its length. */
static size_t build(const struct sock_packet *q, uint16_t port, unsigned char *out)
{
	const SkPacketEntry *p = q->entry;
	const bool six = p->inet_to.len == 16;
	struct udphdr *u = (void *)(out + (six ? sizeof(struct ip6_hdr) : sizeof(struct iphdr)));
	const size_t len = sizeof(*u) + q->len, all = (size_t)((unsigned char *)u - out) + len;
	const uint32_t tos = p->has_inet_tos ? p->inet_tos & 0xff : 0, ttl = p->has_inet_ttl ? p->inet_ttl & 0xff : 64;

	*u = (struct udphdr){ .source = htons((uint16_t)p->inet_from_port), .dest = htons(port),
			      .len = htons((uint16_t)len) };
	if (q->len)
		memcpy(u + 1, q->bytes, q->len);
	u->check = udp_sum(p, u, len);
	if (six) {
		struct ip6_hdr *ip = (void *)out;
		*ip = (struct ip6_hdr){ 0 };
		ip->ip6_flow = htonl(6u << 28 | tos << 20);
		ip->ip6_plen = htons((uint16_t)len);
		ip->ip6_nxt = IPPROTO_UDP;
		ip->ip6_hlim = (uint8_t)ttl;
		memcpy(&ip->ip6_src, p->inet_from.data, 16);
		memcpy(&ip->ip6_dst, p->inet_to.data, 16);
	} else {
		struct iphdr *ip = (void *)out;
		*ip = (struct iphdr){ .version = 4, .ihl = 5, .tos = (uint8_t)tos, .tot_len = htons((uint16_t)all),
				      .ttl = (uint8_t)ttl, .protocol = IPPROTO_UDP };
		memcpy(&ip->saddr, p->inet_from.data, 4);
		memcpy(&ip->daddr, p->inet_to.data, 4);
	}
	return all;
}

/* One for all datagrams of a family; no task keeps it. */
static uint32_t sender(struct plan *plan, bool six)
{
	const uint32_t family = six ? AF_INET6 : AF_INET;
	uint32_t slot;

	if (file_slot_known(plan, FD_TYPES__UND, family, O_RDWR, &slot))
		return slot;
	slot = file_slot_new(plan, FD_TYPES__UND, family, O_RDWR, "sends datagrams again");
	plan_slot_is(plan, slot, program_call(plan->controller, MAKE_OBJECTS, "sends datagrams again", SYS_socket, A(family),
					      A(SOCK_RAW | SOCK_CLOEXEC), A(IPPROTO_RAW)));
	return slot;
}

static int check_packet(const struct sock_packet *q, const InetSkEntry *e, struct err *err)
{
	const SkPacketEntry *p = q->entry;
	const size_t n = p->inet_to.len;

	if (!p->has_inet_from || !p->has_inet_to)
		return err_image(err, "sk-queues.img: a datagram for internet socket %u without addresses", e->id);
	if ((n != 4 && n != 16) || p->inet_from.len != n || (n == 16 && e->family == AF_INET) ||
	    p->inet_from_port > UINT16_MAX || q->len > (n == 4 ? 65507u : 65487u))
		return err_image(err, "sk-queues.img: a datagram for internet socket %u: addresses or length out of range",
				 e->id);
	return 0;
}

static void plan_peer(struct plan *plan, const InetSkEntry *e, const SkPacketEntry *p, uint32_t slot, bool on)
{
	struct program *c = plan->controller;
	union inet_address a = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a.sa);

	if (on) {
		a.sa.sa_family = (sa_family_t)e->family;
		if (e->family == AF_INET) {
			memcpy(&a.in.sin_addr, p->inet_from.data, 4);
			a.in.sin_port = htons((uint16_t)p->inet_from_port);
			len = sizeof(a.in);
		} else {
			if (p->inet_from.len == 4)
				memset(a.in6.sin6_addr.s6_addr + 10, 0xff, 2);
			memcpy(a.in6.sin6_addr.s6_addr + 16 - p->inet_from.len, p->inet_from.data, p->inet_from.len);
			a.in6.sin6_port = htons((uint16_t)p->inet_from_port);
			a.in6.sin6_scope_id = p->has_inet_to_ifindex ? p->inet_to_ifindex : 0;
			len = sizeof(a.in6);
		}
	}
	program_call(c, MAKE_CONTENT, on ? "sender as peer, for now" : "no peer again", SYS_connect, A_SLOT(slot),
		     A_DATA(program_data(c, &a, len)), A(len));
}

/*
 * What the moments with a peer leave behind, but for has_conns of a group and, of who has any address, its place there: the processor that
 * the last datagram came on (udp_queue_rcv_skb()), and no device (__udp_disconnect()).
 */
static void plan_no_trace(struct plan *plan, const InetSkEntry *e, uint32_t slot)
{
	const char *device = e->opts->so_bound_dev ? e->opts->so_bound_dev : e->ifname;
	struct program *c = plan->controller;

	plan_sockopt(plan, MAKE_CONTENT, slot, "SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU,
		     e->opts->has_so_incoming_cpu ? (int)e->opts->so_incoming_cpu : -1);
	if (device)
		program_call(c, MAKE_CONTENT, "SO_BINDTODEVICE", SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET), A(SO_BINDTODEVICE),
			     A_DATA(program_string(c, device)), A(strlen(device) + 1));
}

/* What comes to the group goes to the member with this index, until the program is taken away. */
static void plan_choice(struct plan *plan, uint32_t slot, uint32_t index)
{
	const struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, index);
	const struct sock_fprog prog = { .len = 1 };
	struct program *c = plan->controller;
	struct data_ref head = program_data(c, &prog, sizeof(prog));

	program_data_pointer(c, head, offsetof(struct sock_fprog, filter), program_data(c, &code, sizeof(code)), 0);
	program_call(c, MAKE_CONTENT, "chosen of its group, for now", SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET),
		     A(SO_ATTACH_REUSEPORT_CBPF), A_DATA(head), A(sizeof(prog)));
}

static void plan_packet(struct plan *plan, const InetSkEntry *e, const struct sock_packet *q, uint32_t slot, uint32_t raw,
			bool look, unsigned char *buf)
{
	const SkPacketEntry *p = q->entry;
	struct program *c = plan->controller;
	union inet_address to = { 0 };
	socklen_t len;

	if (p->inet_to.len == 16) {
		to.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						.sin6_scope_id = p->has_inet_to_ifindex ? p->inet_to_ifindex : 0 };
		memcpy(&to.in6.sin6_addr, p->inet_to.data, 16);
		len = sizeof(to.in6);
	} else {
		to.in = (struct sockaddr_in){ .sin_family = AF_INET };
		memcpy(&to.in.sin_addr, p->inet_to.data, 4);
		len = sizeof(to.in);
	}
	size_t n = build(q, (uint16_t)e->src_port, buf);
	program_call_eq(c, MAKE_CONTENT, "queued datagram", n, SYS_sendto, A_SLOT(raw), A_DATA(program_data(c, buf, n)), A(n),
			A(MSG_NOSIGNAL), A_DATA(program_data(c, &to, len)), A(len));
	/* Waits until it is there, and makes sure that it is. */
	if (look)
		program_call_eq(c, MAKE_CONTENT, "queued datagram has arrived", q->len, SYS_recvfrom, A_SLOT(slot),
				A_DATA(program_data(c, NULL, 16)), A(1), A(MSG_PEEK | MSG_TRUNC), A(0), A(0));
}

int udp_plan_queue(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	struct program *c = plan->controller;
	const struct timeval wait[2] = { { 2, 0 }, { 0, 0 } };
	const struct sock_packet *v;
	uint64_t room = 65536;
	enum reuse_way way;
	uint32_t index;
	size_t n;
	int ret = sock_packets(m, plan, e->id, &v, &n, err);

	if (ret < 0 || !n)
		return ret;
	if (!e->src_port || e->proto != IPPROTO_UDP)
		return err_image(err, "sk-queues.img: datagrams for internet socket %u, which can have none", e->id);
	for (size_t i = 0; i < n; i++) {
		ret = check_packet(&v[i], e, err);
		if (ret < 0)
			return ret;
		room += v[i].len + DATAGRAM_COST;
	}
	ret = reuse_way_of(m, e, plan, &way, &index, err);
	if (ret < 0)
		return ret;
	bool look = true; /* until an empty one comes, of which a look would leave a mark */
	cleanup_free unsigned char *buf = xmalloc(DATAGRAM_MAX + 128);
	plan_sockopt(plan, MAKE_CONTENT, slot, "room for what was queued", SOL_SOCKET, SO_RCVBUFFORCE,
		     (int)MIN(room, (uint64_t)INT32_MAX / 2));
	plan_sockopt(plan, MAKE_CONTENT, slot, "SO_PEEK_OFF, for now", SOL_SOCKET, SO_PEEK_OFF, 0);
	for (int i = 0; i < 2; i++) {
		program_call(c, MAKE_CONTENT, "SO_RCVTIMEO, for now", SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET),
			     A(SO_RCVTIMEO), A_DATA(program_data(c, &wait[i], sizeof(wait[i]))), A(sizeof(wait[i])));
		if (i)
			break;
		program_call(c, MAKE_CONTENT, "blocking, for now", SYS_fcntl, A_SLOT(slot), A(F_SETFL), A(0));
		if (way == REUSE_INDEX)
			plan_choice(plan, slot, index);
		for (size_t k = 0; k < n; k++) {
			if (way == REUSE_PEER)
				plan_peer(plan, e, v[k].entry, slot, true);
			look = look && v[k].len;
			plan_packet(plan, e, &v[k], slot, sender(plan, v[k].entry->inet_to.len == 16), look, buf);
			if (way == REUSE_PEER)
				plan_peer(plan, e, v[k].entry, slot, false);
		}
		if (way == REUSE_INDEX)
			plan_sockopt(plan, MAKE_CONTENT, slot, "chosen by the kernel again", SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0);
	}
	if (way == REUSE_PEER)
		plan_no_trace(plan, e, slot);
	plan_sockopt(plan, MAKE_CONTENT, slot, "SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, -1);
	plan_sockopt(plan, MAKE_CONTENT, slot, "SO_RCVBUFFORCE", SOL_SOCKET, SO_RCVBUFFORCE, (int)(e->opts->so_rcvbuf / 2));
	plan_sockopt(plan, MAKE_CONTENT, slot, "SO_BUF_LOCK", SOL_SOCKET, 72 /* SO_BUF_LOCK */,
		     e->opts->has_so_buf_lock ? (int)(e->opts->so_buf_lock & 3) : 3);
	plan_setfl(plan, slot, 0, e->flags);
	return 0;
}
