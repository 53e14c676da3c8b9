// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP sockets whose connection has ended. The kernel knows the connection no more, but the descriptor has its own name, what came
 * and was not read yet, and after that the end.
 *
 * A restore gives it a connection with a socket of ours on the same address, over the loopback device: two sockets that believe to be
 * connected (TCP_REPAIR), with the bytes in the queue of one. The other one says its end and then resets the connection, so neither
 * stays behind in TIME_WAIT. The addresses of the old connection may be those of a new one by then, and its peer hears nothing.
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

enum { CLOSED = 7, CLOSE_WAIT = 8 }; /* include/net/tcp_states.h */
#define QUEUE_MAX (1u << 30)
#define STATE_TRIES 400
#define STATE_PAUSE_NS 5000000

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

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
		ret = set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!ret && ioctl(fd, SIOCINQ, &n) < 0)
		ret = -errno;
	if (!was)
		set(fd, SOL_SOCKET, SO_OOBINLINE, 0);
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

/* A mark of urgent data, even one whose byte was read, hides what lies behind it, and cannot be set without the connection. */
static int refuse_mark(int fd, int unread, int all, struct err *err)
{
	struct pollfd p = { fd, POLLPRI, 0 };
	int ret = 0;
	char byte;

	if (poll(&p, 1, 0) == 1 && p.revents & POLLPRI)
		return err_refuse(err, "TCP connection that has ended: urgent data waits to be read");
	/* Right at the mark nothing is counted, and all behind it can be read. */
	if (!unread)
		all = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	else if (all < 0)
		ret = ask_guard(fd, &all, err);
	if (!ret && all < 0)
		ret = err_set(err, ERR_FAILED, -all, "cannot read the length of its queue");
	return ret || all == unread ? ret : err_refuse(err, "%s", mark_there);
}

