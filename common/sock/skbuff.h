/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffers of sockets (struct sk_buff) where the kernel has them (common/bpf/kmem.h): the bytes of one, wherever they are. */
#ifndef CR_SOCK_SKBUFF_H
#define CR_SOCK_SKBUFF_H

#include "common/bpf/kmem.h"

/* What is where in struct sk_buff, and in what is behind its head. */
enum skb_field {
	SKB_NEXT, SKB_LEN, SKB_DATA_LEN, SKB_DATA, SKB_HEAD, SKB_END, SKB_CB, SKB_TRANSPORT, SH_FLAGS, SH_NFRAGS, SH_FRAGS, SH_LIST,
	FRAG_PAGE, FRAG_LEN, FRAG_OFF, SKB_FIELDS
};
struct skb_layout { struct btf_bits at[SKB_FIELDS]; size_t skb_size, shared_size, frag_size; };
#define SKB_QUEUE_MAX (1u << 20) /* buffers in a list */

/* ERR_FEATURE: this kernel has other buffers. */
int skb_layout_find(const struct btf *b, struct skb_layout *l, struct err *err);
/* A field of a copy of one, or of what skb_shared() gives. */
uint64_t skb_get(const struct skb_layout *l, const void *p, enum skb_field f);
/* Reads what is behind the head of a buffer, of which skb is a copy; to has shared_size bytes. */
int skb_shared(struct kmem *k, const struct skb_layout *l, const char *skb, char *to, struct err *err);

/* Where bytes go: those from `skip` on, at most `left`. */
struct skb_sink { uint8_t *to; size_t left, skip; };
/* Appends the bytes of a buffer, of which skb is a copy of skb_size bytes: needs kmem_learn_pages(). */
int skb_copy(struct kmem *k, const struct skb_layout *l, struct skb_sink *s, const char *skb, struct err *err);

#endif
