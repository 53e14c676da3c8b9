// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets of IPv4 and IPv6: what does not depend on the protocol. */
#include "common/sock/inet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/sock/ahead.h"

#define STATE_CLOSED 7 /* TCP_CLOSE */
#define STATE_LISTEN 10 /* TCP_LISTEN */

static const struct inet_protocol *const protocols[] = {
	&tcp_protocol,
	&udp_protocol,
	&ping_protocol,
	&raw_protocol,
};

/* ---- dump ---- */

static const struct inet_protocol *protocol_of(int type, int protocol)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (protocols[i]->match(type, protocol))
			return protocols[i];
	return NULL;
}

static bool inetsk_match(const struct fd_source *src)
{
	return (src->domain == AF_INET || src->domain == AF_INET6) && protocol_of(src->type, src->protocol);
}

static void put_address(struct dump *d, const union inet_address *a, uint32_t *port, size_t *n, uint32_t **words)
{
	*words = arena_alloc(d->arena, 16);
	if (a->sa.sa_family == AF_INET) {
		*port = ntohs(a->in.sin_port);
		*n = 1;
		memcpy(*words, &a->in.sin_addr, 4);
	} else {
		*port = ntohs(a->in6.sin6_port);
		*n = 4;
		memcpy(*words, &a->in6.sin6_addr, 16);
	}
}

bool inet_peer(int fd, int family, bool connected, union inet_address *out)
{
	socklen_t len = sizeof(*out);

	*out = (union inet_address){ 0 };
	if (getpeername(fd, &out->sa, &len) == 0)
		return true;
	/* Before the handshake is over only this tells it (sk_getsockopt() in net/core/sock.c). */
	len = family == AF_INET ? sizeof(out->in) : sizeof(out->in6);
	if (connected && getsockopt(fd, SOL_SOCKET, SO_PEERNAME, out, &len) == 0)
		return true;
	*out = (union inet_address){ .sa.sa_family = (sa_family_t)family };
	return false;
}

static int fill_addresses(struct dump *d, int fd, InetSkEntry *e, bool connected, struct err *err)
{
	union inet_address a = { 0 };
	socklen_t len = sizeof(a);
	char name[IF_NAMESIZE];

	if (getsockname(fd, &a.sa, &len) < 0)
		return err_sys(err, "cannot read the address of a socket");
	put_address(d, &a, &e->src_port, &e->n_src_addr, &e->src_addr);
	if (a.sa.sa_family == AF_INET6 && a.in6.sin6_scope_id && if_indextoname(a.in6.sin6_scope_id, name))
		e->ifname = arena_strdup(d->arena, name);
	inet_peer(fd, (int)e->family, connected, &a);
	put_address(d, &a, &e->dst_port, &e->n_dst_addr, &e->dst_addr);
	return 0;
}

static int int_of(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) < 0 ? 0 : v;
}

