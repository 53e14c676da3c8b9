// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows are in the order in which options are set. Sources: do_ip_getsockopt(), do_ipv6_getsockopt(), do_tcp_getsockopt(). */
#include "common/sock/inetopt.h"
#include "common/sock/ahead.h"

#include <errno.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define VALUE_MAX 256
#define PLAN_VALUE_MAX 16384

enum {
	V4 = 1, V6 = 2, BOTH_FAMILIES = 3,
	TCP = 4,       /* TCP only */
	NO_STREAM = 8, /* the kernel refuses it for streams */
	CLOSED = 16,   /* only where nothing is connected: else the kernel owns it */
	UDP = 32,      /* UDP and UDP-Lite only */
	RAW = 64,      /* raw sockets only */
};

static const struct row {
	uint16_t level, name;
	uint8_t of; /* bits above */
	uint8_t when;
	const char *word;
} rows[] = {
#define E(level, n, of, word) { level, n, of, INETOPT_EARLY, word }
#define L(level, n, of, word) { level, n, of, INETOPT_LATE, word }
	E(IPPROTO_IP, 19, BOTH_FAMILIES, "IP_TRANSPARENT"),
	E(IPPROTO_IP, 24, BOTH_FAMILIES, "IP_BIND_ADDRESS_NO_PORT"),
	E(IPPROTO_IP, 51, BOTH_FAMILIES, "IP_LOCAL_PORT_RANGE"),
	E(IPPROTO_IP, 4, V4, "IP_OPTIONS"),
	L(IPPROTO_IP, 10, BOTH_FAMILIES, "IP_MTU_DISCOVER"),
	L(IPPROTO_IP, 11, BOTH_FAMILIES, "IP_RECVERR"),
	L(IPPROTO_IP, 26, BOTH_FAMILIES, "IP_RECVERR_RFC4884"),
	L(IPPROTO_IP, 12, BOTH_FAMILIES, "IP_RECVTTL"),
	L(IPPROTO_IP, 13, BOTH_FAMILIES, "IP_RECVTOS"),
	L(IPPROTO_IP, 6, BOTH_FAMILIES, "IP_RECVOPTS"),
	L(IPPROTO_IP, 7, BOTH_FAMILIES, "IP_RETOPTS"),
	L(IPPROTO_IP, 18, BOTH_FAMILIES, "IP_PASSSEC"),
	L(IPPROTO_IP, 20, BOTH_FAMILIES, "IP_RECVORIGDSTADDR"),
	L(IPPROTO_IP, 21, BOTH_FAMILIES, "IP_MINTTL"),
	L(IPPROTO_IP, 23, BOTH_FAMILIES, "IP_CHECKSUM"),
	L(IPPROTO_IP, 5, V4 | RAW, "IP_ROUTER_ALERT"),
	L(IPPROTO_IP, 8, V6, "IP_PKTINFO"), /* ip_opts has that of the socket's own family */
	L(IPPROTO_IP, 25, BOTH_FAMILIES | NO_STREAM, "IP_RECVFRAGSIZE"),
	L(IPPROTO_IP, 33, BOTH_FAMILIES | NO_STREAM, "IP_MULTICAST_TTL"),
	L(IPPROTO_IP, 34, BOTH_FAMILIES, "IP_MULTICAST_LOOP"),
	L(IPPROTO_IP, 49, BOTH_FAMILIES, "IP_MULTICAST_ALL"),
	L(IPPROTO_IP, 50, BOTH_FAMILIES, "IP_UNICAST_IF"),
	E(IPPROTO_IPV6, 75, V6, "IPV6_TRANSPARENT"),
	E(IPPROTO_IPV6, 78, V6, "IPV6_FREEBIND"),
	L(IPPROTO_IPV6, 16, V6, "IPV6_UNICAST_HOPS"),
	L(IPPROTO_IPV6, 18, V6 | NO_STREAM, "IPV6_MULTICAST_HOPS"),
	L(IPPROTO_IPV6, 19, V6, "IPV6_MULTICAST_LOOP"),
	L(IPPROTO_IPV6, 29, V6, "IPV6_MULTICAST_ALL"),
	L(IPPROTO_IPV6, 22, V6 | RAW, "IPV6_ROUTER_ALERT"), /* tells only that there is one */
	L(IPPROTO_IPV6, 30, V6, "IPV6_ROUTER_ALERT_ISOLATE"),
	L(IPPROTO_IPV6, 23, V6, "IPV6_MTU_DISCOVER"),
	L(IPPROTO_IPV6, 25, V6, "IPV6_RECVERR"),
	L(IPPROTO_IPV6, 31, V6, "IPV6_RECVERR_RFC4884"),
	L(IPPROTO_IPV6, 33, V6, "IPV6_FLOWINFO_SEND"),
	L(IPPROTO_IPV6, 11, V6, "IPV6_FLOWINFO"),
	L(IPPROTO_IPV6, 49, V6, "IPV6_RECVPKTINFO"),
	L(IPPROTO_IPV6, 51, V6, "IPV6_RECVHOPLIMIT"),
	L(IPPROTO_IPV6, 53, V6, "IPV6_RECVHOPOPTS"),
	L(IPPROTO_IPV6, 56, V6, "IPV6_RECVRTHDR"),
	L(IPPROTO_IPV6, 58, V6, "IPV6_RECVDSTOPTS"),
	L(IPPROTO_IPV6, 60, V6, "IPV6_RECVPATHMTU"),
	L(IPPROTO_IPV6, 62, V6, "IPV6_DONTFRAG"),
	L(IPPROTO_IPV6, 66, V6, "IPV6_RECVTCLASS"),
	L(IPPROTO_IPV6, 67, V6, "IPV6_TCLASS"),
	L(IPPROTO_IPV6, 70, V6, "IPV6_AUTOFLOWLABEL"),
	L(IPPROTO_IPV6, 72, V6, "IPV6_ADDR_PREFERENCES"),
	L(IPPROTO_IPV6, 73, V6, "IPV6_MINHOPCOUNT"),
	L(IPPROTO_IPV6, 74, V6, "IPV6_RECVORIGDSTADDR"),
	L(IPPROTO_IPV6, 76, V6, "IPV6_UNICAST_IF"),
	L(IPPROTO_IPV6, 77, V6, "IPV6_RECVFRAGSIZE"),
	L(IPPROTO_IPV6, 54, V6, "IPV6_HOPOPTS"),
	L(IPPROTO_IPV6, 55, V6, "IPV6_RTHDRDSTOPTS"),
	L(IPPROTO_IPV6, 57, V6, "IPV6_RTHDR"),
	L(IPPROTO_IPV6, 59, V6, "IPV6_DSTOPTS"),
	E(IPPROTO_TCP, 2, BOTH_FAMILIES | TCP | CLOSED, "TCP_MAXSEG"),
	E(IPPROTO_TCP, 7, BOTH_FAMILIES | TCP, "TCP_SYNCNT"),
	E(IPPROTO_TCP, 8, BOTH_FAMILIES | TCP, "TCP_LINGER2"),
	E(IPPROTO_TCP, 9, BOTH_FAMILIES | TCP, "TCP_DEFER_ACCEPT"),
	L(IPPROTO_TCP, 10, BOTH_FAMILIES | TCP, "TCP_WINDOW_CLAMP"), /* connect(2) rounds it */
	E(IPPROTO_TCP, 13, BOTH_FAMILIES | TCP, "TCP_CONGESTION"),
	E(IPPROTO_TCP, 16, BOTH_FAMILIES | TCP, "TCP_THIN_LINEAR_TIMEOUTS"),
	E(IPPROTO_TCP, 18, BOTH_FAMILIES | TCP, "TCP_USER_TIMEOUT"),
	E(IPPROTO_TCP, 33, BOTH_FAMILIES | TCP | CLOSED, "TCP_FASTOPEN_KEY"),
	E(IPPROTO_TCP, 23, BOTH_FAMILIES | TCP | CLOSED, "TCP_FASTOPEN"),
	L(IPPROTO_TCP, 30, BOTH_FAMILIES | TCP | CLOSED, "TCP_FASTOPEN_CONNECT"),
	E(IPPROTO_TCP, 34, BOTH_FAMILIES | TCP, "TCP_FASTOPEN_NO_COOKIE"),
	L(IPPROTO_TCP, 25, BOTH_FAMILIES | TCP, "TCP_NOTSENT_LOWAT"), /* what is queued may be more */
	E(IPPROTO_TCP, 27, BOTH_FAMILIES | TCP, "TCP_SAVE_SYN"),
	L(IPPROTO_TCP, 36, BOTH_FAMILIES | TCP, "TCP_INQ"),
	E(IPPROTO_TCP, 37, BOTH_FAMILIES | TCP, "TCP_TX_DELAY"),
	E(IPPROTO_TCP, 44, BOTH_FAMILIES | TCP, "TCP_RTO_MAX_MS"),
	E(IPPROTO_TCP, 45, BOTH_FAMILIES | TCP, "TCP_RTO_MIN_US"),
	E(IPPROTO_TCP, 46, BOTH_FAMILIES | TCP, "TCP_DELACK_MAX_US"),
	L(IPPROTO_TCP, 12, BOTH_FAMILIES | TCP, "TCP_QUICKACK"),
	L(IPPROTO_IP, 32, BOTH_FAMILIES | NO_STREAM, "IP_MULTICAST_IF"),
	L(IPPROTO_IPV6, 17, V6 | NO_STREAM, "IPV6_MULTICAST_IF"),
	L(IPPROTO_IPV6, 2, V6, "IPV6_2292PKTINFO"),
	L(IPPROTO_IPV6, 3, V6, "IPV6_2292HOPOPTS"),
	L(IPPROTO_IPV6, 4, V6, "IPV6_2292DSTOPTS"),
	L(IPPROTO_IPV6, 5, V6, "IPV6_2292RTHDR"),
	L(IPPROTO_IPV6, 8, V6, "IPV6_2292HOPLIMIT"),
	/* Memberships: mcast.c writes them. */
	L(IPPROTO_IP, 42, BOTH_FAMILIES | NO_STREAM, "MCAST_JOIN_GROUP"),
	L(IPPROTO_IP, 48, BOTH_FAMILIES | NO_STREAM, "MCAST_MSFILTER"),
	L(IPPROTO_IPV6, 42, V6 | NO_STREAM, "MCAST_JOIN_GROUP"),
	L(IPPROTO_IPV6, 48, V6 | NO_STREAM, "MCAST_MSFILTER"),
	L(255 /* SOL_RAW: IPPROTO_IPV6 will not have it of ICMPv6 */, 7, V6 | RAW, "IPV6_CHECKSUM"),
	L(IPPROTO_UDP, 1, BOTH_FAMILIES | UDP, "UDP_CORK"),
	L(IPPROTO_UDP, 100, BOTH_FAMILIES | UDP, "UDP_ENCAP"),
	L(IPPROTO_UDP, 101, BOTH_FAMILIES | UDP, "UDP_NO_CHECK6_TX"),
	L(IPPROTO_UDP, 102, BOTH_FAMILIES | UDP, "UDP_NO_CHECK6_RX"),
	L(IPPROTO_UDP, 103, BOTH_FAMILIES | UDP, "UDP_SEGMENT"),
	L(IPPROTO_UDP, 104, BOTH_FAMILIES | UDP, "UDP_GRO"),
	L(IPPROTO_UDPLITE, 10, BOTH_FAMILIES | UDP, "UDPLITE_SEND_CSCOV"),
	L(IPPROTO_UDPLITE, 11, BOTH_FAMILIES | UDP, "UDPLITE_RECV_CSCOV"),
#undef E
#undef L
};

