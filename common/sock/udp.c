// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagram sockets of IPv4 and IPv6: UDP, UDP-Lite, ping and raw sockets. What waits in a UDP socket comes back from its
 * sender (udp_queue.c); what a raw or ping socket holds was meant for all such sockets of the host, so it cannot.
 */
#include <errno.h>
#include <linux/icmp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/io.h"
#include "common/sock/inet.h"
#include "common/sock/reuse.h"
#include "common/sock/sockerr.h"
#include "common/sock/udp.h"

#define STATE_CONNECTED 1
#define STATE_CLOSED 7
#define UNSENT_TRIES 50 /* of a millisecond: a packet leaves a network queue sooner, as a rule */

static bool udp_match(int type, int protocol)
{
	return type == SOCK_DGRAM && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

static bool ping_match(int type, int protocol)
{
	return type == SOCK_DGRAM && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6);
}

static bool raw_match(int type, int protocol)
{
	return type == SOCK_RAW && protocol != 262 /* IPPROTO_MPTCP */;
}

/* ---- dump ---- */

/*
 * Data that is held back (UDP_CORK, MSG_MORE) shows in the memory that is accounted for sending only, together with packets that are on
 * their way out. Of a UDP socket it can be read (udp_cork.c), as a rule.
 */
static int refuse_unsent(int fd, const char *what, struct err *err)
{
	const struct timespec pause = { 0, 1000000 };
	int bytes = 0;

	for (int i = 0; i < UNSENT_TRIES; i++) {
		if (ioctl(fd, SIOCOUTQ, &bytes) < 0)
			return err_sys(err, "cannot read how much a socket has to send");
		if (bytes <= 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	return err_hint(err, err_refuse(err, "%s: data that was not sent yet (UDP_CORK, MSG_MORE, or a slow network)", what),
			"let the program send it, and try again");
}

static int dump_unsent(struct dump *d, int fd, InetSkEntry *e, const char *what, struct err *err)
{
	int bytes = 0, ret;

	if (ioctl(fd, SIOCOUTQ, &bytes) < 0)
		return err_sys(err, "cannot read how much a socket has to send");
	if (bytes <= 0)
		return 0;
	ret = udp_cork_dump(d, fd, e, what, err);
	return ret < 0 || e->corked ? ret : refuse_unsent(fd, what, err);
}

/* poll(2) shows whether it is closed for reading, or for both; for writing alone only sock_diag tells. */
static int dump_shutdown(struct dump *d, int fd, InetSkEntry *e, struct err *err)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };
	unsigned told = 0;
	int ret = 0;

	if (poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP))
		told = p.revents & POLLHUP ? SK_SHUTDOWN__BOTH : SK_SHUTDOWN__READ;
	else if (udp_match((int)e->type, (int)e->proto))
		ret = inet_shutdown_told(d, fd, e->ino, &told, err);
	e->has_shutdown = told != 0;
	e->shutdown = (SkShutdown)told;
	return ret;
}

/* Line of /proc/net/FILE whose inode (tenth column) is ino; NULL when there is none. Columns are split by NULs. */
static char *proc_line(char *text, uint64_t ino, char *columns[10])
{
	for (char *line = text, *next; line && *line; line = next) {
		uint64_t n = 0;
		char *save = NULL;
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		for (size_t i = 0; i < 10; i++)
			columns[i] = strtok_r(i ? NULL : line, " ", &save);
		const char *p = columns[9];
		if (p && !fdinfo_number(&p, 10, &n) && n == ino)
			return line;
	}
	return NULL;
}

/*
 * getpeername(2) denies a peer without a port, which raw and ping sockets have as a rule; /proc/net tells (raw_get_first()
 * in net/ipv4/raw.c: addresses as words in memory order, the state behind them).
 */
static int dump_portless_peer(struct dump *d, InetSkEntry *e, bool *connected, struct err *err)
{
	const char *file = e->type == SOCK_RAW ? (e->family == AF_INET6 ? "/proc/net/raw6" : "/proc/net/raw") :
						 (e->family == AF_INET6 ? "/proc/net/icmp6" : "/proc/net/icmp");
	const size_t words = e->family == AF_INET6 ? 4 : 1;
	cleanup_free char *text = NULL;
	char *columns[10];
	uint64_t state = 0;
	size_t len;

	if (read_file_at(AT_FDCWD, file, 64u << 20, &text, &len) || !proc_line(text, e->ino, columns))
		return err_set(err, ERR_FAILED, ENOENT, "%s does not show socket:[%u]", file, e->ino);
	const char *st = columns[3];
	if (fdinfo_number(&st, 16, &state) || strlen(columns[2]) < words * 8)
		return err_set(err, ERR_FAILED, EPROTO, "%s cannot be understood", file);
	*connected = state == STATE_CONNECTED;
	if (!*connected)
		return 0;
	e->n_dst_addr = words;
	e->dst_addr = arena_alloc(d->arena, 16);
	for (size_t i = 0; i < words; i++) {
		char word[9] = "";
		const char *p = word;
		uint64_t v = 0;
		memcpy(word, columns[2] + 8 * i, 8);
		if (fdinfo_number(&p, 16, &v))
			return err_set(err, ERR_FAILED, EPROTO, "%s cannot be understood", file);
		e->dst_addr[i] = (uint32_t)v;
	}
	return 0;
}

