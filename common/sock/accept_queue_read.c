// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The accept queue as the kernel has it: request sockets in a list, each with the connection that it has become (reqsk_queue_add() in
 * net/ipv4/inet_connection_sock.c), and the segments that came in the receive queue of that (Linux 6.18). Nobody accepts while the
 * tree is frozen, so none of them goes away; what comes meanwhile is found out by a second look.
 */
#include "common/sock/accept_queue_read.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/bpf/kmem.h"
#include "common/net/handshake.h"
#include "common/sock/skbuff.h"
#include "common/sock/tcp.h"

#define LISTEN TCP_LISTEN

/* ---- what is where ---- */

enum field {
	STATE, FAMILY, DPORT, OWN_PORT, DADDR, SADDR, DADDR6, SADDR6, SK_FLAGS, ERROR, QUEUE_NEXT, QUEUE_PREV, QUEUE_LEN, BACKLOG, HEAD,
	OPTIONS_OF_IP, FASTOPEN, SAVED_SYN, MPTCP, URGENT, COPIED, COME, WRITTEN, SENT, ACKED, PEER_WINDOW, TS_RECENT, TS_OFFSET,
	TS_OK, TS_USEC, WSCALE_OK, SACK_OK, SND_WSCALE, RCV_WSCALE, MSS, ECN,
	/* Which a connection has from its listening socket, and will have from it again. */
	MARK, FIRST_INHERITED = MARK, DEVICE, PRIORITY, LINGER, LOWAT, NONAGLE, KEEPIDLE, KEEPINTVL, KEEPCNT, USER_TIMEOUT, UNSENT_LOWAT,
	FIELDS
};
#define SK "inet_conn.icsk_inet.sk."
#define COMMON SK "__sk_common."
static const struct { const char *path; uint8_t size; bool optional; const char *name; } fields[FIELDS] = {
	[STATE] = { COMMON "skc_state", 1 },
	[FAMILY] = { COMMON "skc_family", 2 },
	[DPORT] = { COMMON "skc_dport", 2 },
	[OWN_PORT] = { "inet_conn.icsk_inet.inet_sport", 2 }, /* skc_num goes with the connection */
	[DADDR] = { COMMON "skc_daddr", 4 },
	[SADDR] = { COMMON "skc_rcv_saddr", 4 },
	[DADDR6] = { COMMON "skc_v6_daddr", 0, true },
	[SADDR6] = { COMMON "skc_v6_rcv_saddr", 0, true },
	[SK_FLAGS] = { COMMON "skc_flags", 8 },
	[ERROR] = { SK "sk_err", 4 },
	[QUEUE_NEXT] = { SK "sk_receive_queue.next", 8 },
	[QUEUE_PREV] = { SK "sk_receive_queue.prev", 8 },
	[QUEUE_LEN] = { SK "sk_receive_queue.qlen", 4 },
	[BACKLOG] = { SK "sk_ack_backlog", 4 },
	[HEAD] = { "inet_conn.icsk_accept_queue.rskq_accept_head", 8 },
	[OPTIONS_OF_IP] = { "inet_conn.icsk_inet.inet_opt", 8 },
	[FASTOPEN] = { "fastopen_rsk", 8 },
	[SAVED_SYN] = { "saved_syn", 8 },
	[MPTCP] = { "is_mptcp", 1, true },
	[URGENT] = { "urg_data", 2 },
	[COPIED] = { "copied_seq", 4 },
	[COME] = { "rcv_nxt", 4 },
	[WRITTEN] = { "write_seq", 4 },
	[SENT] = { "snd_nxt", 4 },
	[ACKED] = { "snd_una", 4 },
	[PEER_WINDOW] = { "snd_wnd", 4 },
	[TS_RECENT] = { "rx_opt.ts_recent", 4 },
	[TS_OFFSET] = { "tsoffset", 4 },
	[TS_OK] = { "rx_opt.tstamp_ok", 2 },
	[TS_USEC] = { "tcp_usec_ts", 1, true },
	[WSCALE_OK] = { "rx_opt.wscale_ok", 2 },
	[SACK_OK] = { "rx_opt.sack_ok", 2 },
	[SND_WSCALE] = { "rx_opt.snd_wscale", 2 },
	[RCV_WSCALE] = { "rx_opt.rcv_wscale", 2 },
	[MSS] = { "rx_opt.mss_clamp", 2 },
	[ECN] = { "ecn_flags", 1 },
	[MARK] = { SK "sk_mark", 4, false, "mark (SO_MARK)" },
	[DEVICE] = { COMMON "skc_bound_dev_if", 4, false, "device (SO_BINDTODEVICE, or a link-local address)" },
	[PRIORITY] = { SK "sk_priority", 4, false, "priority (SO_PRIORITY)" },
	[LINGER] = { SK "sk_lingertime", 8, false, "time to linger (SO_LINGER)" },
	[LOWAT] = { SK "sk_rcvlowat", 4, false, "low-water mark (SO_RCVLOWAT)" },
	[NONAGLE] = { "nonagle", 1, true, "TCP_NODELAY or TCP_CORK" },
	[KEEPIDLE] = { "keepalive_time", 4, true, "TCP_KEEPIDLE" },
	[KEEPINTVL] = { "keepalive_intvl", 4, true, "TCP_KEEPINTVL" },
	[KEEPCNT] = { "keepalive_probes", 1, true, "TCP_KEEPCNT" },
	[USER_TIMEOUT] = { "inet_conn.icsk_user_timeout", 4, true, "TCP_USER_TIMEOUT" },
	[UNSENT_LOWAT] = { "notsent_lowat", 4, true, "TCP_NOTSENT_LOWAT" },
};

