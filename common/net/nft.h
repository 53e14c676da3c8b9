/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What our tables of nftables are made of: messages of one transaction, and expressions of rules
 * (include/uapi/linux/netfilter/nf_tables.h). */
#ifndef CR_NET_NFT_H
#define CR_NET_NFT_H

#include <linux/netfilter/nf_tables.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/util.h"

/* Messages, all or nothing. */
struct nft_batch { unsigned char *bytes; size_t len, cap; uint32_t seq; };

void nft_begin(struct nft_batch *b, uint32_t seq);
void nft_end(struct nft_batch *b); /* nft_transact() does it itself */
/* A message with room for so many bytes of attributes; nft_add() gives it up to the batch. */
struct nl_msg *nft_message(struct nft_batch *b, int type, int flags, size_t room);
void nft_add(struct nft_batch *b, struct nl_msg *msg);
/* Sends it through a netlink socket, and frees it. 0, or what the kernel says about the first message that it did not like. *seq: of the
 * next one. */
int nft_transact(int fd, uint32_t *seq, struct nft_batch *b);

/* ---- messages ---- */

void nft_put_table(struct nft_batch *b, const char *table, uint32_t flags);
void nft_delete_table(struct nft_batch *b, const char *table, int flags);
/* key_type: how `nft list ruleset` names the parts of a key: ipv4_addr is 7, ipv6_addr 8, inet_service 13, six bits each. */
struct nft_set { const char *name; uint32_t id, key_type, key_len; };
void nft_put_set(struct nft_batch *b, const char *table, const struct nft_set *set, size_t n);
/* Before all others at that hook (NF_INET_*). */
void nft_put_chain(struct nft_batch *b, const char *table, const char *chain, uint32_t hook);

/* ---- expressions of a rule, and other attributes ---- */

void nft_put_be32(struct nl_msg *msg, int attr, uint32_t v);
struct nft_expr { struct nlattr *elem, *data; };
struct nft_expr nft_expr_begin(struct nl_msg *msg, const char *name);
void nft_expr_end(struct nl_msg *msg, struct nft_expr e);
/* Goes on when what `key` says of the packet is (op) value. */
void nft_match_meta(struct nl_msg *msg, uint32_t key, uint32_t op, const void *value, int len);
/* Goes on when register NFT_REG_1 is (op) value. */
void nft_compare(struct nl_msg *msg, uint32_t op, const void *value, int len);
void nft_load_payload(struct nl_msg *msg, uint32_t base, uint32_t off, uint32_t len, uint32_t reg);
/* Goes on when what was loaded from register NFT_REG32_00 on is in the set. */
void nft_lookup(struct nl_msg *msg, const struct nft_set *set);
void nft_drop(struct nl_msg *msg);

#endif
