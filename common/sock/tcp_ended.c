// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP sockets whose connection has ended. The kernel knows the connection no more, but the descriptor has its own name, what came
 * and was not read yet, and after that the end.
 *
 * A restore gives it a connection with a socket of ours on the same address, over the loopback device: two sockets that believe to be
 * connected (TCP_REPAIR), with the bytes in the queue of one. The other one says its end and then resets the connection, so neither
 * stays behind in TIME_WAIT. The addresses of the old connection may be those of a new one by then, and its peer hears nothing.
 * Where an error waits to be read, it ends in another way (tcp_error.c).
 */
#include "common/sock/tcp_ended.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common/base/fault.h"
#include "common/net/guard.h"
#include "common/sock/tcp_load.h"
#include "common/sock/tcp_urgent.h"

enum { CLOSED = 7, CLOSE_WAIT = 8 }; /* include/net/tcp_states.h */
#define QUEUE_MAX (1u << 30)
#define STATE_TRIES 400
#define STATE_PAUSE_NS 5000000

/* ---- dump ---- */

bool tcp_was_connected(int fd)
{
	struct pollfd p = { fd, POLLRDHUP, 0 };

	/* It cannot be read any more (tcp_done() in net/ipv4/tcp.c). */
	return poll(&p, 1, 0) == 1 && p.revents & POLLRDHUP;
}

/* Whether connect(2) says EISCONN: not after an attempt that failed, which leaves the socket to be connected again. */
static bool had_connection(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       (info.tcpi_bytes_received || info.tcpi_bytes_acked || info.tcpi_delivered);
}

int tcp_unread(int fd)
{
	int was = 0, n = 0, ret = 0;
	socklen_t len = sizeof(was);

	/* SIOCINQ stops at the mark, but where that is nothing special (tcp_inq() in include/net/tcp.h). */
	getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &was, &len);
	if (!was)
		ret = sock_set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!ret && ioctl(fd, SIOCINQ, &n) < 0)
		ret = -errno;
	if (!was)
		sock_set(fd, SOL_SOCKET, SO_OOBINLINE, 0);
	return ret ? ret : n;
}

struct job { int fd, n; };

static bool count_unread(void *memory)
{
	struct job *job = memory;

	job->n = tcp_unread(job->fd);
	return false;
}

static int ask_guard(int fd, int *n, struct err *err)
{
	struct guard *guard = NULL;
	int ret = guard_start(1, count_unread, sizeof(struct job), &guard, err);

	if (!ret) {
		struct job *job = guard_memory(guard);

		*job = (struct job){ .fd = fd };
		ret = guard_run(guard, "tcp:unread", err);
		*n = job->n;
	}
	guard_stop(guard);
	return ret;
}

static const char mark_there[] = "TCP connection that has ended: the mark of urgent data is in what waits to be read";

/* A mark of urgent data, even one whose byte was read, hides what lies behind it. s->inq_len is what it does not hide. */
static int find_mark(int fd, int all, const struct sock_error *w, const char *what, TcpStreamEntry *s, struct err *err)
{
	struct pollfd p = { fd, POLLPRI, 0 };
	const bool urgent = poll(&p, 1, 0) == 1 && p.revents & POLLPRI, inlined = sock_option(fd, SO_OOBINLINE) > 0;
	const int unread = (int)s->inq_len;
	int ret = 0;
	char byte;

	if (urgent && w->error)
		return err_refuse(err, "%s: urgent data waits to be read", what);
	/* Right at the mark nothing is counted, and all behind it can be read. But where nothing waits, a look takes the error. */
	if (w->error)
		all = (int)w->unread;
	else if (!unread)
		all = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	else if (all < 0)
		ret = ask_guard(fd, &all, err);
	if (!ret && all < 0)
		ret = err_set(err, ERR_FAILED, -all, "cannot read the length of its queue");
	if (ret || (all == unread && !urgent && !(inlined && unread && !w->error))) /* it hides nothing there */
		return ret;
	return w->error ? err_refuse(err, "%s", mark_there) : tcp_urgent_look(NULL, fd, what, s, err);
}