enum other { REQ_NEXT, REQ_SK, CB_SEQ, OTHERS };
static const struct { const char *type, *path; uint8_t size; } others[OTHERS] = {
	[REQ_NEXT] = { "request_sock", "dl_next", 8 },
	[REQ_SK] = { "request_sock", "sk", 8 },
	[CB_SEQ] = { "tcp_skb_cb", "seq", 4 },
};

struct queue_reader {
	struct kmem *k;
	struct btf_bits sock[FIELDS], other[OTHERS];
	bool has[FIELDS];
	struct skb_layout skb;
	size_t sock_size, req_size;
	int done; /* the bit of sk_flags for the peer's end */
};

struct queued {
	const struct queue_reader *r;
	uint64_t at;
	const char *listener, *sock; /* copies */
};

static uint64_t get(const struct queue_reader *r, const char *sock, enum field f)
{
	return r->has[f] ? kmem_field(sock, &r->sock[f], fields[f].size) : 0;
}

static uint64_t get_other(const struct queue_reader *r, const void *p, enum other o)
{
	return kmem_field(p, &r->other[o], others[o].size);
}

static int find_fields(struct queue_reader *r, struct err *err)
{
	const struct btf *b = kmem_types(r->k);

	for (size_t i = 0; i < FIELDS; i++) {
		r->has[i] = btf_bits(b, "tcp_sock", fields[i].path, &r->sock[i]);
		if (!r->has[i] && !fields[i].optional)
			return btf_lacks("tcp_sock", fields[i].path, err);
	}
	for (size_t i = 0; i < OTHERS; i++)
		if (!btf_bits(b, others[i].type, others[i].path, &r->other[i]))
			return btf_lacks(others[i].type, others[i].path, err);
	r->sock_size = btf_size(b, "tcp_sock");
	r->req_size = btf_size(b, "request_sock");
	r->done = btf_enumerator(b, "sock_flags", "SOCK_DONE");
	if (r->done < 0 || r->done > 63)
		return err_set(err, ERR_FEATURE, 0, "struct sock of this kernel has other fields");
	return skb_layout_find(b, &r->skb, err);
}