static int keep_unread(struct dump *d, const struct fd_source *src, InetSkEntry *e, uint32_t unread, struct err *err)
{
	TcpStreamEntry s = TCP_STREAM_ENTRY__INIT;
	cleanup_free void *bytes = xmalloc(unread);
	ssize_t n = recv(src->fd, bytes, unread, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return err_sys(err, "cannot read what waits to be read");
	if (n != (ssize_t)unread) /* it stops there */
		return err_refuse(err, "%s", mark_there);
	if (e->opts->has_so_peek_off)
		return err_refuse(err, "TCP connection that has ended: unread data and SO_PEEK_OFF");
	if (d->found)
		return 0;
	s.inq_len = unread;
	s.has_unsq_len = true;
	image_store_put(d->store, IMG_TCP_STREAM, e->ino, &s.base);
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
	tcp_fill_options(d, src->fd, e);
	drop_name(e);
	return 0;
}

int tcp_end_entry(struct dump *d, const struct fd_source *src, InetSkEntry *e, int all, struct err *err)
{
	EndedTcpEntry *ended = NULL;
	int unread = 0, ret;

	if (ioctl(src->fd, SIOCINQ, &unread) < 0 || unread < 0 || (unsigned)unread > QUEUE_MAX)
		return err_sys(err, "cannot read the length of its queue");
	/* Before anything is read: where nothing waits, that would take the error. */
	ret = sock_refuse_errors(src->fd, "TCP connection that has ended", err);
	if (!ret)
		ret = refuse_mark(src->fd, unread, all, err);
	if (!ret && unread)
		ret = keep_unread(d, src, e, (uint32_t)unread, err);
	if (ret < 0)
		return ret;
	if (e->src_port && (unread || had_connection(src->fd))) {
		ended = arena_msg(d->arena, EndedTcpEntry, ended_tcp_entry__init);
		ended->port = e->src_port;
		ended->addr = arena_dup(d->arena, e->src_addr, 4 * e->n_src_addr);
		ended->n_addr = e->n_src_addr;
		ended->unread = (uint32_t)unread;
	}
	drop_name(e);
	e->ended = ended;
	return 0;
}

int tcp_dump_ended(struct dump *d, const struct fd_source *src, InetSkEntry *e, struct err *err)
{
	int ret;

	if (d->opts->tcp_close)
		return tcp_dump_dropped(d, src, e, err);
	ret = inet_fill(d, src, e, true, err);
	if (ret < 0)
		return ret;
	tcp_fill_options(d, src->fd, e);
	return tcp_end_entry(d, src, e, -1, err);
}

/* ---- restore ---- */

struct tcp_ended {
	uint32_t slot;
	const InetSkEntry *e; /* with the own address in its place */
	const uint8_t *bytes;
	uint32_t unread;
	struct tcp_ended *next;
};

int tcp_plan_ended(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	const EndedTcpEntry *ended = e->ended;
	struct tcp_ended *r = arena_alloc(plan->arena, sizeof(*r));
	InetSkEntry *own = arena_dup(plan->arena, e, sizeof(*e));
	struct tcp_stream st = { 0 };
	int ret;

	if (!ended->port || ended->port > UINT16_MAX || ended->n_addr != e->n_src_addr || ended->unread > QUEUE_MAX)
		return err_image(err, "files.img: internet socket %u: the connection that it had cannot be", e->id);
	if (plan->lacks >> CAP_NET_ADMIN & 1 && !ended->unread)
		return 1;
	if (ended->unread) {
		ret = tcp_stream_load(m, plan, e, &st, err);
		if (ret < 0)
			return ret;
		if (st.s->inq_len != ended->unread || st.s->outq_len)
			return err_image(err, "tcp-stream-%x.img: queues that an ended connection cannot have", e->ino);
	}
	own->src_port = ended->port;
	own->src_addr = ended->addr;
	*r = (struct tcp_ended){ .slot = slot, .e = own, .bytes = st.in, .unread = ended->unread, .next = plan->tcp_ended };
	plan->tcp_ended = r;
	ret = inet_plan_socket(plan, e, slot, err);
	if (ret < 0)
		return ret;
	if (r->unread) /* who may not do that learns it before anything is made */
		inet_plan_int(plan, MAKE_OBJECTS, slot, "to be repaired", IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	tcp_plan_options(plan, e->tcp_opts, slot);
	return inet_plan_options(plan, e, slot, err);
}

static int failed(struct err *err, int ret, const char *what)
{
	return ret < 0 ? err_set(err, ERR_FAILED, -ret, "%s", what) : 0;
}

/* What both sides begin with: where our queues begin. Leaves the receive queue chosen. */
static int numbers(int fd, uint32_t out, uint32_t in)
{
	int ret = set(fd, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);

	if (!ret)
		ret = set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	if (!ret)
		ret = set(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)out);
	if (!ret)
		ret = set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	return ret ? ret : set(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, (int)in);
}

/* Each takes the other one's end, however full its queue is. */
static int windows(int fd, uint32_t in)
{
	const struct tcp_repair_window w = { .snd_wl1 = in, .snd_wnd = UINT16_MAX, .max_window = UINT16_MAX, .rcv_wnd = UINT16_MAX,
					     .rcv_wup = in };
	int ret = set(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);

	return ret ? ret : setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &w, sizeof(w)) < 0 ? -errno : 0;
}

static int fill(const struct tcp_ended *r, int fd)
{
	int ret = r->unread ? set(fd, SOL_SOCKET, SO_RCVBUFFORCE, tcp_room(r->unread)) : 0;

	for (uint32_t done = 0; !ret && done < r->unread;) {
		const uint32_t n = MIN(r->unread - done, TCP_RECV_CHUNK);
		const ssize_t put = send(fd, r->bytes + done, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put != (ssize_t)n)
			ret = put < 0 ? -errno : -ENOBUFS;
		done += n;
	}
	return ret;
}