_Static_assert(ARRAY_SIZE(rows) <= 64 * INETOPT_WORDS, "a bit for each row");

struct value { socklen_t len; bool there; unsigned char bytes[VALUE_MAX]; };
struct inetopt_fresh {
	int family, type, protocol;
	struct value values[ARRAY_SIZE(rows)];
	struct inetopt_fresh *next;
};

static bool applies(const struct row *r, int family, int type, int protocol, bool connected)
{
	if (!(r->of & (family == AF_INET6 ? V6 : V4)))
		return false;
	if (r->of & TCP && protocol != IPPROTO_TCP)
		return false;
	if (r->of & UDP && (type != SOCK_DGRAM || (protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE)))
		return false;
	if (r->of & RAW && type != SOCK_RAW)
		return false;
	if (r->of & NO_STREAM && type == SOCK_STREAM)
		return false;
	return !(r->of & CLOSED && connected);
}

static void get(int fd, const struct row *r, struct value *v)
{
	/* Most are an int; a name (congestion control), keys and headers tell their own length. */
	v->len = sizeof(v->bytes);
	v->there = getsockopt(fd, r->level, r->name, v->bytes, &v->len) == 0 && v->len <= sizeof(v->bytes);
	if (v->there && r->level == IPPROTO_TCP && r->name == TCP_CONGESTION)
		v->len = (socklen_t)strnlen((char *)v->bytes, v->len);
}