int queue_reader_open(struct queue_reader **out, struct err *err)
{
	struct queue_reader *r = xzalloc(sizeof(*r));
	int ret = kmem_open(&r->k, err);

	if (!ret)
		ret = find_fields(r, err);
	if (!ret)
		ret = kmem_learn_pages(r->k, err);
	if (ret < 0) {
		queue_reader_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

void queue_reader_close(struct queue_reader *r)
{
	if (r)
		kmem_close(r->k);
	free(r);
}

struct kmem *queue_reader_memory(struct queue_reader *r)
{
	return r->k;
}

/* ---- the queue ---- */

static const char changes[] = "the queue changes while it is read";

static int find_listener(struct queue_reader *r, int fd, char *sock, struct err *err)
{
	uint64_t file, at;
	int ret = kmem_file(r->k, fd, &file, err);

	if (!ret)
		ret = kmem_follow(r->k, file, "file", "private_data->(socket)sk", &at, err);
	if (!ret)
		ret = kmem_read(r->k, at, sock, r->sock_size, err);
	if (!ret && get(r, sock, STATE) != LISTEN)
		ret = err_set(err, ERR_FEATURE, 0, "fields of struct sock are not what they are taken for");
	return ret;
}

int queue_read(struct queue_reader *r, int fd, size_t n, queued_fn *one, void *ctx, struct err *err)
{
	cleanup_free char *listener = xmalloc(r->sock_size), *sock = xmalloc(r->sock_size), *req = xmalloc(r->req_size);
	struct queued c = { .r = r, .listener = listener, .sock = sock };
	int ret = find_listener(r, fd, listener, err);
	uint64_t at;

	if (ret < 0)
		return ret;
	at = get(r, listener, HEAD);
	if (get(r, listener, BACKLOG) < n)
		return err_hint(err, err_refuse(err, "%s", changes), "try again");
	for (size_t i = 0; i < n && !ret; i++) {
		if (!at)
			return err_hint(err, err_refuse(err, "%s", changes), "try again");
		ret = kmem_read(r->k, at, req, r->req_size, err);
		c.at = get_other(r, req, REQ_SK);
		at = get_other(r, req, REQ_NEXT);
		if (!ret)
			ret = kmem_read(r->k, c.at, sock, r->sock_size, err);
		if (!ret)
			ret = one(ctx, i, &c, err);
	}
	return ret;
}

/* ---- one connection ---- */

/* In words of network order, as many as the family of the listening socket has. */
static size_t address(const struct queued *c, bool v6, bool peer, uint32_t words[4])
{
	const struct queue_reader *r = c->r;
	const enum field f = peer ? DADDR6 : SADDR6;

	memset(words, 0, 16);
	if (v6 && r->has[f])
		memcpy(words, c->sock + r->sock[f].at / 8, 16);
	else
		words[0] = (uint32_t)get(r, c->sock, peer ? DADDR : SADDR);
	return v6 ? 4 : 1;
}

static bool is_v6(const struct queued *c)
{
	return get(c->r, c->sock, FAMILY) == AF_INET6;
}

static uint32_t port(const struct queued *c, enum field f)
{
	return ntohs((uint16_t)get(c->r, c->sock, f));
}

void queued_connection(const struct queued *c, struct net_connection *out)
{
	uint32_t own[4], peer[4];

	address(c, is_v6(c), false, own);
	address(c, is_v6(c), true, peer);
	tcp_connection_of(own, port(c, OWN_PORT), peer, port(c, DPORT), is_v6(c), out);
}

static int refuse_others(const struct queued *c, struct err *err)
{
	const struct queue_reader *r = c->r;
	const uint64_t state = get(r, c->sock, STATE);
	const int error = (int)get(r, c->sock, ERROR);
	const bool dead = state == TCP_CLOSE;

	if (state == TCP_SYN_RECV || get(r, c->sock, FASTOPEN))
		return err_refuse(err, "one of them came with its first data (TCP_FASTOPEN), and its handshake is not complete");
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT && !dead)
		return err_refuse(err, "one of them is in state %lu", (unsigned long)state);
	if (get(r, c->sock, MPTCP))
		return err_refuse(err, "one of them is part of a connection of MPTCP");
	if (get(r, c->sock, OPTIONS_OF_IP))
		return err_refuse(err, "one of them has options of IP");
	if (get(r, c->sock, SAVED_SYN))
		return err_refuse(err, "one of them has kept its SYN (TCP_SAVE_SYN)");
	if (get(r, c->sock, URGENT))
		return err_refuse(err, "urgent data has come in one of them");
	if (dead ? error != ECONNRESET && error != EPIPE : error)
		return err_refuse(err, "one of them has an error that waits to be read (%s)", strerror(error));
	if (!dead && (get(r, c->sock, WRITTEN) != get(r, c->sock, ACKED) || get(r, c->sock, SENT) != get(r, c->sock, ACKED)))
		return err_refuse(err, "something was sent in one of them");
	for (size_t i = FIRST_INHERITED; i < FIELDS; i++)
		if (get(r, c->sock, i) != get(r, c->listener, i))
			return err_refuse(err, "one of them came when their listening socket had another %s", fields[i].name);
	return 0;
}

/* What is said in the name of a peer comes over the loopback device, where a connection of another device does not hear it. */
static int refuse_device(const struct queued *c, struct err *err)
{
	const uint64_t device = get(c->r, c->sock, DEVICE);

	if (device && device != HANDSHAKE_DEVICE)
		return err_refuse(err, "they are bound to a device (SO_BINDTODEVICE, or link-local addresses)");
	return 0;
}

static int refuse_small(const struct queued *c, const WaitingTcpEntry *w, struct err *err)
{
	struct net_connection conn;

	queued_connection(c, &conn);
	if (!w->has_error && w->mss_clamp < HANDSHAKE_MSS_MIN(conn.v6))
		return err_refuse(err, "the peer of one of them takes segments of %u bytes", w->mss_clamp);
	return 0;
}

static void fill_timestamps(struct queue_reader *r, const char *sock, uint64_t now, WaitingTcpEntry *w)
{
	w->has_ts_recent = w->has_timestamp = true;
	w->ts_recent = (uint32_t)get(r, sock, TS_RECENT);
	w->usec = get(r, sock, TS_USEC);
	w->has_usec = w->usec;
	w->timestamp = (uint32_t)(now / (w->usec ? 1000 : 1000000)) + (uint32_t)get(r, sock, TS_OFFSET);
}

int queued_fill(struct queue_reader *r, const struct queued *c, bool v6, struct arena *arena, WaitingTcpEntry *w, struct err *err)
{
	char *sock = (char *)c->sock; /* it is queue_read()'s */
	uint64_t task, now = 0;
	uint32_t come;
	int ret = kmem_read(r->k, c->at, sock, r->sock_size, err);

	if (!ret)
		ret = refuse_others(c, err);
	if (!ret)
		ret = refuse_device(c, err);
	if (!ret)
		ret = kmem_self(r->k, &task, &now, err);
	if (ret < 0)
		return ret;
	w->src_addr = w->src_addr ?: arena_alloc(arena, 16);
	w->dst_addr = w->dst_addr ?: arena_alloc(arena, 16);
	w->n_src_addr = address(c, v6, false, w->src_addr);
	w->n_dst_addr = address(c, v6, true, w->dst_addr);
	w->src_port = port(c, OWN_PORT);
	w->dst_port = port(c, DPORT);
	w->in_seq = (uint32_t)get(r, sock, COPIED);
	w->out_seq = (uint32_t)get(r, sock, ACKED);
	come = (uint32_t)get(r, sock, COME);
	w->fin = get(r, sock, SK_FLAGS) >> r->done & 1;
	w->has_fin = w->fin;
	w->unread = come - w->in_seq - w->fin;
	w->opt_mask = (get(r, sock, TS_OK) ? TCPI_OPT_TIMESTAMPS : 0) | (get(r, sock, SACK_OK) ? TCPI_OPT_SACK : 0) |
		      (get(r, sock, WSCALE_OK) ? TCPI_OPT_WSCALE : 0) | (get(r, sock, ECN) & 1 ? TCPI_OPT_ECN : 0);
	w->snd_wscale = (uint32_t)get(r, sock, SND_WSCALE);
	w->rcv_wscale = (uint32_t)get(r, sock, RCV_WSCALE);
	w->mss_clamp = (uint32_t)get(r, sock, MSS);
	w->snd_wnd = (uint32_t)get(r, sock, PEER_WINDOW);
	w->has_error = get(r, sock, STATE) == TCP_CLOSE;
	w->error = (uint32_t)get(r, sock, ERROR);
	if (w->opt_mask & TCPI_OPT_TIMESTAMPS)
		fill_timestamps(r, sock, now, w);
	return refuse_small(c, w, err);
}

/* ---- its bytes ---- */

/* Segments may have in common what was sent twice. -EAGAIN: there is a gap, which cannot be. */
static int copy_queue(struct queue_reader *r, const struct queued *c, const WaitingTcpEntry *w, uint8_t *bytes, struct err *err)
{
	const uint64_t end = c->at + r->sock[QUEUE_NEXT].at / 8; /* the head of the list has its pointers where a buffer has them */
	cleanup_free char *skb = xmalloc(r->skb.skb_size);
	uint64_t at = get(r, c->sock, QUEUE_NEXT);
	uint32_t done = 0;
	int ret = 0;

	for (size_t i = 0; !ret && done < w->unread && at != end && at; i++) {
		int32_t skip;

		if (i == SKB_QUEUE_MAX)
			return -EAGAIN;
		ret = kmem_read(r->k, at, skb, r->skb.skb_size, err);
		if (ret < 0)
			return ret;
		skip = (int32_t)(w->in_seq + done - (uint32_t)get_other(r, skb + r->skb.at[SKB_CB].at / 8, CB_SEQ));
		if (skip < 0)
			return -EAGAIN;
		struct skb_sink s = { .to = bytes + done, .left = w->unread - done, .skip = (size_t)skip };
		ret = skb_copy(r->k, &r->skb, &s, skb, err);
		done = w->unread - (uint32_t)s.left;
		at = skb_get(&r->skb, skb, SKB_NEXT);
	}
	return ret ? ret : done == w->unread ? 0 : -EAGAIN;
}

int queued_bytes(struct queue_reader *r, const struct queued *c, const WaitingTcpEntry *w, uint8_t *bytes, struct err *err)
{
	static const enum field same[] = { STATE, COPIED, COME, SK_FLAGS, QUEUE_NEXT, QUEUE_PREV, QUEUE_LEN };
	cleanup_free char *now = xmalloc(r->sock_size);
	struct err why = ERR_INIT;
	int ret = copy_queue(r, c, w, bytes, &why), again = kmem_read(r->k, c->at, now, r->sock_size, err);

	if (again < 0)
		return again;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		if (get(r, now, same[i]) != get(r, c->sock, same[i]))
			return -EAGAIN;
	if (ret < 0 && why.kind)
		*err = why;
	else if (ret < 0)
		err_set(err, ERR_FAILED, EPROTO, "bytes are missing in what waits to be read");
	return ret;
}
