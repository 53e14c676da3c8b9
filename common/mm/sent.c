// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/mm/sent.h"

#include <errno.h>
#include <sys/random.h>

#include "common/image/xxh64.h"

int sent_new(struct sent **out, struct err *err)
{
	struct sent *s = xzalloc(sizeof(*s));

	if (getrandom(s->seed, sizeof(s->seed), 0) != (ssize_t)sizeof(s->seed)) {
		free(s);
		return err_sys(err, "getrandom");
	}
	*out = s;
	return 0;
}

static void drop(struct sent_set *sets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(sets[i].v);
	free(sets);
}

void sent_free(struct sent *s)
{
	if (!s)
		return;
	drop(s->sets, s->n);
	free(s);
}

const struct sent_set *sent_find(const struct sent *s, enum image_kind kind, unsigned long id)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (s->sets[i].kind == kind && s->sets[i].id == id)
			return &s->sets[i];
	return NULL;
}

size_t sent_at(const struct sent_set *set, uint64_t addr)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (set->v[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void sent_sum(const struct sent *s, uint64_t addr, const void *page, struct sent_page *sum)
{
	*sum = (struct sent_page){ addr, { xxh64(page, PAGE_BYTES, s->seed[0]), xxh64(page, PAGE_BYTES, s->seed[1]) } };
}

static void drop_lost(struct pages_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->npages; i++)
		if (!(set->sums[i].addr & SENT_LOST))
			set->sums[n++] = set->sums[i];
	set->npages = n;
}

/* Both lists ascend, and no page is in both. */
static struct sent_set merge(struct pages_set *set, const struct sent_set *old)
{
	struct sent_set new = { .kind = set->kind, .id = set->id };
	size_t npages = 0, at = 0;

	drop_lost(set);
	for (size_t i = 0; i < set->nleft; i++)
		npages += set->left[i].npages;
	new.v = xreallocarray(NULL, npages + set->npages + 1, sizeof(*new.v));
	for (size_t i = 0; i < set->nleft; i++) {
		uint64_t addr = set->left[i].addr, end = addr + set->left[i].npages * PAGE_BYTES;

		while (at < set->npages && set->sums[at].addr < addr)
			new.v[new.n++] = set->sums[at++];
		for (size_t k = old ? sent_at(old, addr) : 0; old && k < old->n && old->v[k].addr < end; k++)
			new.v[new.n++] = old->v[k];
	}
	while (at < set->npages)
		new.v[new.n++] = set->sums[at++];
	return new;
}

void sent_next(struct sent *s, struct pages_sets *sets)
{
	size_t n = sets ? sets->n : 0;
	struct sent_set *new = xreallocarray(NULL, n + 1, sizeof(*new));

	for (size_t i = 0; i < n; i++)
		new[i] = merge(&sets->v[i], sent_find(s, sets->v[i].kind, sets->v[i].id));
	drop(s->sets, s->n);
	s->sets = new;
	s->n = n;
}
