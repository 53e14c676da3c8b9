// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/sock/skbuff.h"

#include <errno.h>

#include "common/base/util.h"

static const struct { const char *type, *path; uint8_t size; } fields[SKB_FIELDS] = {
	[SKB_NEXT] = { "sk_buff", "next", 8 },
	[SKB_LEN] = { "sk_buff", "len", 4 },
	[SKB_DATA_LEN] = { "sk_buff", "data_len", 4 },
	[SKB_DATA] = { "sk_buff", "data", 8 },
	[SKB_HEAD] = { "sk_buff", "head", 8 },
	[SKB_END] = { "sk_buff", "end", 4 },
	[SKB_CB] = { "sk_buff", "cb", 0 },
	[SKB_TRANSPORT] = { "sk_buff", "transport_header", 2 },
	[SH_FLAGS] = { "skb_shared_info", "flags", 1 },
	[SH_NFRAGS] = { "skb_shared_info", "nr_frags", 1 },
	[SH_FRAGS] = { "skb_shared_info", "frags", 0 },
	[SH_LIST] = { "skb_shared_info", "frag_list", 8 },
	[FRAG_PAGE] = { "skb_frag", "netmem", 8 },
	[FRAG_LEN] = { "skb_frag", "len", 4 },
	[FRAG_OFF] = { "skb_frag", "offset", 4 },
};

int skb_layout_find(const struct btf *b, struct skb_layout *l, struct err *err)
{
	for (size_t i = 0; i < SKB_FIELDS; i++)
		if (!btf_bits(b, fields[i].type, fields[i].path, &l->at[i]))
			return btf_lacks(fields[i].type, fields[i].path, err);
	l->skb_size = btf_size(b, "sk_buff");
	l->shared_size = btf_size(b, "skb_shared_info");
	l->frag_size = btf_size(b, "skb_frag");
	return l->frag_size ? 0 : err_set(err, ERR_FEATURE, 0, "struct sk_buff of this kernel has other fields");
}

uint64_t skb_get(const struct skb_layout *l, const void *p, enum skb_field f)
{
	return kmem_field(p, &l->at[f], fields[f].size);
}

int skb_shared(struct kmem *k, const struct skb_layout *l, const char *skb, char *to, struct err *err)
{
	return kmem_read(k, skb_get(l, skb, SKB_HEAD) + skb_get(l, skb, SKB_END), to, l->shared_size, err);
}

static int copy(struct kmem *k, struct skb_sink *s, uint64_t at, size_t len, struct err *err)
{
	const size_t skip = MIN(s->skip, len), n = MIN(len - skip, s->left);
	int ret = n ? kmem_read(k, at + skip, s->to, n, err) : 0;

	s->skip -= skip;
	s->to += n;
	s->left -= n;
	return ret;
}

static int copy_frags(struct kmem *k, const struct skb_layout *l, struct skb_sink *s, const char *shared, struct err *err)
{
	const char *frags = shared + l->at[SH_FRAGS].at / 8;
	const size_t n = skb_get(l, shared, SH_NFRAGS);

	if ((size_t)(frags - shared) + n * l->frag_size > l->shared_size)
		return err_set(err, ERR_FEATURE, 0, "a buffer of more parts than there can be");
	for (size_t i = 0; i < n; i++) {
		const char *frag = frags + i * l->frag_size;
		uint64_t at;
		int ret = kmem_page(k, skb_get(l, frag, FRAG_PAGE), &at, err);

		if (!ret)
			ret = copy(k, s, at + skb_get(l, frag, FRAG_OFF), skb_get(l, frag, FRAG_LEN), err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Its bytes are in three places: behind its head, in pages, and in other buffers (skb_copy_bits() in net/core/skbuff.c). */
static int copy_buffer(struct kmem *k, const struct skb_layout *l, struct skb_sink *s, const char *skb, bool part, struct err *err)
{
	const size_t len = skb_get(l, skb, SKB_LEN), paged = skb_get(l, skb, SKB_DATA_LEN);
	cleanup_free char *shared = NULL, *next = NULL;
	uint64_t list;
	int ret = paged <= len ? copy(k, s, skb_get(l, skb, SKB_DATA), len - paged, err) : 0;

	if (ret < 0 || !paged)
		return ret;
	shared = xmalloc(l->shared_size);
	ret = skb_shared(k, l, skb, shared, err);
	if (!ret)
		ret = copy_frags(k, l, s, shared, err);
	list = skb_get(l, shared, SH_LIST);
	if (!ret && list && part)
		ret = err_set(err, ERR_FEATURE, 0, "a buffer whose parts have parts");
	for (size_t i = 0; !ret && list && s->left; i++) {
		next = next ?: xmalloc(l->skb_size);
		ret = i < SKB_QUEUE_MAX ? kmem_read(k, list, next, l->skb_size, err) : -EPROTO;
		if (!ret)
			ret = copy_buffer(k, l, s, next, true, err);
		list = ret ? 0 : skb_get(l, next, SKB_NEXT);
	}
	return ret;
}

int skb_copy(struct kmem *k, const struct skb_layout *l, struct skb_sink *s, const char *skb, struct err *err)
{
	return copy_buffer(k, l, s, skb, false, err);
}
