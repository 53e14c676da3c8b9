// SPDX-License-Identifier: GPL-2.0-or-later
/* See reuse.h. */
#include "common/sock/reuse.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/bpf/kmem.h"

#define STATE_CONNECTED 1

/* ---- dump ---- */

struct reuse_groups {
	struct kmem *k;
	bool ready;
	struct btf_bits count, socks; /* in struct sock_reuseport */
	uint64_t group; /* the last one that was read */
	uint64_t *v;	/* its members */
	size_t n;
};

void reuse_groups_free(struct reuse_groups *g)
{
	if (!g)
		return;
	kmem_close(g->k);
	free(g->v);
	free(g);
}

static int prepare(struct reuse_groups *g, struct err *err)
{
	static const char type[] = "sock_reuseport";
	int ret = kmem_open(&g->k, err);

	if (ret < 0)
		return ret;
	if (!btf_bits(kmem_types(g->k), type, "num_socks", &g->count))
		return btf_lacks(type, "num_socks", err);
	return btf_bits(kmem_types(g->k), type, "socks", &g->socks) ? 0 : btf_lacks(type, "socks", err);
}

static struct reuse_groups *groups_of(struct dump *d)
{
	struct reuse_groups *g = d->files->reuse;
	struct err why = ERR_INIT;

	if (g)
		return g;
	g = d->files->reuse = xzalloc(sizeof(*g));
	g->ready = !prepare(g, &why);
	if (!g->ready)
		log_debug(d->log, "the order of sockets in reuseport groups cannot be read: %s", why.reason);
	return g;
}

static int read_group(struct reuse_groups *g, uint64_t at, struct err *err)
{
	uint16_t n = 0;
	int ret = kmem_read(g->k, at + g->count.at / 8, &n, sizeof(n), err);

	g->group = 0;
	g->n = 0;
	if (ret < 0 || !n)
		return ret;
	g->v = xreallocarray(g->v, n, sizeof(*g->v));
	ret = kmem_read(g->k, at + g->socks.at / 8, g->v, n * sizeof(*g->v), err);
	if (ret < 0)
		return ret;
	g->group = at;
	g->n = n;
	return 0;
}

static bool find(const struct reuse_groups *g, uint64_t sk, InetSkEntry *e)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] == sk) {
			e->has_reuse_place = g->n > 1;
			e->reuse_place = (uint32_t)i;
			return true;
		}
	return false;
}

/* Others than the tree may have come and gone since the group was read for another member: then it is read again. */
static int look(struct reuse_groups *g, int fd, InetSkEntry *e, struct err *err)
{
	uint64_t file, sk, group;
	int ret = kmem_file(g->k, fd, &file, err);

	if (!ret)
		ret = kmem_follow(g->k, file, "file", "private_data->(socket)sk", &sk, err);
	if (!ret)
		ret = kmem_follow(g->k, sk, "sock", "sk_reuseport_cb", &group, err);
	if (ret || !group || (group == g->group && find(g, sk, e)))
		return ret;
	ret = read_group(g, group, err);
	if (!ret)
		find(g, sk, e);
	return ret;
}

void reuse_dump(struct dump *d, int fd, InetSkEntry *e)
{
	struct reuse_groups *g;
	struct err why = ERR_INIT;

	if (!e->src_port || !e->opts->has_so_reuseport || !e->opts->so_reuseport)
		return;
	g = groups_of(d);
	if (g->ready && look(g, fd, e, &why))
		log_debug(d->log, "the place of a socket in its reuseport group cannot be read: %s", why.reason);
}

/* ---- restore ---- */

/* A socket that hears on a port; those of a port are beside each other, groups first, their members in the order in which they join. */
struct port_user {
	const InetSkEntry *e;
	size_t first, n; /* who has the same port; n: of the first one */
	size_t head;	 /* of its group; of who is no member itself */
	size_t next;	 /* of the first one: who is to be planned next */
	bool member;
	uint32_t place;
	bool begun;	 /* of the first one: some are planned */
	bool way_known, alone; /* of the first one of a group */
	enum reuse_way way;
};
struct reuse_plan {
	struct port_user *v; /* arena */
	size_t n;
	struct id_map at; /* ids */
};

static bool hears(const FileEntry *f)
{
	const InetSkEntry *e = f->isk;

	if (f->type != FD_TYPES__INETSK || !e || !e->src_port || !e->opts ||
	    !(e->family == AF_INET ? e->n_src_addr == 1 : e->family == AF_INET6 && e->n_src_addr == 4))
		return false;
	if (e->type == SOCK_DGRAM)
		return e->proto == IPPROTO_UDP || e->proto == IPPROTO_UDPLITE;
	return e->type == SOCK_STREAM && e->proto == IPPROTO_TCP && e->state == TCP_LISTEN;
}

static uint64_t port_key(const InetSkEntry *e)
{
	return (uint64_t)e->proto << 32 | e->src_port;
}

