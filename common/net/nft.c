// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/net/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_SNDBUFFORCE
#define SO_SNDBUFFORCE 32
#endif
#define PRIORITY (-300) /* before connection tracking rewrites addresses */

void nft_add(struct nft_batch *b, struct nl_msg *msg)
{
	const struct nlmsghdr *h = nlmsg_hdr(msg);
	size_t len = NLMSG_ALIGN(h->nlmsg_len);

	array_reserve(&b->bytes, &b->cap, b->len + len, 1);
	memset(b->bytes + b->len, 0, len);
	memcpy(b->bytes + b->len, h, h->nlmsg_len);
	b->len += len;
	nlmsg_free(msg);
}

struct nl_msg *nft_message(struct nft_batch *b, int type, int flags, size_t room)
{
	struct nl_msg *msg = xowned(nlmsg_alloc_size(room));
	struct nfgenmsg *gen;
	bool control = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	nlmsg_put(msg, 0, b->seq++, control ? type : NFNL_SUBSYS_NFTABLES << 8 | type, sizeof(*gen), NLM_F_REQUEST | flags);
	gen = nlmsg_data(nlmsg_hdr(msg));
	*gen = (struct nfgenmsg){ .nfgen_family = control ? AF_UNSPEC : NFPROTO_INET, .version = NFNETLINK_V0,
				  .res_id = control ? htons(NFNL_SUBSYS_NFTABLES) : 0 };
	return msg;
}

void nft_put_be32(struct nl_msg *msg, int attr, uint32_t v)
{
	nla_put_u32(msg, attr, htonl(v));
}

/* ---- expressions ---- */

struct nft_expr nft_expr_begin(struct nl_msg *msg, const char *name)
{
	struct nft_expr e = { .elem = nla_nest_start(msg, NFTA_LIST_ELEM) };

	nla_put_string(msg, NFTA_EXPR_NAME, name);
	e.data = nla_nest_start(msg, NFTA_EXPR_DATA);
	return e;
}

void nft_expr_end(struct nl_msg *msg, struct nft_expr e)
{
	nla_nest_end(msg, e.data);
	nla_nest_end(msg, e.elem);
}

void nft_compare(struct nl_msg *msg, uint32_t op, const void *value, int len)
{
	struct nft_expr e = nft_expr_begin(msg, "cmp");
	struct nlattr *nest;

	nft_put_be32(msg, NFTA_CMP_SREG, NFT_REG_1);
	nft_put_be32(msg, NFTA_CMP_OP, op);
	nest = nla_nest_start(msg, NFTA_CMP_DATA);
	nla_put(msg, NFTA_DATA_VALUE, len, value);
	nla_nest_end(msg, nest);
	nft_expr_end(msg, e);
}

void nft_match_meta(struct nl_msg *msg, uint32_t key, uint32_t op, const void *value, int len)
{
	struct nft_expr e = nft_expr_begin(msg, "meta");

	nft_put_be32(msg, NFTA_META_KEY, key);
	nft_put_be32(msg, NFTA_META_DREG, NFT_REG_1);
	nft_expr_end(msg, e);
	nft_compare(msg, op, value, len);
}

void nft_load_payload(struct nl_msg *msg, uint32_t base, uint32_t off, uint32_t len, uint32_t reg)
{
	struct nft_expr e = nft_expr_begin(msg, "payload");

	nft_put_be32(msg, NFTA_PAYLOAD_DREG, reg);
	nft_put_be32(msg, NFTA_PAYLOAD_BASE, base);
	nft_put_be32(msg, NFTA_PAYLOAD_OFFSET, off);
	nft_put_be32(msg, NFTA_PAYLOAD_LEN, len);
	nft_expr_end(msg, e);
}

void nft_drop(struct nl_msg *msg)
{
	struct nft_expr e = nft_expr_begin(msg, "immediate");
	struct nlattr *data, *verdict;

	nft_put_be32(msg, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nla_nest_start(msg, NFTA_IMMEDIATE_DATA);
	verdict = nla_nest_start(msg, NFTA_DATA_VERDICT);
	nft_put_be32(msg, NFTA_VERDICT_CODE, NF_DROP);
	nla_nest_end(msg, verdict);
	nla_nest_end(msg, data);
	nft_expr_end(msg, e);
}

void nft_put_table(struct nft_batch *b, const char *table, uint32_t flags)
{
	struct nl_msg *msg = nft_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, 4096);

	nla_put_string(msg, NFTA_TABLE_NAME, table);
	nft_put_be32(msg, NFTA_TABLE_FLAGS, flags);
	nft_add(b, msg);
}

