// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP connections, restore side: steps that make a socket which believes to be connected, with its queues, and sends nothing
 * (TCP_REPAIR). What must happen last is tcp_run.c's.
 */
#include "common/sock/tcp.h"
#include "common/sock/tcp_load.h"
#include "common/sock/tcp_urgent.h"

#include <errno.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/syscall.h>

enum { ESTABLISHED = 1, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING };
#define SEND_CHUNK (1u << 20)
#define MSS_MIN 88u    /* TCP_MIN_MSS, and MAX_TCP_WINDOW: what TCP_MAXSEG takes (do_tcp_setsockopt() in net/ipv4/tcp.c) */
#define MSS_MAX 32767u

/* TCPOPT_* */
enum { OPT_MSS = 2, OPT_WINDOW = 3, OPT_SACK_PERM = 4, OPT_TIMESTAMP = 8 };

static void tcp_int(struct plan *plan, uint32_t slot, const char *note, int name, int value)
{
	inet_plan_int(plan, MAKE_CONTENT, slot, note, IPPROTO_TCP, name, value);
}

static void plan_sequence(struct plan *plan, uint32_t slot, int queue, uint32_t seq)
{
	tcp_int(plan, slot, queue == TCP_SEND_QUEUE ? "the send queue" : "the receive queue", TCP_REPAIR_QUEUE, queue);
	tcp_int(plan, slot, "its sequence number", TCP_QUEUE_SEQ, (int)seq);
}

static void plan_address(struct plan *plan, const InetSkEntry *e, uint32_t slot, bool peer)
{
	struct program *c = plan->controller;
	union inet_address a;
	socklen_t len = inet_address_of(e, peer, &a);

	program_call(c, MAKE_CONTENT, peer ? "connected at once" : "its own address", peer ? SYS_connect : SYS_bind,
		     A_SLOT(slot), A_DATA(program_data(c, &a, len)), A(len));
}

/*
 * How long segments are is worked out when the connection is made, from this limit (tcp_connect_init() in net/ipv4/tcp_output.c):
 * what TCP_REPAIR_OPTIONS says of it later counts only when the route's MTU changes, and until then they have 536 bytes.
 */
static void plan_connect(struct plan *plan, const InetSkEntry *e, const TcpStreamEntry *s, uint32_t slot)
{
	const bool known = s->mss_clamp >= MSS_MIN;

	if (known)
		tcp_int(plan, slot, "segments as long as before", TCP_MAXSEG, (int)MIN(s->mss_clamp, MSS_MAX));
	plan_address(plan, e, slot, true);
	if (known)
		tcp_int(plan, slot, "no other limit", TCP_MAXSEG, 0);
}

static void plan_negotiated(struct plan *plan, const TcpStreamEntry *s, uint32_t slot)
{
	struct program *c = plan->controller;
	struct tcp_repair_opt opts[4];
	size_t n = 0;

	if (s->mss_clamp)
		opts[n++] = (struct tcp_repair_opt){ OPT_MSS, s->mss_clamp };
	if (s->opt_mask & TCPI_OPT_WSCALE)
		opts[n++] = (struct tcp_repair_opt){ OPT_WINDOW, s->snd_wscale | s->rcv_wscale << 16 };
	if (s->opt_mask & TCPI_OPT_SACK)
		opts[n++] = (struct tcp_repair_opt){ OPT_SACK_PERM, 0 };
	if (s->opt_mask & TCPI_OPT_TIMESTAMPS)
		opts[n++] = (struct tcp_repair_opt){ OPT_TIMESTAMP, 0 };
	if (n)
		program_call(c, MAKE_CONTENT, "what was negotiated", SYS_setsockopt, A_SLOT(slot), A(IPPROTO_TCP),
			     A(TCP_REPAIR_OPTIONS), A_DATA(program_data(c, opts, n * sizeof(*opts))), A(n * sizeof(*opts)));
	/* The lowest bit is a flag (microseconds), so the last value sent may be one more than this: never go back. */
	if (s->opt_mask & TCPI_OPT_TIMESTAMPS)
		tcp_int(plan, slot, "its clock", TCP_TIMESTAMP, (int)(s->timestamp + 2));
}

static void plan_bytes(struct plan *plan, uint32_t slot, int queue, const uint8_t *bytes, uint32_t len, int flags)
{
	const uint32_t chunk = queue == TCP_SEND_QUEUE ? SEND_CHUNK : TCP_RECV_CHUNK;

	for (uint32_t off = 0; off < len; off += chunk)
		program_call_eq(plan->controller, MAKE_CONTENT, "queued data", MIN(chunk, len - off), SYS_sendto, A_SLOT(slot),
				A_PTR(bytes + off), A(MIN(chunk, len - off)), A(MSG_DONTWAIT | MSG_NOSIGNAL | flags), A(0), A(0));
}

int tcp_room(uint32_t len)
{
	return (int)MIN(len * 2ull + (1u << 18), INT32_MAX / 2);
}

static bool fits(uint32_t len, uint32_t chunk, uint32_t size)
{
	return !len || (len <= chunk && len * 2ull + (1u << 16) <= size);
}