static bool has_peer(int fd)
{
	union inet_address peer = { 0 };
	socklen_t len = sizeof(peer);

	return getpeername(fd, &peer.sa, &len) == 0;
}

static int dgram_dump(struct dump *d, const struct fd_source *src, InetSkEntry *e, const char *what, struct err *err)
{
	bool connected = has_peer(src->fd);
	int ret = sock_refuse_netns(src->fd, what, err);

	if (!ret)
		ret = inet_fill(d, src, e, connected, err);
	if (!ret)
		ret = mcast_dump(d, src->fd, e, err);
	if (!ret && !connected && !udp_match((int)e->type, (int)e->proto))
		ret = dump_portless_peer(d, e, &connected, err);
	if (ret < 0)
		return ret;
	e->state = connected ? STATE_CONNECTED : STATE_CLOSED;
	ret = dump_shutdown(d, src->fd, e, err);
	return ret < 0 ? ret : sock_error_dump(d, src, e, what, err);
}

static bool is_mapped(const uint32_t *a)
{
	return !a[0] && !a[1] && a[2] == htonl(0xffff);
}

/* One that had an IPv6 peer, and then an IPv4 one, keeps the address that it had for the first; bound to that, none connects to IPv4. */
static int refuse_mixture(const InetSkEntry *e, const char *what, struct err *err)
{
	static const uint32_t any[4];

	if (e->family != AF_INET6 || e->n_src_addr != 4 || e->n_dst_addr != 4 || !e->dst_port || !is_mapped(e->dst_addr) ||
	    is_mapped(e->src_addr) || !memcmp(e->src_addr, any, sizeof(any)))
		return 0;
	return err_refuse(err, "%s: it has an IPv6 address, and is connected to an IPv4 one", what);
}

static int udp_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err)
{
	char what[300];

	(void)entry;
	sock_describe(src->fd, what, sizeof(what));
	int ret = dgram_dump(d, src, e, what, err);
	if (!ret)
		ret = refuse_mixture(e, what, err);
	if (!ret) {
		reuse_dump(d, src->fd, e);
		ret = dump_unsent(d, src->fd, e, what, err);
	}
	if (!ret && !e->has_error)
		ret = udp_dump_queue(d, src->fd, e, what, err);
	return ret;
}

static int ping_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err)
{
	char what[300];

	(void)entry;
	sock_describe(src->fd, what, sizeof(what));
	int ret = dgram_dump(d, src, e, what, err);
	return ret < 0 || e->has_error ? ret : sock_refuse_queue(src->fd, what, err);
}

static void dump_raw_options(struct dump *d, int fd, InetSkEntry *e)
{
	IpOptsRawEntry *o = arena_msg(d->arena, IpOptsRawEntry, ip_opts_raw_entry__init);
	uint32_t filter[8] = { 0 }, used = 0;
	const bool six = e->family == AF_INET6;
	socklen_t len = sizeof(int);
	int v = 0;

	o->has_hdrincl = getsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_HDRINCL : IP_HDRINCL, &v, &len) == 0;
	o->hdrincl = v != 0;
	v = 0;
	len = sizeof(v);
	o->has_nodefrag = !six && getsockopt(fd, IPPROTO_IP, IP_NODEFRAG, &v, &len) == 0;
	o->nodefrag = v != 0;
	len = six ? sizeof(filter) : sizeof(filter[0]);
	if (e->proto == (six ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
	    getsockopt(fd, six ? IPPROTO_ICMPV6 : SOL_RAW, 1 /* ICMP_FILTER, ICMPV6_FILTER */, filter, &len) == 0) {
		for (size_t i = 0; i < len / 4; i++)
			used |= filter[i];
		o->n_icmpv_filter = used ? len / 4 : 0;
		o->icmpv_filter = arena_dup(d->arena, filter, sizeof(filter));
	}
	e->ip_opts->raw = o;
}

static int raw_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, InetSkEntry *e, struct err *err)
{
	char what[300];

	(void)entry;
	sock_describe(src->fd, what, sizeof(what));
	int ret = dgram_dump(d, src, e, what, err);
	if (ret < 0)
		return ret;
	dump_raw_options(d, src->fd, e);
	ret = refuse_unsent(src->fd, what, err);
	return ret < 0 ? ret : sock_refuse_queue(src->fd, what, err);
}

/* ---- restore ---- */