static int fresh_values(struct dump *d, int family, int type, int protocol, const struct inetopt_fresh **out,
			struct err *err)
{
	for (struct inetopt_fresh *f = d->fresh_sockets; f; f = f->next)
		if (f->family == family && f->type == type && f->protocol == protocol) {
			*out = f;
			return 0;
		}
	cleanup_fd int fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return err_sys(err, "cannot make a socket to compare with");
	struct inetopt_fresh *f = arena_alloc(d->arena, sizeof(*f));
	*f = (struct inetopt_fresh){ .family = family, .type = type, .protocol = protocol, .next = d->fresh_sockets };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (applies(&rows[i], family, type, protocol, false))
			get(fd, &rows[i], &f->values[i]);
	*out = d->fresh_sockets = f;
	return 0;
}

/* What no other number changes, or what changes the whole host (a delay of sending: NULL, and length 1). */
static const struct { int level, name; const void *value; socklen_t len; } odd_changes[] = {
	{ IPPROTO_IP, 4 /* IP_OPTIONS */, "\1\1\1", 4 },
	{ IPPROTO_IP, 50 /* IP_UNICAST_IF */, "\0\0\0\1", 4 },
	{ IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, "\x40\x75\x50\xc3", 4 },
	{ IPPROTO_TCP, TCP_CONGESTION, "reno", 4 },
	{ IPPROTO_TCP, TCP_FASTOPEN_KEY, "a key for nobody", 16 },
	{ IPPROTO_TCP, TCP_TX_DELAY, NULL, 1 },
};