static const char *device_of(const InetSkEntry *e)
{
	const char *name = e->opts->so_bound_dev ? e->opts->so_bound_dev : e->ifname;

	return name ? name : "";
}

/* 0: they are of one group, where both are members, as the kernel asks (udp_reuseport_add_sock() in net/ipv4/udp.c); all are made by
 * one user. */
static int by_group(const InetSkEntry *a, const InetSkEntry *b)
{
	const int device = strcmp(device_of(a), device_of(b));

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->v6only != b->v6only)
		return a->v6only ? 1 : -1;
	return device ? device : memcmp(a->src_addr, b->src_addr, 4 * a->n_src_addr);
}

static int by_place(const void *va, const void *vb)
{
	const struct port_user *a = va, *b = vb;
	const uint64_t pa = port_key(a->e), pb = port_key(b->e);
	const int group = by_group(a->e, b->e);

	if (pa != pb)
		return pa < pb ? -1 : 1;
	if (a->member != b->member)
		return a->member ? -1 : 1;
	if (group)
		return group;
	if (a->place != b->place)
		return a->place < b->place ? -1 : 1;
	return (a->e->id > b->e->id) - (a->e->id < b->e->id);
}

static struct reuse_plan *plan_of(const struct model *m, struct plan *plan)
{
	struct file_plan *fp = file_plan_of(plan);
	struct reuse_plan *r = fp->reuse;

	if (r)
		return r;
	r = fp->reuse = arena_alloc(plan->arena, sizeof(*r));
	*r = (struct reuse_plan){ .v = arena_alloc(plan->arena, (m->nfiles + 1) * sizeof(*r->v)) };
	for (size_t i = 0; i < m->nfiles; i++) {
		const InetSkEntry *e = m->files[i]->isk;

		if (hears(m->files[i]))
			r->v[r->n++] = (struct port_user){ .e = e, .member = e->opts->has_so_reuseport && e->opts->so_reuseport,
							   .place = e->has_reuse_place ? e->reuse_place : UINT32_MAX };
	}
	qsort(r->v, r->n, sizeof(*r->v), by_place);
	for (size_t i = 0, first = 0, head = 0; i < r->n; i++) {
		if (port_key(r->v[first].e) != port_key(r->v[i].e))
			first = i;
		if (first == i || !r->v[i].member || by_group(r->v[head].e, r->v[i].e))
			head = i;
		r->v[i].head = head;
		r->v[i].first = r->v[i].next = first;
		r->v[first].n++;
		id_map_put(&r->at, plan->arena, r->v[i].e->id, (uint32_t)i);
	}
	return r;
}

static bool is_any(const InetSkEntry *e)
{
	static const uint32_t any[4];

	return !memcmp(e->src_addr, any, 4 * e->n_src_addr);
}

/* Whether the socket has this address, of 4 or 16 bytes; one of IPv6 has those of IPv4 as mapped ones. */
static bool has_address(const InetSkEntry *e, const ProtobufCBinaryData *to)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *own = (const uint8_t *)e->src_addr;

	if (e->n_src_addr == 4 && to->len == 4)
		return !memcmp(own, mapped, sizeof(mapped)) && !memcmp(own + sizeof(mapped), to->data, 4);
	return 4 * e->n_src_addr == to->len && !memcmp(own, to->data, to->len);
}

/*
 * Whether what goes to this address comes to e's group for certain, where c is not in it (udp4_lib_lookup2() and compute_score(), and
 * those of IPv6): who has the address goes before those who have any, of whom those of IPv4 go before the others.
 */
static bool goes_before(const InetSkEntry *e, const InetSkEntry *c, const ProtobufCBinaryData *to)
{
	if (to->len == 16 && c->family == AF_INET)
		return true;
	if (!is_any(c))
		return !has_address(c, to);
	if (!is_any(e))
		return true;
	return to->len == 4 && c->family == AF_INET6 && (c->v6only || (e->family == AF_INET && !strcmp(device_of(e), device_of(c))));
}

static bool comes_here(const struct reuse_plan *r, const struct port_user *u, const ProtobufCBinaryData *to)
{
	const struct port_user *first = &r->v[u->first];

	if (to->len != 4 && to->len != 16)
		return false;
	for (size_t i = 0; i < first->n; i++)
		if (first[i].head != u->head && !goes_before(u->e, first[i].e, to))
			return false;
	return true;
}

static int all_come_here(const struct model *m, const struct reuse_plan *r, struct plan *plan, const struct port_user *u, bool *yes,
			 struct err *err)
{
	const ProtobufCBinaryData *last = NULL;
	const struct sock_packet *p;
	size_t n;
	int ret = sock_packets(m, plan, u->e->id, &p, &n, err);

	for (size_t i = 0; !ret && i < n && *yes; i++) {
		const ProtobufCBinaryData *to = &p[i].entry->inet_to;

		if (last && last->len == to->len && !memcmp(last->data, to->data, to->len))
			continue;
		*yes = comes_here(r, u, to);
		last = to;
	}
	return ret;
}

