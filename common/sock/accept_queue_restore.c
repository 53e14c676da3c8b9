// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections that wait to be accepted, restore side. When all tasks are there and the network is still locked, each handshake ends
 * once more: a segment of ours over the loopback device, which a socket of this host takes for its peer's. What the peer had said comes
 * in the same way. All that the kernel answers meets the lock, and is nothing that the peer has not heard before.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <time.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/net/guard.h"
#include "common/net/handshake.h"
#include "common/sock/accept_queue.h"
#include "common/sock/sockerr.h"
#include "common/sock/tcp_load.h"

enum { ESTABLISHED = 1, SYN_RECV = 3, CLOSED = 7, CLOSE_WAIT = 8, LISTEN = 10 }; /* include/net/tcp_states.h */
#define WAITING_MAX (1u << 20)
#define QUEUE_MAX (1u << 30)
#define WSCALE_MAX 14 /* TCP_MAX_WSCALE */
#define SMALL_BYTES 512u
#define BURST 65536u
#define TRIES 400
#define PAUSE_NS 5000000

/* ---- plan ---- */

static int check_one(const InetSkEntry *e, const WaitingTcpEntry *w, struct err *err)
{
	struct net_connection c;

	if (w->n_src_addr != e->n_src_addr || w->n_dst_addr != e->n_src_addr || !w->src_port || w->src_port > UINT16_MAX || !w->dst_port ||
	    w->dst_port > UINT16_MAX)
		return err_image(err, "files.img: TCP socket %u: a connection that waits with an address that cannot be", e->id);
	if (w->snd_wscale > WSCALE_MAX || w->rcv_wscale > WSCALE_MAX || w->mss_clamp > UINT16_MAX)
		return err_image(err, "files.img: TCP socket %u: a connection that waits with options that cannot be", e->id);
	if (w->opt_mask & TCPI_OPT_TIMESTAMPS && (!w->has_timestamp || !w->has_ts_recent))
		return err_image(err, "files.img: TCP socket %u: a connection that waits without a clock", e->id);
	if (w->has_error && w->error != (w->fin ? EPIPE : ECONNRESET))
		return err_image(err, "files.img: TCP socket %u: a connection that waits with a wrong error: %u", e->id, w->error);
	accept_queue_connection(e, w, &c);
	if (!w->has_error && w->mss_clamp < HANDSHAKE_MSS_MIN(c.v6))
		return err_image(err, "files.img: TCP socket %u: a connection that waits with segments of %u bytes", e->id, w->mss_clamp);
	return 0;
}

static int load_bytes(const struct model *m, const InetSkEntry *e, struct plan *plan, uint64_t len, const uint8_t **bytes, struct err *err)
{
	struct tcp_stream st = { 0 };
	int ret;

	if (!len)
		return 0;
	ret = tcp_stream_load(m, plan, e, &st, err);
	if (ret < 0)
		return ret;
	if (st.s->inq_len != len || st.s->outq_len)
		return err_image(err, "tcp-stream-%x.img: not what has come in connections that wait", e->ino);
	*bytes = st.in;
	return 0;
}

int accept_queue_plan(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	struct accept_queue *q = arena_alloc(plan->arena, sizeof(*q));
	uint64_t len = 0;
	char a[64];
	int ret = 0;

	inet_address_text(e, false, a, sizeof(a));
	if (!plan->tcp_established)
		return err_hint(err, err_refuse(err, "files.img: %zu TCP connections that wait to be accepted at %s", e->n_waiting, a),
				"use --tcp-established to restore them, or --tcp-close to drop them");
	if (e->n_waiting > WAITING_MAX)
		return err_image(err, "files.img: TCP socket %u: %zu connections that wait", e->id, e->n_waiting);
	for (size_t i = 0; i < e->n_waiting && !ret; i++) {
		ret = check_one(e, e->waiting[i], err);
		len += e->waiting[i]->unread;
	}
	if (!ret && len > QUEUE_MAX)
		ret = err_image(err, "files.img: TCP socket %u: too much has come in connections that wait", e->id);
	*q = (struct accept_queue){ .slot = slot, .e = e, .next = plan->accept_queues };
	if (!ret)
		ret = load_bytes(m, e, plan, len, &q->bytes, err);
	if (!ret)
		plan->accept_queues = q;
	return ret;
}