bool inetopt_change(size_t i, struct sock_change *c)
{
	if (i >= ARRAY_SIZE(rows))
		return false;
	*c = (struct sock_change){ .level = rows[i].level, .name = rows[i].name };
	if (!applies(&rows[i], AF_INET, SOCK_STREAM, IPPROTO_TCP, false))
		c->len = 1;
	for (size_t k = 0; k < ARRAY_SIZE(odd_changes); k++)
		if (odd_changes[k].level == c->level && odd_changes[k].name == c->name) {
			c->value = odd_changes[k].value;
			c->len = odd_changes[k].len;
		}
	return true;
}

static const struct row *row_of(const SockOptEntry *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].level == o->level && rows[i].name == o->name)
			return &rows[i];
	return NULL;
}

static void append(struct dump *d, SockOptEntry *const *found, size_t k, SockOptEntry ***v, size_t *n)
{
	SockOptEntry **all;

	if (!k)
		return;
	all = arena_alloc(d->arena, (*n + k) * sizeof(*all));
	if (*n)
		memcpy(all, *v, *n * sizeof(*all));
	memcpy(all + *n, found, k * sizeof(*found));
	*v = all;
	*n += k;
}

static void take_told(struct dump *d, const struct sock_told *told, bool connected, SockOptEntry ***v, size_t *n)
{
	SockOptEntry *found[ARRAY_SIZE(rows)];
	size_t k = 0;

	for (size_t i = 0; i < told->nmore; i++)
		if (!connected || !(row_of(told->more[i])->of & CLOSED))
			found[k++] = told->more[i];
	append(d, found, k, v, n);
}

