// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/net/lock.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "common/net/close_aside.h"
#include "common/net/nft.h"

#define NAME_LEN 26 /* as CRIU 4.2 names its own, with 32 bytes for "inet " and the name: each finds what the other has left */
#define ELEMENTS_MAX 1000 /* in one message: an attribute is shorter than 64 KiB */

struct net_lock {
	int fd;
	uint32_t seq;
	char table[64];
	bool kept;
	struct net_connection *v;
	size_t n;
};

/* ---- the table ---- */

static const struct nft_set *set_of(bool v6)
{
	enum { IPV4_ADDR = 7, IPV6_ADDR, INET_SERVICE = 13 };
	static const struct nft_set sets[2] = {
		{ "conns4", 1, IPV4_ADDR << 18 | INET_SERVICE << 12 | IPV4_ADDR << 6 | INET_SERVICE, 16 },
		{ "conns6", 2, IPV6_ADDR << 18 | INET_SERVICE << 12 | IPV6_ADDR << 6 | INET_SERVICE, 40 },
	};

	return &sets[v6];
}

/* A key is (own address, own port, peer's address, peer's port), each filled up to a multiple of four bytes. */
static void put_key(struct nl_msg *msg, const struct net_connection *c)
{
	unsigned char key[40] = { 0 };
	size_t a = c->v6 ? 16 : 4, at = 0;
	struct nlattr *elem = nla_nest_start(msg, NFTA_LIST_ELEM), *k = nla_nest_start(msg, NFTA_SET_ELEM_KEY);

	memcpy(key, c->local, a);
	memcpy(key + (at += a), &c->local_port, 2);
	memcpy(key + (at += 4), c->remote, a);
	memcpy(key + (at += a), &c->remote_port, 2);
	nla_put(msg, NFTA_DATA_VALUE, (int)set_of(c->v6)->key_len, key);
	nla_nest_end(msg, k);
	nla_nest_end(msg, elem);
}

static void put_elements(struct nft_batch *b, const struct net_lock *l, bool v6)
{
	for (size_t i = 0; i < l->n;) {
		struct nl_msg *msg = nft_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE, 80000);
		struct nlattr *list;

		nla_put_string(msg, NFTA_SET_ELEM_LIST_TABLE, l->table);
		nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, set_of(v6)->name);
		list = nla_nest_start(msg, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (size_t k = 0; k < ELEMENTS_MAX && i < l->n; i++)
			if (l->v[i].v6 == v6) {
				put_key(msg, &l->v[i]);
				k++;
			}
		nla_nest_end(msg, list);
		nft_add(b, msg);
	}
}

/* Going in, our own address is the destination; going out, the source. */
static void put_rule(struct nft_batch *b, const char *table, const char *chain, bool v6, bool in)
{
	struct nl_msg *msg = nft_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, 8192);
	const uint8_t nfproto = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, tcp = IPPROTO_TCP;
	const uint32_t mark = NET_LOCK_MARK, alen = v6 ? 16 : 4, source = v6 ? 8 : 12, words = alen / 4;
	const uint32_t own = source + (in ? alen : 0), peer = source + (in ? 0 : alen);
	struct nlattr *list;

	nla_put_string(msg, NFTA_RULE_TABLE, table);
	nla_put_string(msg, NFTA_RULE_CHAIN, chain);
	list = nla_nest_start(msg, NFTA_RULE_EXPRESSIONS);
	nft_match_meta(msg, NFT_META_NFPROTO, NFT_CMP_EQ, &nfproto, 1);
	nft_match_meta(msg, NFT_META_L4PROTO, NFT_CMP_EQ, &tcp, 1);
	nft_match_meta(msg, NFT_META_MARK, NFT_CMP_NEQ, &mark, 4);
	nft_load_payload(msg, NFT_PAYLOAD_NETWORK_HEADER, own, alen, NFT_REG32_00);
	nft_load_payload(msg, NFT_PAYLOAD_TRANSPORT_HEADER, in ? 2 : 0, 2, NFT_REG32_00 + words);
	nft_load_payload(msg, NFT_PAYLOAD_NETWORK_HEADER, peer, alen, NFT_REG32_00 + words + 1);
	nft_load_payload(msg, NFT_PAYLOAD_TRANSPORT_HEADER, in ? 0 : 2, 2, NFT_REG32_00 + 2 * words + 1);
	nft_lookup(msg, set_of(v6));
	nft_drop(msg);
	nla_nest_end(msg, list);
	nft_add(b, msg);
}