static int wait_state(int fd, int want)
{
	const struct timespec pause = { 0, STATE_PAUSE_NS };
	struct tcp_info info;

	/* Over the loopback device it is there already, as a rule. */
	for (int tries = 0; tries < STATE_TRIES; tries++) {
		socklen_t len = sizeof(info);

		info = (struct tcp_info){ 0 };
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			return -errno;
		if (info.tcpi_state == want)
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

/* Both believe to be connected to each other. */
static int pair_up(const struct tcp_ended *r, int fd, int peer, struct err *err)
{
	const uint32_t in = 1 + r->unread; /* where the other one's end is */
	union inet_address own, other;
	socklen_t len = inet_address_of(r->e, false, &own), olen = len;
	int ret = numbers(fd, 1, 1);

	if (own.sa.sa_family == AF_INET6) {
		set(peer, IPPROTO_IPV6, IPV6_V6ONLY, 0);
		if (r->e->ifname)
			own.in6.sin6_scope_id = if_nametoindex(r->e->ifname);
	}
	if (ret < 0)
		return failed(err, ret, "cannot enter repair mode (TCP_REPAIR)");
	/* In this mode an address may be taken that others use, too. The other one takes any port but this. */
	other = own;
	other.in.sin_port = 0; /* at the same place in both */
	if (bind(fd, &own.sa, len) < 0 || bind(peer, &other.sa, len) < 0 || getsockname(peer, &other.sa, &olen) < 0)
		return err_sys(err, "cannot give it its own address");
	ret = numbers(peer, in, 1);
	if (!ret && (connect(fd, &other.sa, len) < 0 || connect(peer, &own.sa, len) < 0))
		ret = -errno;
	if (!ret)
		ret = fill(r, fd);
	if (!ret)
		ret = windows(fd, in);
	if (!ret)
		ret = windows(peer, 1);
	return failed(err, ret, "cannot fill its queue");
}

/* The peer closes, and then resets, which takes both connections away at once. */
static int hear_the_end(int fd, int peer, struct err *err)
{
	int ret, error;
	socklen_t len = sizeof(error);

	/* With its probe: a packet filter that knows connections takes that as the beginning of one. */
	ret = set(peer, IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF);
	if (!ret && shutdown(peer, SHUT_WR) < 0)
		ret = -errno;
	if (!ret)
		ret = wait_state(fd, CLOSE_WAIT);
	if (!ret && connect(peer, &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(struct sockaddr)) < 0)
		ret = -errno;
	if (!ret)
		ret = wait_state(fd, CLOSED);
	if (ret == -ETIMEDOUT)
		return err_hint(err, err_set(err, ERR_FAILED, 0, "it does not hear that its connection has ended"),
				"does a packet filter of this host drop packets on the loopback device? --tcp-close drops what it has");
	/* The reset. */
	if (!ret && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		ret = -errno;
	return failed(err, ret, "cannot end its connection");
}

/* Of a device it would hear nothing that comes over the loopback device; link-local addresses need theirs. */
static int unbound(const struct tcp_ended *r, int fd)
{
	union inet_address a;
	int device = 0;
	socklen_t len = sizeof(device);

	inet_address_of(r->e, false, &a);
	if ((a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr)) ||
	    getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &len) < 0 || !device)
		return 0;
	set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
	return device;
}

static int come_to_its_end(const struct tcp_ended *r, int fd, struct err *err)
{
	const SkOptsEntry *o = r->e->opts;
	cleanup_fd int peer = socket((int)r->e->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int device = unbound(r, fd);
	int ret = peer < 0 ? err_sys(err, "cannot make a socket") : pair_up(r, fd, peer, err);

	if (!ret)
		ret = hear_the_end(fd, peer, err);
	/* Where that failed, the peer's end must not be heard by anybody. */
	if (ret < 0 && peer >= 0)
		repair_enter(peer);
	if (!ret)
		ret = failed(err, repair_leave(fd, o->has_reuseaddr && o->reuseaddr), "cannot leave repair mode (TCP_REPAIR)");
	if (device)
		set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, device);
	return ret ? ret : tcp_sizes_back(o, fd, err);
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

int tcp_ended_run(const struct plan *plan, const struct log *log, const int *fds, struct err *err)
{
	bool none = false;

	for (const struct tcp_ended *r = plan->tcp_ended; r; r = r->next) {
		struct err why = ERR_INIT;
		char a[64];
		int ret = none && !r->unread ? -EAGAIN : come_to_its_end(r, fds[r->slot], &why);

		if (ret >= 0)
			continue;
		inet_address_text(r->e, false, a, sizeof(a));
		if (r->unread) {
			*err = why;
			return err_object(err, ret, "TCP connection of %s that has ended", a);
		}
		/* It takes long to find that out, so once is enough. */
		none = none || ret != -EADDRNOTAVAIL;
		log_debug(log, "TCP connection of %s that has ended comes back without its name", a);
		end_without_name(r, fds[r->slot]);
	}
	fault("tcp:ended");
	return 0;
}

void tcp_ended_preflight(const struct plan *plan, finding_fn report, void *ctx)
{
	for (const struct tcp_ended *r = plan->tcp_ended; r; r = r->next) {
		char a[64], object[128], line[160];

		if (!r->unread || tcp_address_is_here(r->e))
			continue;
		inet_address_text(r->e, false, a, sizeof(a));
		snprintf(object, sizeof(object), "TCP connection of %s that has ended", a);
		snprintf(line, sizeof(line), "its address is not on this host, and %u bytes wait to be read (--tcp-close drops them)",
			 r->unread);
		report(ctx, object, line);
	}
}
