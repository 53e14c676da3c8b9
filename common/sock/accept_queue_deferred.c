// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections of which the listening socket has not been told, for no data has come (TCP_DEFER_ACCEPT). Their peers take them for open;
 * here each is a request socket in the table of all connections (tcp_check_req() in net/ipv4/tcp_minisocks.c, Linux 6.18), in which each
 * chain ends with a mark that has its number: who was led into another one by a change sees it there.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/bpf/kmem.h"
#include "common/net/handshake.h"
#include "common/sock/accept_queue_read.h"
#include "common/sock/tcp.h"

#define NEW_SYN_RECV 12 /* include/net/tcp_states.h */
#define CHAINS_AT_ONCE 8192
#define CHAIN_MAX 65536
#define TRIES 20
#define FOUND_MAX (1u << 20)

enum field { STATE, DPORT, OWN_PORT, DADDR, SADDR, DADDR6, SADDR6, LISTENER, DEVICE, NEXT, MSS, TS_RECENT, SAVED_SYN, SND_WSCALE,
	     RCV_WSCALE, TS_OK, SACK_OK, WSCALE_OK, ECN, ACKED, MARK, OPTIONS, MPTCP, USEC, IN, OUT, TS_OFFSET, FIELDS };
#define REQ "req.req."
#define COMMON REQ "__req_common."
static const struct { const char *path; uint8_t size; bool optional; } fields[FIELDS] = {
	[STATE] = { COMMON "skc_state", 1 },
	[DPORT] = { COMMON "skc_dport", 2 },	       [OWN_PORT] = { COMMON "skc_num", 2 },
	[DADDR] = { COMMON "skc_daddr", 4 },	       [SADDR] = { COMMON "skc_rcv_saddr", 4 },
	[DADDR6] = { COMMON "skc_v6_daddr", 0, true }, [SADDR6] = { COMMON "skc_v6_rcv_saddr", 0, true },
	[LISTENER] = { COMMON "skc_listener", 8 },     [DEVICE] = { COMMON "skc_bound_dev_if", 4 },
	[NEXT] = { COMMON "skc_nulls_node", 8 },       [MSS] = { REQ "mss", 2 },
	[TS_RECENT] = { REQ "ts_recent", 4 },	       [SAVED_SYN] = { REQ "saved_syn", 8 },
	[SND_WSCALE] = { "req.snd_wscale", 2 },	       [RCV_WSCALE] = { "req.rcv_wscale", 2 },
	[TS_OK] = { "req.tstamp_ok", 2 },	       [SACK_OK] = { "req.sack_ok", 2 },
	[WSCALE_OK] = { "req.wscale_ok", 2 },	       [ECN] = { "req.ecn_ok", 2 },
	[ACKED] = { "req.acked", 2 },		       [MARK] = { "req.ir_mark", 4 },
	[OPTIONS] = { "req.ireq_opt", 8 },	       [MPTCP] = { "is_mptcp", 1, true },
	[USEC] = { "req_usec_ts", 1, true },	       [IN] = { "rcv_isn", 4 },
	[OUT] = { "snt_isn", 4 },		       [TS_OFFSET] = { "ts_off", 4 },
};

struct search {
	struct kmem *k;
	uint64_t listener, now, mark; /* mark: of the listening socket */
	struct btf_bits at[FIELDS];
	bool has[FIELDS], v6;
	size_t size, common;
	struct arena *arena;
	struct deferred *out;
	size_t cap;
	char *req; /* a copy */
};

static uint64_t get(const struct search *s, enum field f)
{
	return s->has[f] ? kmem_field(s->req, &s->at[f], fields[f].size) : 0;
}

static int prepare(struct search *s, struct err *err)
{
	const struct btf *b = kmem_types(s->k);

	s->size = btf_size(b, "tcp_request_sock");
	s->common = btf_size(b, "sock_common");
	for (size_t i = 0; i < FIELDS; i++) {
		s->has[i] = btf_bits(b, "tcp_request_sock", fields[i].path, &s->at[i]);
		if (!s->has[i] && !fields[i].optional)
			return btf_lacks("tcp_request_sock", fields[i].path, err);
	}
	return 0;
}

