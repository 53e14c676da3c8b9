// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What of internet sockets only sock_diag tells (inet_diag_msg_attrs_fill() in net/ipv4/inet_diag.c, tcp_diag_get_aux() in
 * net/ipv4/tcp_diag.c): keys of TCP_MD5SIG, how much came in all, and which directions of a datagram socket are shut down. Asked once
 * for each family and protocol of a dump. And what a flow label is.
 */
#include <errno.h>
#include <linux/in6.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>

#include "common/base/io.h"
#include "common/sock/sockerr.h"

#define SYN_RECV 3 /* TCP_SYN_RECV */

struct inet_told { uint32_t ino, unread; bool md5; uint8_t shutdown; };

struct inet_diags {
	int family, protocol;
	bool unknown; /* the kernel has no such module */
	struct inet_told *v; /* arena; by inode; only those with something to tell */
	size_t n;
	uint16_t *opening; /* arena; own ports of connections that are no sockets of their own yet (request_sock) */
	size_t nopening;
	struct inet_diags *next;
};

struct gather {
	struct inet_told *v;
	size_t n, cap;
	uint16_t *opening;
	size_t nopening, opening_cap;
};

static int take(void *ctx, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct gather *g = ctx;
	struct inet_told t = { 0 };
	const uint8_t *shut;
	size_t len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return 0;
	if (m->idiag_state == SYN_RECV) {
		array_reserve(&g->opening, &g->opening_cap, g->nopening, sizeof(*g->opening));
		g->opening[g->nopening++] = ntohs(m->id.idiag_sport);
	}
	t.ino = m->idiag_inode;
	t.md5 = sock_diag_attr(h, sizeof(*m), INET_DIAG_MD5SIG, 1, &len);
	shut = sock_diag_attr(h, sizeof(*m), INET_DIAG_SHUTDOWN, 1, &len);
	t.shutdown = shut ? *shut : 0;
	t.unread = m->idiag_rqueue;
	if (!t.ino || (!t.md5 && !t.shutdown && !t.unread))
		return 0;
	array_reserve(&g->v, &g->cap, g->n, sizeof(*g->v));
	g->v[g->n++] = t;
	return 0;
}

static int by_ino(const void *va, const void *vb)
{
	const struct inet_told *a = va, *b = vb;

	return (a->ino > b->ino) - (a->ino < b->ino);
}

static int ask(struct dump *d, int family, int protocol, const struct inet_diags **out, struct err *err)
{
	struct { struct nlmsghdr h; struct inet_diag_req_v2 r; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = (uint8_t)family, .sdiag_protocol = (uint8_t)protocol, .idiag_states = ~0u,
		       /* Keys come only along with it. */
		       .idiag_ext = protocol == IPPROTO_TCP ? 1 << (INET_DIAG_INFO - 1) : 0 },
	};
	struct inet_diags *all = d->inet_diags;
	struct err told = ERR_INIT;
	struct gather g = { 0 };

	for (; all; all = all->next)
		if (all->family == family && all->protocol == protocol) {
			*out = all;
			return 0;
		}
	all = arena_alloc(d->arena, sizeof(*all));
	*all = (struct inet_diags){ .family = family, .protocol = protocol, .next = d->inet_diags };
	int ret = sock_diag_dump(&req, sizeof(req), take, &g, &told);
	all->unknown = ret < 0 && told.errnum == ENOENT;
	if (ret < 0 && !all->unknown) {
		free(g.opening);
		free(g.v);
		*err = told;
		return ret;
	}
	if (g.n) {
		qsort(g.v, g.n, sizeof(*g.v), by_ino);
		all->v = arena_dup(d->arena, g.v, g.n * sizeof(*g.v));
		all->n = g.n;
	}
	if (g.nopening)
		all->opening = arena_dup(d->arena, g.opening, g.nopening * sizeof(*g.opening));
	all->nopening = g.nopening;
	free(g.opening);
	free(g.v);
	*out = d->inet_diags = all;
	return 0;
}

static int find(struct dump *d, int family, int protocol, uint32_t ino, const struct inet_told **out, struct err *err)
{
	const struct inet_told key = { .ino = ino };
	const struct inet_diags *all;
	int ret = ask(d, family, protocol, &all, err);

	*out = ret < 0 || !all->n ? NULL : bsearch(&key, all->v, all->n, sizeof(key), by_ino);
	return ret;
}

int inet_refuse_keys(struct dump *d, const struct fd_source *src, struct err *err)
{
	uint64_t ao[8] = { 0 }; /* struct tcp_ao_info_opt and room for its growth */
	socklen_t len = 48;
	const struct inet_told *t;
	char what[300];
	int ret = find(d, src->domain, src->protocol, (uint32_t)src->st.st_ino, &t, err);
	const char *name = !ret && t && t->md5 ? "TCP_MD5SIG" : NULL;

	if (ret < 0)
		return ret;
	if (!name && getsockopt(src->fd, IPPROTO_TCP, 40 /* TCP_AO_INFO */, ao, &len) == 0)
		name = "TCP_AO";
	if (!name)
		return 0;
	sock_describe(src->fd, what, sizeof(what));
	return err_refuse(err, "%s: its segments are signed with keys (%s), which nobody can read", what, name);
}