/* Of two options that both families have, a raw socket takes but that of its own, and v1.1 means this one. */
static int own_level(uint32_t family)
{
	return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

IpOptsEntry *inet_ip_options(struct dump *d, int fd, uint32_t family)
{
	const bool v6 = family == AF_INET6;
	IpOptsEntry *o = arena_msg(d->arena, IpOptsEntry, ip_opts_entry__init);

	o->has_freebind = o->freebind = int_of(fd, own_level(family), v6 ? IPV6_FREEBIND : IP_FREEBIND) != 0;
	o->has_pktinfo = o->pktinfo = int_of(fd, own_level(family), v6 ? IPV6_RECVPKTINFO : IP_PKTINFO) != 0;
	o->tos = (uint32_t)int_of(fd, IPPROTO_IP, IP_TOS);
	o->has_tos = o->tos != 0;
	o->ttl = (uint32_t)int_of(fd, IPPROTO_IP, IP_TTL);
	o->has_ttl = o->ttl != 0;
	return o;
}

static void fill_ip_options(struct dump *d, const struct fd_source *src, InetSkEntry *e)
{
	const struct sock_told *told = sock_ahead_get(d, src->ahead);

	e->ip_opts = told && told->ip ? told->ip : inet_ip_options(d, src->fd, e->family);
	e->has_v6only = e->family == AF_INET6;
	e->v6only = e->has_v6only && int_of(src->fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
}

int inet_fill(struct dump *d, const struct fd_source *src, InetSkEntry *e, bool connected, struct err *err)
{
	int ret;

	e->ino = (uint32_t)src->st.st_ino;
	e->family = (uint32_t)src->domain;
	e->type = (uint32_t)src->type;
	e->proto = (uint32_t)src->protocol;
	e->state = STATE_CLOSED;
	e->flags = (uint32_t)src->flags;
	ret = fill_addresses(d, src->fd, e, connected, err);
	if (!ret && e->family == AF_INET6)
		ret = inet_refuse_flowlabel(src->fd, err);
	if (!ret)
		ret = fown_dump(d, src, &e->fown, err);
	if (!ret)
		ret = sock_options_dump(d, src, &e->opts, err);
	if (ret < 0)
		return ret;
	fill_ip_options(d, src, e);
	return inetopt_dump(d, src, connected, &e->options, &e->n_options, err);
}

static int inetsk_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	const struct inet_protocol *p = protocol_of(src->type, src->protocol);
	InetSkEntry *e = arena_msg(d->arena, InetSkEntry, inet_sk_entry__init);

	entry->isk = e;
	e->id = entry->id;
	return p->dump(d, src, entry, e, err);
}

/* ---- restore ---- */

socklen_t inet_address_of(const InetSkEntry *e, bool peer, union inet_address *out)
{
	const uint32_t *words = peer ? e->dst_addr : e->src_addr;
	size_t n = peer ? e->n_dst_addr : e->n_src_addr;
	uint16_t port = htons((uint16_t)(peer ? e->dst_port : e->src_port));

	*out = (union inet_address){ .sa.sa_family = (sa_family_t)e->family };
	if (e->family == AF_INET) {
		out->in.sin_port = port;
		if (n >= 1)
			memcpy(&out->in.sin_addr, words, 4);
		return sizeof(out->in);
	}
	out->in6.sin6_port = port;
	if (n >= 4)
		memcpy(&out->in6.sin6_addr, words, 16);
	return sizeof(out->in6);
}

bool inet_any_address(const InetSkEntry *e)
{
	if (e->ip_opts && e->ip_opts->has_freebind && e->ip_opts->freebind)
		return true;
	for (size_t i = 0; i < e->n_options; i++) /* IP_TRANSPARENT, IPV6_TRANSPARENT, IPV6_FREEBIND */
		if ((e->options[i]->level == IPPROTO_IP && e->options[i]->name == 19) ||
		    (e->options[i]->level == IPPROTO_IPV6 && (e->options[i]->name == 75 || e->options[i]->name == 78)))
			return true;
	return false;
}

void inet_address_text(const InetSkEntry *e, bool peer, char *out, size_t n)
{
	union inet_address a;
	char text[INET6_ADDRSTRLEN] = "?";

	inet_address_of(e, peer, &a);
	if (e->family == AF_INET)
		inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &a.in6.sin6_addr, text, sizeof(text));
	snprintf(out, n, e->family == AF_INET ? "%s:%u" : "[%s]:%u", text, peer ? e->dst_port : e->src_port);
}

int inet_check(const InetSkEntry *e, struct err *err)
{
	size_t words = e->family == AF_INET ? 1 : 4;

	if (e->family != AF_INET && e->family != AF_INET6)
		return err_image(err, "files.img: internet socket %u: family %u", e->id, e->family);
	if (e->src_port > UINT16_MAX || e->dst_port > UINT16_MAX)
		return err_image(err, "files.img: internet socket %u: a port that cannot be", e->id);
	if (e->n_src_addr != words || (e->n_dst_addr != words && e->n_dst_addr))
		return err_image(err, "files.img: internet socket %u: an address of %zu words", e->id,
				 e->n_src_addr != words ? e->n_src_addr : e->n_dst_addr);
	if (!e->opts || !e->fown)
		return err_image(err, "files.img: internet socket %u: no options", e->id);
	if (e->ifname && strlen(e->ifname) >= IF_NAMESIZE)
		return err_image(err, "files.img: internet socket %u: an interface name that cannot be", e->id);
	return 0;
}

void inet_plan_int(struct plan *plan, int phase, uint32_t slot, const char *note, int level, int name, int value)
{
	struct program *c = plan->controller;

	program_call(c, phase, note, SYS_setsockopt, A_SLOT(slot), A((uint64_t)level), A((uint64_t)name),
		     A_DATA(program_data(c, &value, sizeof(value))), A(sizeof(value)));
}