/*
 * Of a connection with both ends here one element is there. What its other end sends goes out, too: so on the way out packets are
 * looked up both ways round, and neither end takes a segment for sent that the lock drops.
 */
static void put_rules(struct nft_batch *b, const char *table, const char *chain, bool v6, bool in)
{
	put_rule(b, table, chain, v6, true);
	if (!in)
		put_rule(b, table, chain, v6, false);
}

static void put_lock(struct nft_batch *b, const struct net_lock *l, uint32_t flags)
{
	static const struct { const char *name; uint32_t hook; bool in; } chains[] = {
		{ "input", NF_INET_LOCAL_IN, true }, { "output", NF_INET_LOCAL_OUT, false },
	};

	nft_put_table(b, l->table, flags);
	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = 0;

		for (size_t i = 0; i < l->n; i++)
			n += l->v[i].v6 == v6;
		if (!n)
			continue;
		nft_put_set(b, l->table, set_of(v6), n);
		put_elements(b, l, v6);
	}
	for (size_t c = 0; c < ARRAY_SIZE(chains); c++) {
		bool has[2] = { false, false };

		nft_put_chain(b, l->table, chains[c].name, chains[c].hook);
		for (size_t i = 0; i < l->n; i++)
			has[l->v[i].v6] = true;
		for (int v6 = 0; v6 < 2; v6++)
			if (has[v6])
				put_rules(b, l->table, chains[c].name, v6, chains[c].in);
	}
}

static int open_lock(const char *id, struct net_lock **out, struct err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct net_lock *l;

	*out = NULL;
	if (fd < 0)
		return err_hint(err, err_sys(err, "cannot reach nftables to lock the network"),
				"the kernel needs CONFIG_NF_TABLES_INET; --network-lock skip does without");
	l = *out = xzalloc(sizeof(*l));
	l->fd = fd;
	l->seq = 1;
	snprintf(l->table, NAME_LEN + 1, "CRIU-%s", id);
	return 0;
}

static int blame(struct err *err, int ret, const char *what)
{
	return err_hint(err, err_set(err, ERR_FAILED, -ret, "%s", what),
			ret == -EPERM ? "locking the network needs CAP_NET_ADMIN; --network-lock skip does without" :
					"--network-lock skip does without");
}

/* The two ends in an order that both sides of a connection agree on. */
static int compare_ends(const struct net_connection *c)
{
	int diff = memcmp(c->local, c->remote, sizeof(c->local));

	return diff ? diff : memcmp(&c->local_port, &c->remote_port, sizeof(c->local_port));
}

static void lower_end_first(const struct net_connection *c, struct net_connection *out)
{
	*out = *c;
	if (compare_ends(c) <= 0)
		return;
	memcpy(out->local, c->remote, sizeof(out->local));
	memcpy(out->remote, c->local, sizeof(out->remote));
	out->local_port = c->remote_port;
	out->remote_port = c->local_port;
}

static int by_ends(const void *va, const void *vb)
{
	struct net_connection a, b;
	int diff;

	lower_end_first(va, &a);
	lower_end_first(vb, &b);
	if (a.v6 != b.v6)
		return a.v6 - b.v6;
	diff = memcmp(a.local, b.local, sizeof(a.local));
	diff = diff ? diff : memcmp(a.remote, b.remote, sizeof(a.remote));
	diff = diff ? diff : memcmp(&a.local_port, &b.local_port, sizeof(a.local_port));
	return diff ? diff : memcmp(&a.remote_port, &b.remote_port, sizeof(a.remote_port));
}

/* Elements are what a lock costs: each connection once. */
static void take_each_once(struct net_lock *l, const struct net_connection *v, size_t n)
{
	l->v = xreallocarray(NULL, n, sizeof(*v));
	memcpy(l->v, v, n * sizeof(*v));
	qsort(l->v, n, sizeof(*v), by_ends);
	for (size_t i = 0; i < n; i++)
		if (!l->n || by_ends(&l->v[l->n - 1], &l->v[i]))
			l->v[l->n++] = l->v[i];
}