/*
 * A mark whose byte was read already hides what lies behind it: SIOCINQ counts up to the mark (tcp_inq() in include/net/tcp.h), this
 * all that came (tcp_diag_get_info()). Nobody reads while the tree is frozen, so later it can only be more.
 */
int inet_hidden_mark(struct dump *d, const struct fd_source *src, uint32_t unread, bool *hidden, struct err *err)
{
	const struct inet_told *t;
	int ret = find(d, src->domain, src->protocol, (uint32_t)src->st.st_ino, &t, err);

	*hidden = !ret && t && t->unread > unread;
	return ret;
}

int inet_opening(struct dump *d, const struct fd_source *src, uint16_t port, unsigned *n, struct err *err)
{
	const struct inet_diags *all;
	int ret = ask(d, src->domain, src->protocol, &all, err);

	*n = 0;
	for (size_t i = 0; !ret && i < all->nopening; i++)
		*n += all->opening[i] == port;
	return ret;
}

int inet_shutdown_told(struct dump *d, int fd, uint32_t ino, unsigned *shutdown, struct err *err)
{
	const struct inet_told *t;
	int ret = find(d, sock_option(fd, SO_DOMAIN), sock_option(fd, SO_PROTOCOL), ino, &t, err);

	*shutdown = !ret && t ? t->shutdown & 3u : 0;
	return ret;
}

static uint16_t put_end(const union inet_address *a, __be32 out[4])
{
	if (a->sa.sa_family == AF_INET)
		memcpy(out, &a->in.sin_addr, 4);
	else
		memcpy(out, &a->in6.sin6_addr, 16);
	return a->in.sin_port; /* at the same place in both */
}

/* By its cookie: no other. */
int sock_destroy(int fd, struct err *err)
{
	struct { struct nlmsghdr h; struct inet_diag_req_v2 r; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.r = { .sdiag_family = (uint8_t)sock_option(fd, SO_DOMAIN), .sdiag_protocol = (uint8_t)sock_option(fd, SO_PROTOCOL),
		       .idiag_states = ~0u },
	};
	struct { struct nlmsghdr h; struct nlmsgerr e; } answer = { .e.error = -EPROTO };
	cleanup_fd int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	union inet_address own = { 0 }, peer;
	socklen_t len = sizeof(own), clen = sizeof(uint64_t);
	int device = sock_option(fd, SO_BINDTOIFINDEX);
	uint64_t cookie;

	if (nl < 0 || getsockname(fd, &own.sa, &len) < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &clen) < 0)
		return err_sys(err, "cannot say which socket is to be destroyed");
	inet_peer(fd, own.sa.sa_family, true, &peer);
	req.r.id.idiag_sport = put_end(&own, req.r.id.idiag_src);
	req.r.id.idiag_dport = put_end(&peer, req.r.id.idiag_dst);
	req.r.id.idiag_if = device > 0 ? (uint32_t)device : 0;
	req.r.id.idiag_cookie[0] = (uint32_t)cookie;
	req.r.id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
	if (send(nl, &req, sizeof(req), 0) < 0 || recv(nl, &answer, sizeof(answer), 0) < 0)
		return err_sys(err, "cannot ask sock_diag");
	if (!answer.e.error)
		return 0;
	return err_hint(err, err_set(err, ERR_FEATURE, -answer.e.error, "sock_diag does not destroy a socket (SOCK_DESTROY)"),
			"it takes CAP_NET_ADMIN, and CONFIG_INET_DIAG_DESTROY of the kernel");
}

/* The label that a connection sends with: getsockopt tells it, and whether it is a managed one, the list of the host. */
int inet_refuse_flowlabel(int fd, struct err *err)
{
	struct in6_flowlabel_req req = { .flr_action = IPV6_FL_A_GET };
	socklen_t len = sizeof(req);
	cleanup_free char *text = NULL;
	char what[300];
	size_t n;

	if (getsockopt(fd, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, &req, &len) < 0 || !req.flr_label ||
	    read_file_at(AT_FDCWD, "/proc/net/ip6_flowlabel", 16u << 20, &text, &n))
		return 0;
	for (char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		const char *p = line + 1;
		uint64_t label;
		if (fdinfo_number(&p, 16, &label) || label != ntohl(req.flr_label))
			continue;
		sock_describe(fd, what, sizeof(what));
		return err_refuse(err, "%s: it has the IPv6 flow label 0x%05x", what, ntohl(req.flr_label));
	}
	return 0;
}