/* The address of a raw socket has no port: where there seems to be one, it is the protocol. */
static void plan_connect(struct plan *plan, const InetSkEntry *e, uint32_t slot)
{
	struct program *c = plan->controller;
	union inet_address peer;
	socklen_t len = inet_address_of(e, true, &peer);

	if (e->state == STATE_CONNECTED)
		program_call(c, MAKE_CONTENT, "connect", SYS_connect, A_SLOT(slot), A_DATA(program_data(c, &peer, len)),
			     A(len));
	/* It says ENOTCONN of an unconnected one, and does its work. */
	if (e->has_shutdown && e->shutdown >= SK_SHUTDOWN__READ && e->shutdown <= SK_SHUTDOWN__BOTH)
		program_try(c, MAKE_LAST, "shutdown", SYS_shutdown, A_SLOT(slot), A((uint64_t)e->shutdown - 1));
}

static int check(const InetSkEntry *e, struct err *err)
{
	if (e->has_error && e->type == SOCK_RAW)
		return err_image(err, "files.img: raw socket %u: an error waits to be read", e->id);
	if (e->state != STATE_CONNECTED && e->state != STATE_CLOSED)
		return err_image(err, "files.img: datagram socket %u: no such state %u", e->id, e->state);
	if (e->state == STATE_CONNECTED && !e->n_dst_addr)
		return err_image(err, "files.img: datagram socket %u: connected to no address", e->id);
	return 0;
}

static int udp_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	int ret = check(e, err);

	if (!ret)
		ret = reuse_plan_before(m, e, plan, err);
	if (!ret)
		ret = inet_plan_socket(plan, e, slot, err);
	if (ret < 0)
		return ret;
	inet_plan_bind(plan, e, false, slot);
	ret = inet_plan_options(plan, e, slot, err);
	/* From anybody: before there is a peer. */
	if (!ret)
		ret = udp_plan_queue(m, e, plan, slot, err);
	/* It may be closed for sending by now. */
	if (!ret)
		ret = udp_cork_plan(e, plan, slot, err);
	if (!ret)
		plan_connect(plan, e, slot);
	return ret ? ret : sock_error_plan(e, plan, slot, err);
}

static void plan_raw_options(struct plan *plan, const InetSkEntry *e, uint32_t slot)
{
	const IpOptsRawEntry *o = e->ip_opts ? e->ip_opts->raw : NULL;
	const bool six = e->family == AF_INET6;
	struct program *c = plan->controller;

	if (o && o->has_hdrincl)
		plan_sockopt(plan, MAKE_CONTENT, slot, "IP_HDRINCL", six ? IPPROTO_IPV6 : IPPROTO_IP,
			     six ? IPV6_HDRINCL : IP_HDRINCL, o->hdrincl);
	if (o && o->has_nodefrag && o->nodefrag && !six)
		plan_sockopt(plan, MAKE_CONTENT, slot, "IP_NODEFRAG", IPPROTO_IP, IP_NODEFRAG, 1);
	if (o && o->n_icmpv_filter == (six ? 8 : 1))
		program_call(c, MAKE_OBJECTS, "ICMP filter", SYS_setsockopt, A_SLOT(slot),
			     A(six ? IPPROTO_ICMPV6 : SOL_RAW), A(1),
			     A_DATA(program_data(c, o->icmpv_filter, 4 * o->n_icmpv_filter)),
			     A(4 * o->n_icmpv_filter));
}

static int raw_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	InetSkEntry *own = arena_dup(plan->arena, e, sizeof(*e));
	int ret = check(e, err);

	(void)m;
	own->src_port = own->dst_port = 0;
	own->has_v6only = false; /* it cannot be set, for such a socket has its "port" from the beginning */
	if (!ret)
		ret = inet_plan_socket(plan, own, slot, err);
	if (ret < 0)
		return ret;
	plan_raw_options(plan, e, slot);
	inet_plan_bind(plan, own, false, slot);
	ret = inet_plan_options(plan, e, slot, err);
	if (!ret)
		plan_connect(plan, own, slot);
	sock_error_plan_deaf(plan, slot);
	return ret;
}

static int ping_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	int ret = check(e, err);

	(void)m;
	if (!ret)
		ret = inet_plan_socket(plan, e, slot, err);
	if (ret < 0)
		return ret;
	inet_plan_bind(plan, e, false, slot);
	ret = inet_plan_options(plan, e, slot, err);
	if (!ret)
		plan_connect(plan, e, slot);
	return ret ? ret : sock_error_plan(e, plan, slot, err);
}

const struct inet_protocol udp_protocol = {
	.name = "UDP socket", .match = udp_match, .dump = udp_dump, .plan = udp_plan,
};
const struct inet_protocol ping_protocol = {
	.name = "ping socket", .match = ping_match, .dump = ping_dump, .plan = ping_plan,
};
const struct inet_protocol raw_protocol = {
	.name = "raw socket", .match = raw_match, .dump = raw_dump, .plan = raw_plan,
};