static int keep_unread(struct dump *d, const struct fd_source *src, InetSkEntry *e, TcpStreamEntry *s, struct err *err)
{
	const uint32_t unread = s->inq_len;
	cleanup_free uint8_t *bytes = xmalloc(unread);
	ssize_t n;

	/* It moves with each look, and behind the last byte a look takes the error. */
	if (e->opts->has_so_peek_off)
		return err_refuse(err, "TCP connection that has ended: unread data and SO_PEEK_OFF");
	n = s->has_urgent ? tcp_urgent_take(src->fd, s, bytes, err) : recv(src->fd, bytes, unread, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && s->has_urgent)
		return (int)n;
	if (n < 0)
		return err_sys(err, "cannot read what waits to be read");
	if (n != (ssize_t)unread && !s->has_urgent) /* it stops there */
		return err_refuse(err, "%s", mark_there);
	if (d->found)
		return 0;
	s->has_unsq_len = true;
	image_store_put(d->store, IMG_TCP_STREAM, e->ino, &s->base);
	image_store_payload(d->store, IMG_TCP_STREAM, e->ino, bytes, unread);
	return 0;
}

/* Without fields of ours: reading gives its end, writing EPIPE, and it has no name. */
static void drop_name(InetSkEntry *e)
{
	e->state = CLOSED;
	e->src_port = e->dst_port = 0;
	memset(e->src_addr, 0, 4 * e->n_src_addr);
	memset(e->dst_addr, 0, 4 * e->n_dst_addr);
	e->has_shutdown = true;
	e->shutdown = SK_SHUTDOWN__BOTH;
}

int tcp_dump_dropped(struct dump *d, const struct fd_source *src, InetSkEntry *e, struct err *err)
{
	int ret = inet_fill(d, src, e, true, err);

	if (ret < 0)
		return ret;
	tcp_fill_options(d, src, e);
	drop_name(e);
	return 0;
}

int tcp_end_entry(struct dump *d, const struct fd_source *src, InetSkEntry *e, int all, struct err *err)
{
	static const char what[] = "TCP connection that has ended";
	TcpStreamEntry s = TCP_STREAM_ENTRY__INIT;
	EndedTcpEntry *ended = NULL;
	struct sock_error w;
	int unread = 0, ret;

	if (ioctl(src->fd, SIOCINQ, &unread) < 0 || unread < 0 || (unsigned)unread > QUEUE_MAX)
		return err_sys(err, "cannot read the length of its queue");
	s.inq_len = (uint32_t)unread;
	ret = sock_error_look(d, src, what, &w, err);
	if (!ret)
		ret = find_mark(src->fd, all, &w, what, &s, err);
	if (!ret && s.inq_len)
		ret = keep_unread(d, src, e, &s, err);
	if (ret < 0)
		return ret;
	if (e->src_port && (s.inq_len || w.error || had_connection(src->fd))) {
		ended = arena_msg(d->arena, EndedTcpEntry, ended_tcp_entry__init);
		ended->port = e->src_port;
		ended->addr = arena_dup(d->arena, e->src_addr, 4 * e->n_src_addr);
		ended->n_addr = e->n_src_addr;
		ended->unread = s.inq_len;
	}
	if (w.error)
		ret = tcp_error_dump(&w, e, ended, what, err);
	drop_name(e);
	e->ended = ended;
	return ret;
}

int tcp_dump_ended(struct dump *d, const struct fd_source *src, InetSkEntry *e, struct err *err)
{
	int ret;

	if (d->opts->tcp_close)
		return tcp_dump_dropped(d, src, e, err);
	ret = inet_fill(d, src, e, true, err);
	if (ret < 0)
		return ret;
	tcp_fill_options(d, src, e);
	return tcp_end_entry(d, src, e, -1, err);
}

/* ---- restore ---- */