void accept_queue_connection(const InetSkEntry *e, const WaitingTcpEntry *w, struct net_connection *c)
{
	tcp_connection_of(w->src_addr, w->src_port, w->dst_addr, w->dst_port, e->family == AF_INET6, c);
}

/* ---- preflight ---- */

/* A number of the network namespace; -1: there is none. */
static int64_t sysctl(const char *name)
{
	char path[64];
	cleanup_free char *text = NULL;
	int64_t value;
	size_t n;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	if (read_file_at(AT_FDCWD, path, 64, &text, &n))
		return -1;
	text[strcspn(text, "\n")] = 0;
	return parse_i64(text, 10, &value) ? -1 : value;
}

static void check_sysctls(const struct accept_queue *q, const char *object, finding_fn report, void *ctx)
{
	static const struct { uint32_t option; const char *name; } options[] = {
		{ TCPI_OPT_TIMESTAMPS, "ipv4/tcp_timestamps" },
		{ TCPI_OPT_SACK, "ipv4/tcp_sack" },
		{ TCPI_OPT_WSCALE, "ipv4/tcp_window_scaling" },
	};
	uint32_t used = 0;
	char line[128];

	for (size_t i = 0; i < q->e->n_waiting; i++)
		used |= q->e->waiting[i]->opt_mask;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!(used & options[i].option) || sysctl(options[i].name))
			continue;
		snprintf(line, sizeof(line), "connections that wait use what /proc/sys/net/%s forbids here", options[i].name);
		report(ctx, object, line);
	}
	/* Else what has our mark would have it for ever. */
	if (sysctl("ipv4/tcp_fwmark_accept") > 0)
		report(ctx, object, "connections that wait to be accepted do not come back where net.ipv4.tcp_fwmark_accept is on");
	if (sysctl("core/somaxconn") >= 0 && (uint64_t)sysctl("core/somaxconn") + 1 < q->e->n_waiting)
		report(ctx, object, "more connections wait to be accepted than /proc/sys/net/core/somaxconn lets wait here");
}

static void check_addresses(const struct accept_queue *q, const char *object, finding_fn report, void *ctx)
{
	const uint32_t *last = NULL;
	InetSkEntry e = *q->e;
	char a[64], line[128];

	for (size_t i = 0; i < q->e->n_waiting; i++) {
		e.src_addr = q->e->waiting[i]->src_addr;
		if (last && !memcmp(last, e.src_addr, 4 * e.n_src_addr))
			continue;
		last = e.src_addr;
		if (tcp_address_is_here(&e))
			continue;
		inet_address_text(&e, false, a, sizeof(a));
		snprintf(line, sizeof(line), "the address of a connection that waits at %s is not on this host", a);
		report(ctx, object, line);
	}
}

int accept_queues_need(const struct plan *plan, struct err *err)
{
	int ret = plan->accept_queues ? handshake_try(err) : 0;

	/* Nobody asks for it before all tasks are there. */
	if (plan->accept_queues && !ret && plan->lacks >> CAP_NET_RAW & 1)
		ret = err_set(err, ERR_FEATURE, EPERM, "raw sockets need CAP_NET_RAW");
	return err_object(err, ret, "connections that wait to be accepted do not come back here (cr-check --feature tcp_waiting)");
}

void accept_queues_preflight(const struct plan *plan, finding_fn report, void *ctx)
{
	char a[64], object[128];

	for (const struct accept_queue *q = plan->accept_queues; q; q = q->next) {
		inet_address_text(q->e, false, a, sizeof(a));
		snprintf(object, sizeof(object), "listening TCP socket %s", a);
		check_sysctls(q, object, report, ctx);
		check_addresses(q, object, report, ctx);
	}
}