/* Room to send comes with the options, room to receive only here: that size has a say in how the connection is made. */
static void plan_queues(struct plan *plan, const struct tcp_stream *st, uint32_t slot, const struct tcp_restore *r)
{
	const TcpStreamEntry *s = st->s;
	const uint32_t sent = s->outq_len - r->nunsent, urgent = MIN(s->urgent_sent, sent);

	if (r->sizes && s->inq_len)
		inet_plan_int(plan, MAKE_CONTENT, slot, "room to receive", SOL_SOCKET, SO_RCVBUFFORCE, tcp_room(s->inq_len));
	/* Chosen since its number was set. */
	plan_bytes(plan, slot, TCP_RECV_QUEUE, st->in, tcp_urgent_before(s), 0);
	if (!sent)
		return;
	/* All that one call puts there counts as not sent, and this host may want little of that (net.ipv4.tcp_notsent_lowat). */
	tcp_int(plan, slot, "however much is not sent", TCP_NOTSENT_LOWAT, -1);
	tcp_int(plan, slot, "the send queue", TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	plan_bytes(plan, slot, TCP_SEND_QUEUE, st->out, urgent, MSG_OOB);
	plan_bytes(plan, slot, TCP_SEND_QUEUE, st->out + urgent, sent - urgent, 0);
	tcp_int(plan, slot, "as this host wants it", TCP_NOTSENT_LOWAT, 0);
}

/*
 * The socket's options but for those that the last acts set (tcp_run.c): leaving repair mode sets SO_REUSEADDR, and where a queue
 * needs more room than the program gave it, the sizes come back when it is filled.
 */
static const InetSkEntry *for_now(struct plan *plan, const InetSkEntry *e, const TcpStreamEntry *s, struct tcp_restore *r)
{
	InetSkEntry *copy = arena_dup(plan->arena, e, sizeof(*e));
	SkOptsEntry *o = copy->opts = arena_dup(plan->arena, e->opts, sizeof(*e->opts));

	o->has_reuseaddr = false;
	r->sizes = !fits(s->inq_len, TCP_RECV_CHUNK, o->so_rcvbuf) || !fits(s->outq_len, SEND_CHUNK, o->so_sndbuf);
	if (r->sizes) {
		o->has_so_buf_lock = false;
		if (s->outq_len)
			o->so_sndbuf = 2 * (uint32_t)tcp_room(s->outq_len);
	}
	return copy;
}

/* Numbers begin before the data, and before a FIN; a connection that is being opened begins with its SYN. */
static void plan_numbers(struct plan *plan, const InetSkEntry *e, const TcpStreamEntry *s, uint32_t slot)
{
	const bool got_fin = e->state == CLOSE_WAIT || e->state == LAST_ACK || e->state == CLOSING;
	const bool sent_fin = e->state == FIN_WAIT1 || e->state == FIN_WAIT2 || e->state == LAST_ACK || e->state == CLOSING;

	plan_sequence(plan, slot, TCP_SEND_QUEUE, s->outq_seq - s->outq_len - sent_fin - (e->state == SYN_SENT));
	if (e->state != SYN_SENT)
		plan_sequence(plan, slot, TCP_RECV_QUEUE, s->inq_seq - s->inq_len - got_fin);
}

static void remember(struct plan *plan, struct tcp_restore r)
{
	struct tcp_plan *t = plan->tcp;

	if (!t)
		t = plan->tcp = arena_alloc(plan->arena, sizeof(*t));
	if (t->n == t->cap) {
		struct tcp_restore *grown = arena_alloc(plan->arena, (t->cap = t->cap ? 2 * t->cap : 16) * sizeof(*grown));

		if (t->n)
			memcpy(grown, t->v, t->n * sizeof(*grown));
		t->v = grown;
	}
	t->v[t->n++] = r;
}

static bool can_be_restored(unsigned state)
{
	return state == ESTABLISHED || state == SYN_SENT || state == FIN_WAIT1 || state == FIN_WAIT2 || state == CLOSE_WAIT ||
	       state == LAST_ACK || state == CLOSING;
}

int tcp_plan_connection(const struct model *m, const InetSkEntry *e, struct plan *plan, uint32_t slot, struct err *err)
{
	struct tcp_stream st = { 0 };
	char a[64], b[64];
	int ret;

	inet_address_text(e, false, a, sizeof(a));
	inet_address_text(e, true, b, sizeof(b));
	if (!plan->tcp_established)
		return err_hint(err, err_refuse(err, "files.img: TCP connection %s -> %s", a, b),
				"use --tcp-established to restore it, or --tcp-close to bring it back closed");
	if (!can_be_restored(e->state) || e->n_dst_addr != e->n_src_addr || !e->src_port)
		return err_image(err, "files.img: TCP connection %s -> %s in state %u", a, b, e->state);
	ret = tcp_stream_load(m, plan, e, &st, err);
	if (ret < 0)
		return ret;
	struct tcp_restore r = { .slot = slot, .e = e, .s = st.s, .in = st.in };
	const size_t from = program_steps(plan->controller);
	const InetSkEntry *now = for_now(plan, e, st.s, &r);
	ret = inet_plan_socket(plan, now, slot, err);
	if (ret < 0)
		return ret;
	/* In this mode an address may be taken that others use, too, for the connection is another. */
	inet_plan_int(plan, MAKE_OBJECTS, slot, "to be repaired", IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_ON);
	plan_numbers(plan, e, st.s, slot);
	plan_address(plan, e, slot, false);
	/* Both sides speak at once in this state, so nothing may wait behind it; it is as good as sent. */
	if (e->state != CLOSING && st.s->unsq_len) {
		r.nunsent = st.s->unsq_len;
		r.unsent = st.out + (st.s->outq_len - r.nunsent);
	}
	if (e->state != SYN_SENT) {
		plan_connect(plan, e, st.s, slot);
		plan_negotiated(plan, st.s, slot);
		plan_queues(plan, &st, slot, &r);
	}
	/* It can be seen in TCP_QUEUE_SEQ, also later. */
	tcp_int(plan, slot, "no queue", TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	tcp_plan_options(plan, e->tcp_opts, slot);
	remember(plan, r);
	ret = inet_plan_options(plan, now, slot, err);
	plan_strand(plan, from);
	return ret;
}
