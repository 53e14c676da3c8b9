// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/net/newcomers.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <string.h>
#include <sys/socket.h>

#include "common/net/close_aside.h"
#include "common/net/nft.h"

#define ELEMENTS_MAX 1000 /* in one message: an attribute is shorter than 64 KiB */
#define TCP_FLAGS_AT 13
#define TCP_SYN_ALONE 0x02
#define TCP_SYN_ACK 0x12

struct newcomers { int fd; uint32_t seq; char table[64]; };

/* By family, and then by address and port, or by the port alone: each filled up to a multiple of four bytes. */
enum { IPV4_ADDR = 7, IPV6_ADDR, INET_SERVICE = 13 };
static const struct nft_set sets[2][2] = {
	{ { "listeners4", 1, IPV4_ADDR << 6 | INET_SERVICE, 8 }, { "ports4", 2, INET_SERVICE, 2 } },
	{ { "listeners6", 3, IPV6_ADDR << 6 | INET_SERVICE, 20 }, { "ports6", 4, INET_SERVICE, 2 } },
};

/* Without an address of IPv6 to IPv4, too, unless it says that it does not. */
size_t net_listeners_of(int family, const void *address, uint16_t port, bool v6only, struct net_listener v[2])
{
	static const uint8_t none[16];
	const bool v6 = family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(address);
	const size_t skip = family == AF_INET6 && !v6 ? 12 : 0; /* ::ffff:0:0 */

	v[0] = (struct net_listener){ .v6 = v6, .port = port };
	memcpy(v[0].address, (const uint8_t *)address + skip, v6 ? 16 : 4);
	v[0].any = !memcmp(v[0].address, none, sizeof(none));
	if (!v6 || !v[0].any || v6only)
		return 1;
	v[1] = v[0];
	v[1].v6 = false;
	return 2;
}

static void put_key(struct nl_msg *msg, const struct net_listener *l)
{
	struct nlattr *elem = nla_nest_start(msg, NFTA_LIST_ELEM), *k = nla_nest_start(msg, NFTA_SET_ELEM_KEY);
	const size_t a = l->any ? 0 : l->v6 ? 16 : 4;
	unsigned char key[20] = { 0 };

	memcpy(key, l->address, a);
	memcpy(key + a, &l->port, sizeof(l->port));
	nla_put(msg, NFTA_DATA_VALUE, (int)sets[l->v6][l->any].key_len, key);
	nla_nest_end(msg, k);
	nla_nest_end(msg, elem);
}

/* Those of one set, of which there are some. */
static void put_elements(struct nft_batch *b, const char *table, const struct net_listener *v, size_t n, bool v6, bool any)
{
	for (size_t i = 0; i < n;) {
		struct nl_msg *msg = nft_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE, 80000);
		struct nlattr *list;

		nla_put_string(msg, NFTA_SET_ELEM_LIST_TABLE, table);
		nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, sets[v6][any].name);
		list = nla_nest_start(msg, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (size_t k = 0; k < ELEMENTS_MAX && i < n; i++)
			if (v[i].v6 == v6 && v[i].any == any) {
				put_key(msg, &v[i]);
				k++;
			}
		nla_nest_end(msg, list);
		nft_add(b, msg);
	}
}

/* Of the flags of the segment, these two: SYN and ACK. */
static void match_syn(struct nl_msg *msg)
{
	const uint8_t mask = TCP_SYN_ACK, none = 0, syn = TCP_SYN_ALONE;
	struct nft_expr e;
	struct nlattr *nest;

	nft_load_payload(msg, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_AT, 1, NFT_REG_1);
	e = nft_expr_begin(msg, "bitwise");
	nft_put_be32(msg, NFTA_BITWISE_SREG, NFT_REG_1);
	nft_put_be32(msg, NFTA_BITWISE_DREG, NFT_REG_1);
	nft_put_be32(msg, NFTA_BITWISE_LEN, 1);
	nest = nla_nest_start(msg, NFTA_BITWISE_MASK);
	nla_put(msg, NFTA_DATA_VALUE, 1, &mask);
	nla_nest_end(msg, nest);
	nest = nla_nest_start(msg, NFTA_BITWISE_XOR);
	nla_put(msg, NFTA_DATA_VALUE, 1, &none);
	nla_nest_end(msg, nest);
	nft_expr_end(msg, e);
	nft_compare(msg, NFT_CMP_EQ, &syn, 1);
}

static void put_rule(struct nft_batch *b, const char *table, bool v6, bool any)
{
	struct nl_msg *msg = nft_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, 8192);
	const uint8_t nfproto = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, tcp = IPPROTO_TCP;
	const uint32_t alen = v6 ? 16 : 4, destination = v6 ? 24 : 16;
	struct nlattr *list;

	nla_put_string(msg, NFTA_RULE_TABLE, table);
	nla_put_string(msg, NFTA_RULE_CHAIN, "input");
	list = nla_nest_start(msg, NFTA_RULE_EXPRESSIONS);
	nft_match_meta(msg, NFT_META_NFPROTO, NFT_CMP_EQ, &nfproto, 1);
	nft_match_meta(msg, NFT_META_L4PROTO, NFT_CMP_EQ, &tcp, 1);
	match_syn(msg);
	if (!any)
		nft_load_payload(msg, NFT_PAYLOAD_NETWORK_HEADER, destination, alen, NFT_REG32_00);
	nft_load_payload(msg, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, any ? NFT_REG32_00 : NFT_REG32_00 + alen / 4);
	nft_lookup(msg, &sets[v6][any]);
	nft_drop(msg);
	nla_nest_end(msg, list);
	nft_add(b, msg);
}

static void put_all(struct nft_batch *b, const char *table, const struct net_listener *v, size_t n)
{
	nft_put_table(b, table, NFT_TABLE_F_OWNER);
	nft_put_chain(b, table, "input", NF_INET_LOCAL_IN);
	for (int kind = 0; kind < 4; kind++) {
		const bool v6 = kind & 1, any = kind & 2;
		size_t of = 0;

		for (size_t i = 0; i < n; i++)
			of += v[i].v6 == v6 && v[i].any == any;
		if (!of)
			continue;
		nft_put_set(b, table, &sets[v6][any], of);
		put_elements(b, table, v, n, v6, any);
		put_rule(b, table, v6, any);
	}
}

int newcomers_stop(const char *who, const char *id, const struct net_listener *v, size_t n, struct newcomers **out, struct err *err)
{
	struct newcomers *nc = xzalloc(sizeof(*nc));
	struct nft_batch b;
	int ret;

	*out = NULL;
	nc->seq = 1;
	nc->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	ret = nc->fd < 0 ? -errno : 0;
	snprintf(nc->table, sizeof(nc->table), "%.16s-%.24s", who, id);
	if (!ret) {
		nft_begin(&b, nc->seq);
		put_all(&b, nc->table, v, n);
		ret = nft_transact(nc->fd, &nc->seq, &b);
	}
	if (ret) {
		if (nc->fd >= 0)
			close_aside(nc->fd);
		free(nc);
		return err_set(err, ERR_FAILED, -ret, "cannot keep new connections off (nftables)");
	}
	*out = nc;
	return 0;
}

void newcomers_let(struct newcomers *nc)
{
	struct nft_batch b;

	if (!nc)
		return;
	/* Closing the socket would do it, too, but later. */
	nft_begin(&b, nc->seq);
	nft_delete_table(&b, nc->table, 0);
	nft_transact(nc->fd, &nc->seq, &b);
	close_aside(nc->fd);
	free(nc);
}