void nft_delete_table(struct nft_batch *b, const char *table, int flags)
{
	struct nl_msg *msg = nft_message(b, NFT_MSG_DELTABLE, flags, 4096);

	nla_put_string(msg, NFTA_TABLE_NAME, table);
	nft_add(b, msg);
}

void nft_put_chain(struct nft_batch *b, const char *table, const char *chain, uint32_t hook)
{
	struct nl_msg *msg = nft_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, 4096);
	struct nlattr *nest;

	nla_put_string(msg, NFTA_CHAIN_TABLE, table);
	nla_put_string(msg, NFTA_CHAIN_NAME, chain);
	nla_put_string(msg, NFTA_CHAIN_TYPE, "filter");
	nest = nla_nest_start(msg, NFTA_CHAIN_HOOK);
	nft_put_be32(msg, NFTA_HOOK_HOOKNUM, hook);
	nft_put_be32(msg, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY);
	nla_nest_end(msg, nest);
	nft_put_be32(msg, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nft_add(b, msg);
}

void nft_begin(struct nft_batch *b, uint32_t seq)
{
	*b = (struct nft_batch){ .seq = seq };
	nft_add(b, nft_message(b, NFNL_MSG_BATCH_BEGIN, 0, 64));
}

void nft_end(struct nft_batch *b)
{
	nft_add(b, nft_message(b, NFNL_MSG_BATCH_END, 0, 64));
}

/* Marks the last message before the end: its acknowledgement comes when the transaction is through. */
static void ask_answer(struct nft_batch *b)
{
	struct nlmsghdr *last = NULL;

	for (size_t at = 0; at < b->len; at += NLMSG_ALIGN(((struct nlmsghdr *)(void *)(b->bytes + at))->nlmsg_len))
		last = (struct nlmsghdr *)(void *)(b->bytes + at);
	if (last)
		last->nlmsg_flags |= NLM_F_ACK;
}

int nft_transact(int fd, uint32_t *seq, struct nft_batch *b)
{
	union { struct nlmsghdr h; unsigned char bytes[16384]; } in;
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const int size = (int)b->len + 65536;
	uint32_t acked = b->seq - 1;
	int ret = 0;

	ask_answer(b);
	nft_end(b);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	*seq = b->seq;
	if (sendto(fd, b->bytes, b->len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		ret = -errno;
	free(b->bytes);
	for (bool done = ret < 0; !done;) {
		ssize_t n = recv(fd, &in, sizeof(in), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ssize_t left = n;
		for (struct nlmsghdr *h = &in.h; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error) {
				ret = ret ? ret : e->error;
				done = true;
			}
			done |= h->nlmsg_seq == acked;
		}
	}
	/* After an error more answers may follow; nobody asks for them. */
	while (ret && recv(fd, &in, sizeof(in), MSG_DONTWAIT) > 0)
		;
	return ret;
}


void nft_put_set(struct nft_batch *b, const char *table, const struct nft_set *set, size_t n)
{
	struct nl_msg *msg = nft_message(b, NFT_MSG_NEWSET, NLM_F_CREATE, 4096);
	struct nlattr *desc;

	nla_put_string(msg, NFTA_SET_TABLE, table);
	nla_put_string(msg, NFTA_SET_NAME, set->name);
	nft_put_be32(msg, NFTA_SET_ID, set->id);
	nft_put_be32(msg, NFTA_SET_FLAGS, 0);
	nft_put_be32(msg, NFTA_SET_KEY_TYPE, set->key_type);
	nft_put_be32(msg, NFTA_SET_KEY_LEN, set->key_len);
	desc = nla_nest_start(msg, NFTA_SET_DESC);
	nft_put_be32(msg, NFTA_SET_DESC_SIZE, (uint32_t)n);
	nla_nest_end(msg, desc);
	nft_add(b, msg);
}

void nft_lookup(struct nl_msg *msg, const struct nft_set *set)
{
	struct nft_expr e = nft_expr_begin(msg, "lookup");

	nla_put_string(msg, NFTA_LOOKUP_SET, set->name);
	nft_put_be32(msg, NFTA_LOOKUP_SET_ID, set->id);
	nft_put_be32(msg, NFTA_LOOKUP_SREG, NFT_REG32_00);
	nft_expr_end(msg, e);
}