int tcp_plan_ended(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	const EndedTcpEntry *ended = e->ended;
	struct tcp_ended *r = arena_alloc(plan->arena, sizeof(*r));
	InetSkEntry *own = arena_dup(plan->arena, e, sizeof(*e));
	struct tcp_stream st = { 0 };
	int ret;

	if (!ended->port || ended->port > UINT16_MAX || ended->n_addr != e->n_src_addr || ended->unread > QUEUE_MAX)
		return err_image(err, "files.img: internet socket %u: the connection that it had cannot be", e->id);
	if (plan->lacks >> CAP_NET_ADMIN & 1 && !ended->unread && !e->has_error)
		return 1;
	if (ended->unread) {
		ret = tcp_stream_load(m, plan, e, &st, err);
		if (ret < 0)
			return ret;
		if (st.s->inq_len != ended->unread || st.s->outq_len ||
		    (st.s->has_urgent && (e->has_error || st.s->urgent >= ended->unread)))
			return err_image(err, "tcp-stream-%x.img: queues that an ended connection cannot have", e->ino);
	}
	own->src_port = ended->port;
	own->src_addr = ended->addr;
	*r = (struct tcp_ended){ .slot = slot, .e = own, .bytes = st.in, .unread = ended->unread,
				 .urgent = st.s && st.s->has_urgent ? st.s : NULL, .next = plan->tcp_ended };
	ret = tcp_error_plan(r, plan, err);
	if (ret < 0)
		return ret;
	plan->tcp_ended = r;
	ret = inet_plan_socket(plan, e, slot, err);
	if (ret < 0)
		return ret;
	if (r->unread || e->has_error) /* who may not do that learns it before anything is made */
		inet_plan_int(plan, MAKE_OBJECTS, slot, "to be repaired", IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	tcp_plan_options(plan, e->tcp_opts, slot);
	return inet_plan_options(plan, e, slot, err);
}

/* What both sides begin with: where our queues begin. Leaves the receive queue chosen. */
static int numbers(int fd, uint32_t out, uint32_t in)
{
	int ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);

	if (!ret)
		ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	if (!ret)
		ret = sock_set(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)out);
	if (!ret)
		ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	return ret ? ret : sock_set(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)in);
}

/* Each takes the other one's end, however full its queue is. */
static int windows(int fd, uint32_t in)
{
	const struct tcp_repair_window w = { .snd_wl1 = in, .snd_wnd = UINT16_MAX, .max_window = UINT16_MAX, .rcv_wnd = UINT16_MAX,
					     .rcv_wup = in };
	int ret = sock_set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);

	return ret ? ret : setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0 ? -errno : 0;
}

/* How much is there before the other one says anything. */
static uint32_t said(const struct tcp_ended *r)
{
	return r->urgent ? tcp_urgent_before(r->urgent) : r->unread;
}

static int fill(const struct tcp_ended *r, int fd)
{
	int ret = r->unread ? sock_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, tcp_room(r->unread)) : 0;

	for (uint32_t done = 0; !ret && done < said(r);) {
		const uint32_t n = MIN(said(r) - done, TCP_RECV_CHUNK);
		const ssize_t put = send(fd, r->bytes + done, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put != (ssize_t)n)
			ret = put < 0 ? -errno : -ENOBUFS;
		done += n;
	}
	return ret;
}