static size_t address(const struct search *s, enum field v4, enum field v6, uint32_t words[4])
{
	memset(words, 0, 16);
	if (s->v6 && s->has[v6])
		memcpy(words, s->req + s->at[v6].at / 8, 16);
	else
		words[0] = (uint32_t)get(s, v4);
	return s->v6 ? 4 : 1;
}

static void fill(const struct search *s, WaitingTcpEntry *w)
{
	w->src_addr = arena_alloc(s->arena, 16);
	w->dst_addr = arena_alloc(s->arena, 16);
	w->n_src_addr = address(s, SADDR, SADDR6, w->src_addr);
	w->n_dst_addr = address(s, DADDR, DADDR6, w->dst_addr);
	w->src_port = (uint32_t)get(s, OWN_PORT);
	w->dst_port = ntohs((uint16_t)get(s, DPORT));
	w->in_seq = (uint32_t)get(s, IN) + 1;
	w->out_seq = (uint32_t)get(s, OUT) + 1;
	w->opt_mask = (get(s, TS_OK) ? TCPI_OPT_TIMESTAMPS : 0) | (get(s, SACK_OK) ? TCPI_OPT_SACK : 0) |
		      (get(s, WSCALE_OK) ? TCPI_OPT_WSCALE : 0) | (get(s, ECN) ? TCPI_OPT_ECN : 0);
	w->snd_wscale = (uint32_t)get(s, SND_WSCALE);
	w->rcv_wscale = (uint32_t)get(s, RCV_WSCALE);
	w->mss_clamp = (uint32_t)get(s, MSS);
	/* Nobody has noted the peer's window; who cannot take a segment tells when one comes. */
	w->snd_wnd = w->mss_clamp;
	if (!(w->opt_mask & TCPI_OPT_TIMESTAMPS))
		return;
	w->has_ts_recent = w->has_timestamp = true;
	w->has_usec = w->usec = get(s, USEC);
	w->ts_recent = (uint32_t)get(s, TS_RECENT);
	w->timestamp = (uint32_t)(s->now / (w->usec ? 1000 : 1000000)) + (uint32_t)get(s, TS_OFFSET);
}

static int refuse(const struct search *s, const WaitingTcpEntry *w, struct err *err)
{
	struct net_connection c;

	if (!get(s, ACKED))
		return err_hint(err, err_refuse(err, "the handshake of one of them is not complete"), "try again");
	if (get(s, MPTCP))
		return err_refuse(err, "one of them is part of a connection of MPTCP");
	if (get(s, OPTIONS))
		return err_refuse(err, "one of them has options of IP");
	if (get(s, SAVED_SYN))
		return err_refuse(err, "one of them has kept its SYN (TCP_SAVE_SYN)");
	if (get(s, MARK) != s->mark)
		return err_refuse(err, "one of them has another mark than their listening socket (SO_MARK)");
	if (get(s, DEVICE) && get(s, DEVICE) != HANDSHAKE_DEVICE)
		return err_refuse(err, "they are bound to a device (SO_BINDTODEVICE, or link-local addresses)");
	tcp_connection_of(w->src_addr, w->src_port, w->dst_addr, w->dst_port, s->v6, &c);
	if (w->mss_clamp < HANDSHAKE_MSS_MIN(c.v6))
		return err_refuse(err, "the peer of one of them takes segments of %u bytes", w->mss_clamp);
	return 0;
}

static int take(struct search *s, struct err *err)
{
	WaitingTcpEntry *w = arena_msg(s->arena, WaitingTcpEntry, waiting_tcp_entry__init);

	if (s->out->n == FOUND_MAX)
		return err_refuse(err, "there are too many of them");
	fill(s, w);
	array_reserve(&s->out->v, &s->cap, s->out->n, sizeof(*s->out->v));
	s->out->v[s->out->n++] = w;
	return refuse(s, w, err);
}