int inet_plan_socket(struct plan *plan, const InetSkEntry *e, uint32_t slot, struct err *err)
{
	const bool v6 = e->family == AF_INET6;
	struct program *c = plan->controller;
	int ret;

	plan_slot_is(plan, slot, program_call(c, MAKE_OBJECTS, "internet socket", SYS_socket, A(e->family),
					      A(e->type | SOCK_NONBLOCK | SOCK_CLOEXEC), A(e->proto)));
	ret = sock_options_plan(plan, slot, e->opts, err);
	if (ret < 0)
		return ret;
	/* bind(2) to a link-local address with a scope does the same. */
	if (e->ifname && !e->opts->so_bound_dev)
		program_call(c, MAKE_OBJECTS, "SO_BINDTODEVICE", SYS_setsockopt, A_SLOT(slot), A(SOL_SOCKET),
			     A(SO_BINDTODEVICE), A_DATA(program_string(c, e->ifname)), A(strlen(e->ifname) + 1));
	if (v6 && e->has_v6only)
		inet_plan_int(plan, MAKE_OBJECTS, slot, "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY, e->v6only);
	if (e->ip_opts && e->ip_opts->has_freebind && e->ip_opts->freebind)
		inet_plan_int(plan, MAKE_OBJECTS, slot, "IP_FREEBIND", own_level(e->family), v6 ? IPV6_FREEBIND : IP_FREEBIND, 1);
	return inetopt_plan(plan, slot, MAKE_OBJECTS, INETOPT_EARLY, e->options, e->n_options, err);
}

/* What may be bound; of connections those of TCP are not. */
static bool has_port(const FileEntry *f)
{
	const InetSkEntry *e = f->isk;

	return f->type == FD_TYPES__INETSK && e && e->src_port && (e->type != SOCK_STREAM || !e->dst_port || e->state == STATE_LISTEN);
}

#define PORT_KEY(e) ((uint64_t)(e)->type << 32 | (uint64_t)((e)->proto & 0xffff) << 16 | ((e)->src_port & 0xffff))

bool inet_port_shared(const struct model *m, struct plan *plan, const InetSkEntry *e)
{
	struct file_plan *fp = file_plan_of(plan);
	uint32_t n = 0;

	for (size_t i = 0; !fp->ports_counted && i < m->nfiles; i++)
		if (has_port(m->files[i])) {
			n = 0;
			id_map_get(&fp->ports, PORT_KEY(m->files[i]->isk), &n);
			id_map_put(&fp->ports, plan->arena, PORT_KEY(m->files[i]->isk), n + 1);
		}
	fp->ports_counted = true;
	return e->src_port && id_map_get(&fp->ports, PORT_KEY(e), &n) && n > 1;
}

void inet_plan_bind(struct plan *plan, const InetSkEntry *e, bool shared, uint32_t slot)
{
	struct program *c = plan->controller;
	union inet_address a;
	socklen_t len = inet_address_of(e, false, &a);
	static const uint32_t any[4];
	const bool port = e->opts->has_so_reuseport && e->opts->so_reuseport;

	if (!e->src_port && !memcmp(e->src_addr, any, 4 * e->n_src_addr))
		return;
	inet_plan_int(plan, MAKE_OBJECTS, slot, "SO_REUSEADDR, for now", SOL_SOCKET, SO_REUSEADDR, 1);
	/* With this one only where it must be: it would let us share a port with somebody else here. */
	if (shared && !port)
		inet_plan_int(plan, MAKE_OBJECTS, slot, "SO_REUSEPORT, for now", SOL_SOCKET, SO_REUSEPORT, 1);
	program_call(c, MAKE_OBJECTS, "address", SYS_bind, A_SLOT(slot), A_DATA(program_data(c, &a, len)), A(len));
	/* listen(2) asks for the port again. */
	if (!e->opts->has_reuseaddr || !e->opts->reuseaddr)
		inet_plan_int(plan, shared ? MAKE_LAST : MAKE_CONTENT, slot, "SO_REUSEADDR as it was", SOL_SOCKET, SO_REUSEADDR, 0);
	if (shared && !port)
		inet_plan_int(plan, MAKE_LAST, slot, "SO_REUSEPORT as it was", SOL_SOCKET, SO_REUSEPORT, 0);
}

int inet_plan_options(struct plan *plan, const InetSkEntry *e, uint32_t slot, struct err *err)
{
	const IpOptsEntry *o = e->ip_opts;
	int ret;

	if (o && o->has_tos)
		inet_plan_int(plan, MAKE_CONTENT, slot, "IP_TOS", IPPROTO_IP, IP_TOS, (int)o->tos);
	if (o && o->has_ttl && o->ttl && o->ttl != plan->tcp_normal.ttl)
		inet_plan_int(plan, MAKE_CONTENT, slot, "IP_TTL", IPPROTO_IP, IP_TTL, (int)o->ttl);
	if (o && o->has_pktinfo && o->pktinfo)
		inet_plan_int(plan, MAKE_CONTENT, slot, "IP_PKTINFO", own_level(e->family),
			      e->family == AF_INET6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
	ret = inetopt_plan(plan, slot, MAKE_CONTENT, INETOPT_LATE, e->options, e->n_options, err);
	if (ret < 0)
		return ret;
	/* The type of service set it, too. */
	if (o && o->has_tos && e->opts->has_so_priority)
		inet_plan_int(plan, MAKE_LAST, slot, "SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, (int)e->opts->so_priority);
	plan_setfl(plan, slot, O_NONBLOCK, e->flags);
	return 0;
}

static int inetsk_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const InetSkEntry *e = entry->isk;
	const struct inet_protocol *p = protocol_of((int)e->type, (int)e->proto);
	int ret = inet_check(e, err);

	if (ret < 0)
		return ret;
	if (!p)
		return err_refuse(err, "files.img: internet socket %u of type %u and protocol %u, which this version cannot"
				  " restore", e->id, e->type, e->proto);
	return p->plan(m, e, plan, slot, err);
}

const struct file_kind inetsk_kind = {
	.name = "internet socket",
	.type = FD_TYPES__INETSK,
	.match = inetsk_match,
	.dump = inetsk_dump,
	.plan = inetsk_plan,
};
