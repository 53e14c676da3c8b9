// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/file/look.h"
#include "common/net/lock.h"
#include "common/net/newcomers.h"
#include "common/sock/sock.h"

#define SETTLE_MS 200 /* most that a handshake is waited for: a round trip */

struct listeners {
	struct newcomers *stopped;
	unsigned unsettled; /* so many were waited for in vain, the last one at... */
	char at[300];
	uint16_t *opening; /* own ports of connections whose handshake was under way when newcomers were stopped */
	size_t nopening, opening_cap;

	struct pollfd *v; /* descriptors of our own */
	size_t n, cap;
	struct crowded { int fd; unsigned waiting; } *crowded; /* those that poll(2) tells nothing of */
	size_t ncrowded, crowded_cap;
};

static unsigned waiting_at(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? 0 : info.tcpi_unacked;
}

static struct listeners *listeners_of(struct dump *d)
{
	if (!d->listeners)
		d->listeners = xzalloc(sizeof(*d->listeners));
	return d->listeners;
}

static bool ends_tasks(const struct dump *d)
{
	return !d->found && !d->opts->pre_dump && !d->opts->leave_running && !d->opts->leave_stopped;
}

/* ---- nobody comes ---- */

struct gather {
	uint64_t *ours; /* inodes of the sockets of the tree, ascending */
	size_t nours;
	struct net_listener *v;
	size_t n, cap;
};

static int by_number(const void *va, const void *vb)
{
	const uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

	return (a > b) - (a < b);
}

static void find_ours(const struct file_table *t, struct gather *g)
{
	size_t cap = 0;

	for (size_t i = 0; i < t->ntables; i++)
		for (size_t k = 0; k < t->tables[i].n; k++) {
			const struct file_fd *f = &t->tables[i].fds[k];

			if (!S_ISSOCK(f->st.st_mode) || f->flags & O_PATH)
				continue;
			array_reserve(&g->ours, &cap, g->nours, sizeof(*g->ours));
			g->ours[g->nours++] = f->st.st_ino;
		}
	if (g->nours)
		qsort(g->ours, g->nours, sizeof(*g->ours), by_number);
}

static int take_listener(void *ctx, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct gather *g = ctx;
	const uint64_t ino = m->idiag_inode;
	const uint8_t *only;
	size_t len;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || !bsearch(&ino, g->ours, g->nours, sizeof(ino), by_number))
		return 0;
	only = sock_diag_attr(h, sizeof(*m), INET_DIAG_SKV6ONLY, 1, &len);
	array_reserve(&g->v, &g->cap, g->n + 2, sizeof(*g->v));
	g->n += net_listeners_of(m->idiag_family, m->id.idiag_src, m->id.idiag_sport, only && *only, g->v + g->n);
	return 0;
}

static int take_opening(void *ctx, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	struct listeners *l = ctx;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return 0;
	array_reserve(&l->opening, &l->opening_cap, l->nopening, sizeof(*l->opening));
	l->opening[l->nopening++] = ntohs(m->id.idiag_sport);
	return 0;
}

/* TCP sockets in these states (1 << TCP_*), and with this port, or with any: 0. Who does not tell has none. */
static void ask(int family, unsigned states, uint16_t port, int (*take)(void *ctx, const struct nlmsghdr *h), void *ctx)
{
	const struct { struct nlmsghdr h; struct inet_diag_req_v2 r; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states,
		       .id.idiag_sport = htons(port) },
	};
	struct err ignore = ERR_INIT;

	sock_diag_dump(&req, sizeof(req), take, ctx, &ignore);
}