/* ---- run ---- */

struct making {
	struct handshake *h;
	struct tcp_packets *packets;
	int nl; /* sock_diag */
	uint32_t lo, size; /* of packets */
	struct net_connection c;
	const WaitingTcpEntry *w;
	const uint8_t *bytes;
};

static void wait_a_little(void)
{
	nanosleep(&(struct timespec){ 0, PAUSE_NS }, NULL);
}

/* How it is now: its state (CLOSED: it is found no more), and how much has come. */
static int look(const struct making *k, int *state, uint32_t *come, struct err *err)
{
	struct { struct nlmsghdr h; struct inet_diag_req_v2 r; } req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.r = { .sdiag_family = k->c.v6 ? AF_INET6 : AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u,
		       .id = { .idiag_sport = k->c.local_port, .idiag_dport = k->c.remote_port, .idiag_if = k->lo,
			       .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	union { struct nlmsghdr h; unsigned char bytes[4096]; } in;
	const struct inet_diag_msg *m = NLMSG_DATA(&in.h);
	const struct nlmsgerr *e = NLMSG_DATA(&in.h);

	memcpy(req.r.id.idiag_src, k->c.local, sizeof(k->c.local));
	memcpy(req.r.id.idiag_dst, k->c.remote, sizeof(k->c.remote));
	if (send(k->nl, &req, sizeof(req), 0) < 0 || recv(k->nl, &in, sizeof(in), 0) < (ssize_t)NLMSG_LENGTH(sizeof(*e)))
		return err_sys(err, "cannot ask sock_diag");
	*come = 0;
	*state = CLOSED;
	if (in.h.nlmsg_type == NLMSG_ERROR)
		return e->error == -ENOENT ? 0 : err_set(err, ERR_FEATURE, -e->error, "cannot ask sock_diag");
	if (m->idiag_state == LISTEN)
		return 0;
	*state = m->idiag_state;
	*come = m->idiag_rqueue;
	return 0;
}

static int not_heard(struct err *err, const char *what)
{
	return err_hint(err, err_set(err, ERR_FAILED, 0, "%s", what), SOCK_LOOPBACK_HINT);
}

/* What the peer says, at this place of what it has to say. */
static struct tcp_segment segment(const struct making *k, uint32_t off)
{
	const WaitingTcpEntry *w = k->w;
	const uint32_t scale = w->opt_mask & TCPI_OPT_WSCALE ? w->snd_wscale : 0;

	return (struct tcp_segment){ .seq = w->in_seq + off, .ack = w->out_seq, .window = (uint16_t)MIN(w->snd_wnd >> scale, UINT16_MAX) };
}

/*
 * A request that waited for data outlives the socket that listened for a while, and nothing else gets its place; whatever comes for it
 * lets it go (tcp_v4_rcv() in net/ipv4/tcp_ipv4.c). A reset is answered by nobody.
 */
static int clear_place(struct making *k, struct err *err)
{
	struct tcp_segment s = segment(k, 0);
	uint32_t come;
	int state;

	s.rst = true;
	for (int tries = 0; tries < TRIES; tries++) {
		int ret = look(k, &state, &come, err);

		if (ret < 0 || state == CLOSED)
			return ret;
		if (state != SYN_RECV)
			return err_set(err, ERR_FAILED, EADDRINUSE, "this host has such a connection");
		ret = tcp_packets_send(k->packets, &k->c, &s, err);
		if (ret < 0)
			return ret;
		if (tries)
			wait_a_little();
	}
	return not_heard(err, "what was left of it does not go");
}

static int end_handshake(struct making *k, struct err *err)
{
	const WaitingTcpEntry *w = k->w;
	const struct tcp_segment s = segment(k, 0);
	/* What was sent last may be one more than was read; it must never go back. */
	const struct handshake_options o = {
		.mss = (uint16_t)MAX(w->mss_clamp, HANDSHAKE_MSS_MIN(k->c.v6)), .timestamps = w->opt_mask & TCPI_OPT_TIMESTAMPS,
		.usec = w->usec, .wscale = w->opt_mask & TCPI_OPT_WSCALE, .sack = w->opt_mask & TCPI_OPT_SACK,
		.ecn = w->opt_mask & TCPI_OPT_ECN, .snd_wscale = (uint8_t)w->snd_wscale, .rcv_wscale = (uint8_t)w->rcv_wscale,
		.ts_recent = w->ts_recent, .clock = w->timestamp + 2,
	};
	uint32_t come;
	int ret = clear_place(k, err), state;

	if (ret < 0)
		return ret;
	handshake_next(k->h, &k->c, s.seq, s.ack, &o);
	ret = 1;
	for (int tries = 0; ret > 0 && tries < TRIES; tries++) {
		ret = tcp_packets_send(k->packets, &k->c, &s, err);
		if (ret < 0)
			return ret;
		/* Over the loopback device it is there when the call returns, as a rule. */
		ret = handshake_result(k->h);
		if (ret > 0)
			wait_a_little();
		if (ret > 0)
			ret = handshake_result(k->h);
	}
	if (ret > 0)
		return not_heard(err, "its handshake is not heard");
	if (ret < 0)
		return err_set(err, ERR_FEATURE, -ret, "the kernel does not take its handshake (bpf_sk_assign_tcp_reqsk())");
	for (int tries = 0; tries < TRIES; tries++) {
		ret = look(k, &state, &come, err);
		if (ret < 0 || state == ESTABLISHED)
			return ret;
		wait_a_little();
	}
	return not_heard(err, "its handshake does not end");
}

/* A burst from `done` on. */
static int send_bytes(struct making *k, uint32_t done, struct err *err)
{
	for (uint32_t at = done; at < k->w->unread && at - done < BURST;) {
		struct tcp_segment s = segment(k, at);
		int ret;

		s.bytes = k->bytes + at;
		s.len = MIN(k->w->unread - at, k->size);
		ret = tcp_packets_send(k->packets, &k->c, &s, err);
		if (ret == -EMSGSIZE && k->size > SMALL_BYTES) { /* somebody wants small packets on the loopback device */
			k->size /= 2;
			*err = (struct err)ERR_INIT;
			continue;
		}
		if (ret < 0)
			return ret;
		at += (uint32_t)s.len;
	}
	return 0;
}

static int fill(struct making *k, struct err *err)
{
	uint32_t done = 0, come;
	int state, ret = 0;

	k->size = TCP_PACKET_BYTES;
	for (int tries = 0; done < k->w->unread;) {
		if (tries++ == TRIES)
			return not_heard(err, "it does not take what its peer had sent");
		ret = send_bytes(k, done, err);
		if (!ret)
			ret = look(k, &state, &come, err);
		if (!ret && come == done) { /* not yet there, or no room */
			wait_a_little();
			ret = look(k, &state, &come, err);
		}
		if (ret < 0)
			return ret;
		if (come > done)
			tries = 0;
		else /* what does not fit into its window as a whole may do so in part */
			k->size = MAX(k->size / 2, SMALL_BYTES);
		done = MAX(done, come);
	}
	return 0;
}

/* The peer's last word. */
static int hear(struct making *k, struct tcp_segment s, int want, struct err *err)
{
	uint32_t come;
	int state;

	for (int tries = 0; tries < TRIES; tries++) {
		int ret = tcp_packets_send(k->packets, &k->c, &s, err);

		if (!ret)
			ret = look(k, &state, &come, err);
		if (ret < 0 || state == want)
			return ret;
		wait_a_little();
	}
	return not_heard(err, "it does not hear that its peer has closed it");
}

/*
 * A connection has its buffers from its listening socket. What came may take more room than it did, in other packets, and the kernel may
 * have given more to it since (tcp_clamp_window() in net/ipv4/tcp_input.c).
 */
static int end_handshake_with_room(struct making *k, const SkOptsEntry *o, int fd, struct err *err)
{
	int ret, back;

	if (k->w->unread <= o->so_rcvbuf / 2)
		return end_handshake(k, err);
	ret = sock_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, tcp_room(k->w->unread));
	if (!ret && o->has_so_buf_lock)
		ret = sock_set(fd, SOL_SOCKET, SO_BUF_LOCK, (int)(o->so_buf_lock & 3));
	ret = ret ? err_set(err, ERR_FAILED, -ret, "cannot make room for what it had received") : end_handshake(k, err);
	back = tcp_sizes_back(o, fd, err);
	return ret ? ret : back;
}

static int make_one(struct making *k, const SkOptsEntry *o, int fd, struct err *err)
{
	struct tcp_segment last = segment(k, k->w->unread);
	int ret = end_handshake_with_room(k, o, fd, err);

	if (!ret)
		ret = fill(k, err);
	if (!ret && k->w->fin) {
		last.fin = true;
		ret = hear(k, last, CLOSE_WAIT, err);
		last.fin = false;
		last.seq++;
	}
	last.rst = true;
	return ret || !k->w->has_error ? ret : hear(k, last, CLOSED, err);
}

static int make_queue(struct making *k, const struct accept_queue *q, int fd, struct err *err)
{
	const InetSkEntry *e = q->e;
	InetSkEntry one = *e;
	char a[64], b[64];
	int ret = 0;

	k->bytes = q->bytes;
	for (size_t i = 0; i < e->n_waiting && !ret; i++) {
		k->w = e->waiting[i];
		accept_queue_connection(e, k->w, &k->c);
		ret = make_one(k, e->opts, fd, err);
		handshake_done(k->h);
		k->bytes += k->bytes ? k->w->unread : 0;
		if (ret >= 0)
			continue;
		one.dst_addr = k->w->dst_addr;
		one.n_dst_addr = k->w->n_dst_addr;
		one.dst_port = k->w->dst_port;
		inet_address_text(e, false, a, sizeof(a));
		inet_address_text(&one, true, b, sizeof(b));
		err_object(err, ret, "listening TCP socket %s: connection of %s that waits to be accepted", a, b);
	}
	return ret;
}

/* While they come the socket takes so many, and nobody is told of them: whoever wants to know was told before the dump. */
static int make_at(struct making *k, const struct accept_queue *q, int fd, struct err *err)
{
	const int flags = fcntl(fd, F_GETFL);
	const bool longer = q->e->n_waiting > q->e->backlog;
	int ret;

	if (longer && listen(fd, (int)q->e->n_waiting) < 0)
		return err_sys(err, "cannot let more connections wait");
	if (flags >= 0 && flags & O_ASYNC)
		fcntl(fd, F_SETFL, flags & ~O_ASYNC);
	ret = handshake_listener(k->h, fd, err);
	if (!ret)
		ret = make_queue(k, q, fd, err);
	if (!ret)
		ret = handshake_listener(k->h, -1, err);
	if (flags >= 0 && flags & O_ASYNC)
		fcntl(fd, F_SETFL, flags);
	if (longer && listen(fd, (int)q->e->backlog) < 0 && !ret)
		ret = err_sys(err, "cannot set how many connections may wait");
	return ret;
}

int accept_queues_run(const struct plan *plan, struct handshake *h, struct tcp_packets *packets, const int *fds, struct err *err)
{
	cleanup_fd int nl = plan->accept_queues ? socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG) : -1;
	struct making k = { .h = h, .packets = packets, .nl = nl, .lo = HANDSHAKE_DEVICE };
	int ret = 0;

	if (plan->accept_queues && nl < 0)
		return err_sys(err, "cannot ask sock_diag");
	for (const struct accept_queue *q = plan->accept_queues; q && !ret; q = q->next)
		ret = make_at(&k, q, fds[q->slot], err);
	fault("tcp:waiting");
	return ret;
}

void accept_queues_undo(const struct plan *plan, const int *fds)
{
	for (const struct accept_queue *q = plan->accept_queues; q; q = q->next)
		repair_waiting(fds[q->slot], (unsigned)q->e->n_waiting);
}