/* -EAGAIN, without an error: it has changed under us. */
static int walk(struct search *s, uint64_t chain, uint64_t at, struct err *err)
{
	const uint64_t node = s->at[NEXT].at / 8;
	const size_t before = s->out->n;
	struct err why = ERR_INIT;
	int ret = 0;

	for (size_t i = 0; !ret && !(at & 1); i++) {
		const uint64_t here = at - node;

		if (i == CHAIN_MAX || kmem_read(s->k, here, s->req, s->common, &why))
			return -EAGAIN;
		at = get(s, NEXT);
		if (get(s, STATE) != NEW_SYN_RECV || get(s, LISTENER) != s->listener)
			continue;
		ret = kmem_read(s->k, here, s->req, s->size, &why) ? -EAGAIN : take(s, err);
	}
	if (!ret && at >> 1 != chain)
		ret = -EAGAIN;
	if (ret == -EAGAIN)
		s->out->n = before;
	return ret;
}

static int walk_again(struct search *s, uint64_t chain, uint64_t place, uint64_t at, struct err *err)
{
	int ret = walk(s, chain, at, err);

	for (int tries = 0; ret == -EAGAIN && tries < TRIES; tries++) {
		ret = kmem_read(s->k, place, &at, sizeof(at), err);
		if (!ret)
			ret = walk(s, chain, at, err);
	}
	return ret == -EAGAIN ? err_hint(err, err_refuse(err, "connections change faster than they can be read"), "try again") : ret;
}

/* Most chains are empty. */
static int walk_all(struct search *s, uint64_t table, uint64_t n, struct err *err)
{
	cleanup_free uint64_t *chains = xreallocarray(NULL, CHAINS_AT_ONCE, sizeof(*chains));
	int ret = 0;

	for (uint64_t from = 0; from < n && !ret; from += CHAINS_AT_ONCE) {
		const uint64_t some = MIN(n - from, CHAINS_AT_ONCE), place = table + from * sizeof(*chains);

		ret = kmem_read(s->k, place, chains, some * sizeof(*chains), err);
		for (uint64_t i = 0; i < some && !ret; i++)
			if (!(chains[i] & 1))
				ret = walk_again(s, from + i, place + i * sizeof(*chains), chains[i], err);
	}
	return ret;
}

int deferred_read(struct queue_reader *r, int fd, bool v6, struct arena *arena, struct deferred *out, struct err *err)
{
	struct search s = { .k = queue_reader_memory(r), .v6 = v6, .arena = arena, .out = out };
	uint64_t file, net, table, mask, task;
	int ret = prepare(&s, err);

	out->n = 0;
	s.cap = 0;
	free(take_ptr(out->v));
	if (!ret)
		ret = kmem_file(s.k, fd, &file, err);
	if (!ret)
		ret = kmem_follow(s.k, file, "file", "private_data->(socket)sk", &s.listener, err);
	if (!ret)
		ret = kmem_follow(s.k, s.listener, "sock", "sk_mark", &s.mark, err);
	if (!ret)
		ret = kmem_follow(s.k, s.listener, "sock_common", "skc_net.net", &net, err);
	if (!ret)
		ret = kmem_follow(s.k, net, "net", "ipv4.tcp_death_row.hashinfo->ehash", &table, err);
	if (!ret)
		ret = kmem_follow(s.k, net, "net", "ipv4.tcp_death_row.hashinfo->ehash_mask", &mask, err);
	if (!ret)
		ret = kmem_self(s.k, &task, &s.now, err);
	if (!ret && btf_size(kmem_types(s.k), "inet_ehash_bucket") != sizeof(uint64_t))
		ret = err_set(err, ERR_FEATURE, 0, "struct inet_ehash_bucket of this kernel has other fields");
	if (ret < 0)
		return ret;
	s.req = xmalloc(s.size);
	ret = walk_all(&s, table, mask + 1, err);
	free(s.req);
	return ret;
}