static int find_way(const struct model *m, const struct reuse_plan *r, struct plan *plan, size_t head, struct err *err)
{
	struct port_user *u = &r->v[head];
	bool yes = true;
	size_t i;
	int ret = 0;

	for (i = head; !ret && i < r->n && r->v[i].head == head; i++) {
		/* The kernel asks whether one has this very peer before it asks a program; and the group is such a one already. */
		yes = yes && r->v[i].e->state != STATE_CONNECTED;
		ret = all_come_here(m, r, plan, &r->v[i], &yes, err);
	}
	u->way_known = true;
	u->way = !yes ? REUSE_PEER : i - head > 1 ? REUSE_INDEX : REUSE_PLAIN;
	return ret;
}

static int way_of(const struct model *m, const struct reuse_plan *r, struct plan *plan, size_t head, enum reuse_way *way,
		  struct err *err)
{
	int ret = r->v[head].way_known ? 0 : find_way(m, r, plan, head, err);

	*way = r->v[head].way;
	return ret;
}

int reuse_way_of(const struct model *m, const InetSkEntry *e, struct plan *plan, enum reuse_way *way, uint32_t *index, struct err *err)
{
	const struct reuse_plan *r = plan_of(m, plan);
	uint32_t at;

	*index = 0;
	*way = REUSE_PLAIN;
	if (!id_map_get(&r->at, e->id, &at) || r->v[r->v[at].first].n == 1)
		return 0;
	*index = at - (uint32_t)r->v[at].head;
	return way_of(m, r, plan, r->v[at].head, way, err);
}

/*
 * Somebody else here who shares the address would have places in the group before those of ours, and so get their datagrams: then this
 * fails, for it shares with nobody.
 */
static void plan_alone(struct plan *plan, const InetSkEntry *e)
{
	static const char note[] = "nobody else has the address of a group";
	struct program *c = plan->controller;
	union inet_address a;
	const socklen_t len = inet_address_of(e, false, &a);
	const int one = 1;
	const struct step_ref s = program_call(c, MAKE_OBJECTS, note, SYS_socket, A(e->family), A(e->type | SOCK_CLOEXEC), A(e->proto));

	if (*device_of(e))
		program_call(c, MAKE_OBJECTS, note, SYS_setsockopt, A_RESULT(s), A(SOL_SOCKET), A(SO_BINDTODEVICE),
			     A_DATA(program_string(c, device_of(e))), A(strlen(device_of(e)) + 1));
	if (e->v6only)
		program_call(c, MAKE_OBJECTS, note, SYS_setsockopt, A_RESULT(s), A(IPPROTO_IPV6), A(IPV6_V6ONLY),
			     A_DATA(program_data(c, &one, sizeof(one))), A(sizeof(one)));
	if (inet_any_address(e))
		program_call(c, MAKE_OBJECTS, note, SYS_setsockopt, A_RESULT(s), A(e->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6),
			     A(e->family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND), A_DATA(program_data(c, &one, sizeof(one))),
			     A(sizeof(one)));
	program_call(c, MAKE_OBJECTS, note, SYS_bind, A_RESULT(s), A_DATA(program_data(c, &a, len)), A(len));
	program_call(c, MAKE_OBJECTS, note, SYS_close, A_RESULT(s));
}

/* Before the first one of a port: of groups that get datagrams by index. */
static int plan_port(const struct model *m, const struct reuse_plan *r, struct plan *plan, struct port_user *first, struct err *err)
{
	const struct sock_packet *p;
	enum reuse_way way;
	size_t queued;
	int ret = 0;

	for (size_t i = 0; !ret && first->n > 1 && i < first->n && first[i].member; i++) {
		ret = sock_packets(m, plan, first[i].e->id, &p, &queued, err);
		if (ret || !queued)
			continue;
		struct port_user *head = &r->v[first[i].head];
		ret = way_of(m, r, plan, first[i].head, &way, err);
		if (!ret && way == REUSE_INDEX && !head->alone)
			plan_alone(plan, head->e);
		head->alone = true;
	}
	return ret;
}

int reuse_plan_before(const struct model *m, const InetSkEntry *e, struct plan *plan, struct err *err)
{
	struct reuse_plan *r = plan_of(m, plan);
	uint32_t at, slot;
	int ret = 0;

	if (!id_map_get(&r->at, e->id, &at))
		return 0;
	struct port_user *first = &r->v[r->v[at].first];
	if (!first->begun) {
		first->begun = true;
		ret = plan_port(m, r, plan, first, err);
	}
	if (ret || !r->v[at].member)
		return ret;
	size_t *next = &first->next;
	/* Each of them finds that it is the next one, so this goes no deeper. */
	while (*next < at) {
		ret = file_slot(m, plan, FD_TYPES__INETSK, r->v[(*next)++].e->id, &slot, err);
		if (ret < 0)
			return ret;
	}
	*next = MAX(*next, (size_t)at + 1);
	return 0;
}