int tcp_wait_state(int fd, int want)
{
	const struct timespec pause = { 0, STATE_PAUSE_NS };

	/* Over the loopback device it is there already, as a rule. */
	for (int tries = 0; tries < STATE_TRIES; tries++) {
		const int state = tcp_state(fd);

		if (state < 0 || state == want)
			return MIN(state, 0);
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

socklen_t tcp_ended_address(const struct tcp_ended *r, union inet_address *own)
{
	const socklen_t len = inet_address_of(r->e, false, own);

	if (own->sa.sa_family == AF_INET6 && r->e->ifname)
		own->in6.sin6_scope_id = if_nametoindex(r->e->ifname);
	return len;
}

int tcp_ended_bind(const struct tcp_ended *r, int fd, int peer, union inet_address *own, union inet_address *other, struct err *err)
{
	const socklen_t len = tcp_ended_address(r, own);
	socklen_t olen = len;
	int ret = numbers(fd, 1, 1);

	if (ret < 0)
		return tcp_ended_failed(err, ret, "cannot enter repair mode (TCP_REPAIR)");
	/* In this mode an address may be taken that others use, too. The other one takes any port but this. */
	*other = *own;
	other->in.sin_port = 0; /* at the same place in both */
	if (bind(fd, &own->sa, len) < 0 || bind(peer, &other->sa, len) < 0 || getsockname(peer, &other->sa, &olen) < 0)
		return err_sys(err, "cannot give it its own address");
	return (int)len;
}

/* Both believe to be connected to each other. */
static int pair_up(const struct tcp_ended *r, int fd, int peer, struct err *err)
{
	const uint32_t in = 1 + said(r); /* where the other one's end is */
	union inet_address own, other;
	int ret = tcp_ended_bind(r, fd, peer, &own, &other, err);
	const socklen_t len = (socklen_t)ret;

	if (ret < 0)
		return ret;
	ret = numbers(peer, in, 1);
	if (!ret && (connect(fd, &other.sa, len) < 0 || connect(peer, &own.sa, len) < 0))
		ret = -errno;
	if (!ret)
		ret = fill(r, fd);
	if (!ret)
		ret = windows(fd, in);
	if (!ret)
		ret = windows(peer, 1);
	return tcp_ended_failed(err, ret, "cannot fill its queue");
}

/* The peer closes, and then resets, which takes both connections away at once. */
static int hear_the_end(const struct tcp_ended *r, int fd, int peer, struct err *err)
{
	int ret, error;
	socklen_t len = sizeof(error);

	/* With its probe: a packet filter that knows connections takes that as the beginning of one. */
	ret = sock_set(peer, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);
	if (!ret && r->urgent)
		ret = tcp_urgent_say(peer, r->urgent, r->bytes);
	if (!ret && shutdown(peer, SHUT_WR) < 0)
		ret = -errno;
	if (!ret)
		ret = tcp_wait_state(fd, CLOSE_WAIT);
	if (!ret && r->urgent)
		ret = tcp_urgent_set(fd, r->urgent, r->bytes);
	if (!ret && connect(peer, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)) < 0)
		ret = -errno;
	if (!ret)
		ret = tcp_wait_state(fd, CLOSED);
	if (ret == -ETIMEDOUT)
		return err_hint(err, err_set(err, ERR_FAILED, 0, "it does not hear that its connection has ended"),
				"does a packet filter of this host drop packets on the loopback device? --tcp-close drops what it has");
	/* The reset. */
	if (!ret && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		ret = -errno;
	return tcp_ended_failed(err, ret, "cannot end its connection");
}

/* A socket for the other side, and what both must be like. */
static int make_peer(const struct tcp_ended *r, struct err *err)
{
	const int fd = socket((int)r->e->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (r->e->family == AF_INET6)
		sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	/* Some want nothing that has come from afar (IP_MINTTL). */
	sock_set(fd, IPPROTO_IP, IP_TTL, UINT8_MAX);
	sock_set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, UINT8_MAX);
	return fd;
}

/* What is under way until its error is there. */
struct coming { const struct tcp_ended *r; int fd, peer; struct sock_quiet quiet; bool waits; };

static int begin(struct coming *c, int raw, struct err *err)
{
	const struct tcp_ended *r = c->r;
	union inet_address own;
	int ret;

	tcp_ended_address(r, &own);
	sock_quiet_begin(c->fd, &own, &c->quiet);
	c->peer = make_peer(r, err);
	if (c->peer < 0)
		return -EINVAL;
	ret = r->e->has_error && r->e->ended->attempt ? 0 : pair_up(r, c->fd, c->peer, err);
	if (!ret)
		ret = !r->e->has_error	   ? hear_the_end(r, c->fd, c->peer, err) :
		      r->e->ended->attempt ? tcp_error_attempt(r, c->fd, c->peer, raw, err) :
					     tcp_error_connected(r, c->fd, c->peer, raw, err);
	c->waits = ret > 0;
	return ret < 0 ? ret : 0;
}

/* ret: how it went until here. */
static int finish(struct coming *c, int ret, struct err *err)
{
	const SkOptsEntry *o = c->r->e->opts;

	if (!ret && c->waits)
		ret = tcp_error_wait(c->fd, err);
	/* Where that failed, or the other one has died without a word, the peer's end must not be heard by anybody. */
	if (c->peer >= 0) {
		if (ret < 0 || c->r->e->has_error)
			repair_enter(c->peer);
		close(c->peer);
	}
	if (!ret)
		ret = tcp_ended_failed(err, repair_leave(c->fd, o->has_reuseaddr && o->reuseaddr), "cannot leave repair mode (TCP_REPAIR)");
	sock_quiet_end(c->fd, &c->quiet);
	return ret ? ret : tcp_sizes_back(o, c->fd, err);
}

/* It reads and writes as it did, and only its name is not there. */
static void end_without_name(const struct tcp_ended *r, int fd)
{
	const SkOptsEntry *o = r->e->opts;
	struct err ignore = ERR_INIT;
	int error;
	socklen_t len = sizeof(error);

	connect(fd, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	repair_leave(fd, o->has_reuseaddr && o->reuseaddr);
	tcp_sizes_back(o, fd, &ignore);
	/* It says that there is no connection, and shuts down all the same (inet_shutdown() in net/ipv4/af_inet.c). */
	shutdown(fd, SHUT_RDWR);
}

static int blame(const struct tcp_ended *r, int ret, struct err *err)
{
	char a[64];

	inet_address_text(r->e, false, a, sizeof(a));
	return err_object(err, ret, "TCP connection of %s that has ended", a);
}

/* One without bytes and error comes back in any case. none: it is known that no such socket gets its name. */
static int come_to_its_end(struct coming *c, const int *fds, bool *none, const struct log *log, struct err *err)
{
	const struct tcp_ended *r = c->r;
	const bool needed = r->unread || r->e->has_error;
	struct err why = ERR_INIT;
	char a[64];
	int ret;

	*c = (struct coming){ .r = r, .fd = fds[r->slot], .peer = -1 };
	ret = *none && !needed ? -EAGAIN : begin(c, r->by_icmp ? fds[r->raw] : -1, &why);
	if (!ret && c->waits)
		return 0;
	if (ret != -EAGAIN || c->peer >= 0)
		ret = finish(c, ret, &why);
	if (ret >= 0)
		return 0;
	if (needed) {
		*err = why;
		return blame(r, ret, err);
	}
	/* It takes long to find that out, so once is enough. */
	*none = *none || ret != -EADDRNOTAVAIL;
	inet_address_text(r->e, false, a, sizeof(a));
	log_debug(log, "TCP connection of %s that has ended comes back without its name", a);
	end_without_name(r, fds[r->slot]);
	return 0;
}

int tcp_ended_run(const struct plan *plan, const struct log *log, const int *fds, struct err *err)
{
	cleanup_free struct coming *all = NULL;
	bool none = false;
	size_t n = 0, i = 0;
	int ret = 0;

	for (const struct tcp_ended *r = plan->tcp_ended; r; r = r->next)
		n++;
	all = xreallocarray(NULL, n, sizeof(*all));
	/* Those that wait for a timer of the kernel wait together. */
	for (const struct tcp_ended *r = plan->tcp_ended; r && !ret; r = r->next) {
		all[i].r = r;
		ret = come_to_its_end(&all[i], fds, &none, log, err);
		i += !ret;
	}
	for (size_t k = 0; k < i; k++)
		if (all[k].waits) {
			struct err why = ERR_INIT;
			const int back = finish(&all[k], ret, ret ? &why : err);

			ret = ret || !back ? ret : blame(all[k].r, back, err);
		}
	if (!ret)
		fault("tcp:ended");
	return ret;
}

void tcp_ended_preflight(const struct plan *plan, finding_fn report, void *ctx)
{
	for (const struct tcp_ended *r = plan->tcp_ended; r; r = r->next) {
		InetSkEntry unbound = *r->e;
		SkOptsEntry opts = *unbound.opts;
		char a[64], object[128], line[160];

		/* It is bound to its device only when it has its name; link-local addresses name theirs. */
		opts.so_bound_dev = NULL;
		unbound.opts = &opts;
		if ((!r->unread && !r->e->has_error) || tcp_address_is_here(&unbound))
			continue;
		inet_address_text(r->e, false, a, sizeof(a));
		snprintf(object, sizeof(object), "TCP connection of %s that has ended", a);
		snprintf(line, sizeof(line), "its address is not on this host, and %u bytes wait to be read%s (--tcp-close drops them)",
			 r->unread, r->e->has_error ? ", and an error" : "");
		report(ctx, object, line);
	}
}