void listeners_stop(struct dump *d)
{
	const struct dump_opts *o = d->opts;
	struct gather g = { 0 };
	struct err ignore = ERR_INIT;

	if (!ends_tasks(d) || !o->tcp_established || o->tcp_close || o->skip_in_flight || o->network_lock == NET_LOCK_SKIP)
		return;
	find_ours(d->files, &g);
	if (g.nours) {
		ask(AF_INET, 1 << TCP_LISTEN, 0, take_listener, &g);
		ask(AF_INET6, 1 << TCP_LISTEN, 0, take_listener, &g);
	}
	/* Without nftables or privileges: listeners_quiet() tells when it mattered. */
	if (g.n && newcomers_stop("cr-dump", dump_run_id(d), g.v, g.n, &listeners_of(d)->stopped, &ignore) == 0) {
		ask(AF_INET, 1 << TCP_SYN_RECV, 0, take_opening, d->listeners);
		ask(AF_INET6, 1 << TCP_SYN_RECV, 0, take_opening, d->listeners);
	}
	free(g.ours);
	free(g.v);
}

static int count(void *ctx, const struct nlmsghdr *h)
{
	(void)h;
	++*(unsigned *)ctx;
	return 0;
}

void listeners_settle(struct dump *d, int fd, uint16_t port)
{
	struct listeners *l = d->listeners;
	unsigned n = 0;

	for (size_t i = 0; l && i < l->nopening && !n; i++)
		n = l->opening[i] == port;
	for (int ms = 0; n && ms < SETTLE_MS; ms++) {
		n = 0;
		ask(sock_option(fd, SO_DOMAIN), 1 << TCP_SYN_RECV, port, count, &n);
		if (n)
			nanosleep(&(const struct timespec){ 0, 1000000 }, NULL);
	}
	if (!n)
		return;
	l->unsettled += n;
	sock_describe(fd, l->at, sizeof(l->at));
}

/* ---- who came ---- */

void listeners_watch(struct dump *d, int fd, unsigned waiting)
{
	struct pollfd now = { fd, POLLIN, 0 };
	struct listeners *l;

	if (!ends_tasks(d))
		return;
	/* Who waits already was looked at by the caller. */
	if (!waiting && poll(&now, 1, 0))
		return;
	/* Thousands of them may be more than we may have: the rest is as if nobody came. */
	now.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (now.fd < 0)
		return;
	l = listeners_of(d);
	if (waiting) {
		array_reserve(&l->crowded, &l->crowded_cap, l->ncrowded, sizeof(*l->crowded));
		l->crowded[l->ncrowded++] = (struct crowded){ now.fd, waiting };
		return;
	}
	array_reserve(&l->v, &l->cap, l->n, sizeof(*l->v));
	l->v[l->n++] = now;
}

/* One to which somebody has come; -1: none. */
static int find_visited(const struct listeners *l)
{
	const int n = l->n ? poll(l->v, l->n, 0) : 0;

	for (size_t i = 0; n > 0 && i < l->n; i++)
		if (l->v[i].revents)
			return l->v[i].fd;
	for (size_t i = 0; i < l->ncrowded; i++)
		if (waiting_at(l->crowded[i].fd) > l->crowded[i].waiting)
			return l->crowded[i].fd;
	return -1;
}

int listeners_quiet(const struct dump *d, struct err *err)
{
	const int fd = d->listeners ? find_visited(d->listeners) : -1;
	char what[300];

	if (fd < 0 && d->listeners && d->listeners->unsettled)
		log_warn(d->log, "%s: handshakes that do not go on (%u) are left to their clients, which try again", d->listeners->at,
			 d->listeners->unsettled);
	if (fd < 0)
		return 0;
	sock_describe(fd, what, sizeof(what));
	return err_hint(err, err_refuse(err, "%s: a connection came while the program stood still, and would be cut off", what),
			sock_option(fd, SO_DOMAIN) == AF_UNIX ? "try again" :
								"try again, or use --skip-in-flight to drop such connections");
}

void listeners_leave(struct dump *d)
{
	struct listeners *l = d->listeners;

	for (size_t i = 0; l && i < l->n; i++)
		close(l->v[i].fd);
	for (size_t i = 0; l && i < l->ncrowded; i++)
		close(l->crowded[i].fd);
	if (l)
		l->n = l->ncrowded = 0;
}

void listeners_free(struct dump *d)
{
	struct listeners *l = d->listeners;

	if (!l)
		return;
	listeners_leave(d);
	newcomers_let(l->stopped);
	free(l->opening);
	free(l->v);
	free(l->crowded);
	free(l);
	d->listeners = NULL;
}
