// SPDX-License-Identifier: GPL-2.0-or-later
/* Older pages that a newer checkpoint has anew. */
#include "common/image/chain.h"

/* Parts of one file that touch are told as one. */
struct part { size_t in; uint64_t off, len; };

static int tell(const struct chain_set *s, struct part *p, chain_spare_fn fn, void *arg, struct err *err)
{
	int ret = p->len ? fn(arg, p->in, s, p->off, p->len, err) : 0;

	p->len = 0;
	return ret;
}

int chain_spare(const struct chain *c, enum image_kind kind, unsigned long id, chain_spare_fn fn, void *arg, struct err *err)
{
	cleanup(chain_set_close) struct chain_set s;
	struct part part = { 0 };
	int ret = chain_set_open(c, 1, kind, id, &s, err);

	if (!ret)
		ret = page_set_load(c->dirs[0], kind, id, &s.sets[0], err);
	for (size_t i = 0; !ret && i < s.sets[0].n; i++) {
		const struct page_run *r = &s.sets[0].runs[i];

		for (uint64_t k = 0, n = 0; !ret && r->flags & RUN_PRESENT && k < r->pages; k += n) {
			uint64_t off;
			size_t in;

			n = 1;
			if (chain_find(&s, 1, r->vaddr + k * IMAGE_PAGE, r->pages - k, &in, &off, &n)) {
				n = 1;
				continue;
			}
			if (s.pages[in].table) /* compressed: its pages have no place of their own */
				continue;
			if (part.in != in || part.off + part.len != off) {
				ret = tell(&s, &part, fn, arg, err);
				part = (struct part){ in, off, 0 };
			}
			part.len += n * IMAGE_PAGE;
		}
	}
	return ret ? ret : tell(&s, &part, fn, arg, err);
}