int net_lock(const char *id, const struct net_connection *v, size_t n, struct net_lock **lock, struct err *err)
{
	struct nft_batch b;
	int ret = open_lock(id, lock, err);

	if (ret < 0)
		return ret;
	take_each_once(*lock, v, n);
	nft_begin(&b, (*lock)->seq);
	put_lock(&b, *lock, NFT_TABLE_F_OWNER);
	ret = nft_transact((*lock)->fd, &(*lock)->seq, &b);
	if (!ret)
		return 0;
	(*lock)->kept = true; /* what is there under this name is not ours */
	net_lock_free(take_ptr(*lock));
	return blame(err, ret, "cannot lock the network (nftables)");
}

int net_lock_keep(struct net_lock *l, struct err *err)
{
	struct nft_batch b;
	int ret;

	if (l->kept)
		return 0;
	/* One transaction: there is no moment without a lock. */
	nft_begin(&b, l->seq);
	nft_delete_table(&b, l->table, 0);
	put_lock(&b, l, 0);
	ret = nft_transact(l->fd, &l->seq, &b);
	if (ret < 0)
		return blame(err, ret, "cannot make the network lock last");
	l->kept = true;
	return 0;
}

bool net_lock_is_kept(const struct net_lock *l)
{
	return l && l->kept;
}

int net_lock_socket(const struct net_lock *l)
{
	return l->fd;
}

size_t net_lock_undo(const struct net_lock *l, void *out, size_t size)
{
	struct nft_batch b;
	size_t n;

	nft_begin(&b, 1);
	nft_delete_table(&b, l->table, 0);
	nft_end(&b);
	n = b.len <= size ? b.len : 0;
	if (n)
		memcpy(out, b.bytes, n);
	free(b.bytes);
	return n;
}

int net_unlock(struct net_lock *l, struct err *err)
{
	struct nft_batch b;
	int ret;

	nft_begin(&b, l->seq);
	nft_delete_table(&b, l->table, 0);
	ret = nft_transact(l->fd, &l->seq, &b);
	if (ret == -ENOENT)
		ret = 0;
	l->kept = true; /* nothing is left to take away */
	return ret < 0 ? blame(err, ret, "cannot unlock the network (nftables)") : 0;
}

/* Asks for one table. A kernel that will not tell is taken for one where it is not: making it says why. */
static bool is_there(const struct net_lock *l)
{
	union { struct nlmsghdr h; unsigned char bytes[8192]; } in;
	struct nft_batch b = { .seq = 1 };
	struct nl_msg *msg = nft_message(&b, NFT_MSG_GETTABLE, 0, 4096);
	const struct nlmsghdr *h = nlmsg_hdr(msg);
	ssize_t n;

	nla_put_string(msg, NFTA_TABLE_NAME, l->table);
	n = send(l->fd, h, h->nlmsg_len, 0);
	nlmsg_free(msg);
	if (n < 0)
		return false;
	do
		n = recv(l->fd, &in, sizeof(in), 0);
	while (n < 0 && errno == EINTR);
	return n >= (ssize_t)sizeof(in.h) && in.h.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE);
}

int net_lock_find(const char *id, struct net_lock **lock, struct err *err)
{
	int ret = open_lock(id, lock, err);

	if (ret)
		return ret;
	(*lock)->kept = true;
	if (is_there(*lock))
		return 0;
	snprintf((*lock)->table, sizeof((*lock)->table), "CRIU-%.48s", id); /* of somebody who has room for all of it */
	if (is_there(*lock))
		return 0;
	net_lock_free(take_ptr(*lock));
	return 0;
}

void net_lock_free(struct net_lock *l)
{
	struct err ignore = ERR_INIT;

	if (!l)
		return;
	/* Closing the socket would do it, too, but later. */
	if (!l->kept && l->n)
		net_unlock(l, &ignore);
	/* This waits for a grace period, and all that a transaction took away is freed (nft_rcv_nl_event() in the same file). */
	close_aside(l->fd);
	free(l->v);
	free(l);
}