int inetopt_dump(struct dump *d, const struct fd_source *src, bool connected, SockOptEntry ***v, size_t *n, struct err *err)
{
	const struct sock_told *told = sock_ahead_get(d, src->ahead);

	if (told) {
		take_told(d, told, connected, v, n);
		return 0;
	}
	return inetopt_ask(d, src, connected, NULL, NULL, v, n, err);
}

/* Less than TCP_MAXSEG takes (TCP_MIN_MSS) is what IP_OPTIONS make of it before there is a route. */
static bool is_outcome(const struct row *r, const struct value *v)
{
	int mss;

	memcpy(&mss, v->bytes, sizeof(mss));
	return r->level == IPPROTO_TCP && r->name == TCP_MAXSEG && mss < 88;
}

/* The options of another socket that are not asked, in their places. */
static size_t take_others(const struct sock_told *others, size_t row, size_t *next, SockOptEntry **found)
{
	if (!others || *next == others->nmore || row_of(others->more[*next]) != &rows[row])
		return 0;
	*found = others->more[(*next)++];
	return 1;
}

int inetopt_ask(struct dump *d, const struct fd_source *src, bool connected, const uint64_t *asked, const struct sock_told *others,
		SockOptEntry ***v, size_t *n, struct err *err)
{
	const struct inetopt_fresh *fresh = NULL;
	SockOptEntry *found[ARRAY_SIZE(rows)], *other;
	size_t k = 0, next = 0;
	int ret = fresh_values(d, src->domain, src->type, src->protocol, &fresh, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const size_t taken = take_others(others, i, &next, &other);
		struct value now;

		if (asked && !(asked[i / 64] >> i % 64 & 1)) {
			if (taken)
				found[k++] = other;
			continue;
		}
		/* What a fresh socket does not show is not an option of this kernel. */
		if (!fresh->values[i].there || !applies(&rows[i], src->domain, src->type, src->protocol, connected))
			continue;
		get(src->fd, &rows[i], &now);
		if (!now.there || (now.len == fresh->values[i].len && !memcmp(now.bytes, fresh->values[i].bytes, now.len)) ||
		    is_outcome(&rows[i], &now))
			continue;
		found[k] = arena_msg(d->arena, SockOptEntry, sock_opt_entry__init);
		found[k]->level = rows[i].level;
		found[k]->name = rows[i].name;
		found[k]->value.len = now.len;
		found[k]->value.data = arena_dup(d->arena, now.bytes, now.len + 1);
		k++;
	}
	append(d, found, k, v, n);
	return 0;
}

int inetopt_plan(struct plan *plan, uint32_t slot, int phase, enum inetopt_when when, SockOptEntry *const *v, size_t n,
		 struct err *err)
{
	struct program *c = plan->controller;

	for (size_t i = 0; i < n; i++) {
		const struct row *r = row_of(v[i]);

		if (!r || v[i]->value.len > PLAN_VALUE_MAX)
			return err_image(err, "socket option %u of level %u: not one that a dump writes", v[i]->name,
					 v[i]->level);
		if (r->when != when)
			continue;
		program_call(c, phase, r->word, SYS_setsockopt, A_SLOT(slot), A(r->level), A(r->name),
			     A_DATA(program_data(c, v[i]->value.data, v[i]->value.len)), A(v[i]->value.len));
	}
	return 0;
}
