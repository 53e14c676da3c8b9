/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that a task has of its parent: where each of them really is. Parents stand before their children, so what a
 * parent has of its own parent is known when its children ask.
 */
#include <errno.h>

#include "common/restore/verify.h"

#define PAGE 4096u
/* Over all tasks. Each is a range of a page set seen by one task; a real tree has some thousands. */
#define PIECES_MAX (4u << 20)

struct pieces { struct model_piece *v; size_t n, cap; };

static void add(struct pieces *l, struct model_piece p)
{
	array_reserve(&l->v, &l->cap, l->n, sizeof(*l->v));
	l->v[l->n++] = p;
}

static uint64_t entry_end(const PagemapEntry *e)
{
	return e->vaddr + e->nr_pages * PAGE;
}

/* The first piece that ends behind addr. */
static size_t find_piece(const struct model_pages *p, uint64_t addr)
{
	size_t lo = 0, hi = p->ncow;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->cow[mid].addr + p->cow[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void take_pieces(struct pieces *l, const struct model_pages *p, uint64_t from, uint64_t to)
{
	for (size_t i = find_piece(p, from); i < p->ncow && p->cow[i].addr < to; i++) {
		const struct model_piece *c = &p->cow[i];
		uint64_t a = MAX(from, c->addr), b = MIN(to, c->addr + c->len);

		add(l, (struct model_piece){ a, b - a, c->off + (a - c->addr), c->owner });
	}
}

/* Both lists ascend, so one walk through the parent's answers all entries of the child. */
static int resolve(const struct model *m, struct model_task *t, struct pieces *l, size_t *total, struct err *err)
{
	const struct model_task *parent = &m->tasks[t->parent];
	const struct model_pages *p = &parent->pages;
	uint64_t off = 0;
	size_t k = 0;

	for (size_t i = 0; i < t->pages.nentries; i++) {
		const PagemapEntry *e = t->pages.entries[i];
		uint64_t addr = e->vaddr, end = entry_end(e);

		if (!(e->flags & PAGES_COW))
			continue;
		if (parent == t || parent->zombie)
			return bad_image(err, AT(PAGEMAP, t->pstree->pid, (long)i + 1),
					 "pages of the parent process, which it does not have");
		while (k < p->nentries && p->entries[k]->vaddr < end) {
			const PagemapEntry *o = p->entries[k];
			uint64_t from = MAX(addr, o->vaddr), to = MIN(end, entry_end(o));

			if (from < to && o->flags & PAGES_COW)
				take_pieces(l, p, from, to);
			else if (from < to)
				add(l, (struct model_piece){ from, to - from, off + (from - o->vaddr), t->parent });
			if (*total + l->n > PIECES_MAX)
				return bad_image(err, AT(PAGEMAP, t->pstree->pid, (long)i + 1),
						 "memory that processes share is in too many pieces");
			if (entry_end(o) > end)
				break; /* the next entry of the child may lie in it too */
			off += o->flags & PAGES_COW ? 0 : o->nr_pages * PAGE;
			k++;
		}
	}
	*total += l->n;
	return 0;
}

int model_resolve_cow(struct model *m, struct err *err)
{
	size_t total = 0;
	int ret = 0;

	for (size_t i = 0; i < m->ntasks && !ret; i++) {
		struct pieces l = { 0 };

		ret = resolve(m, &m->tasks[i], &l, &total, err);
		if (!ret && l.n) {
			m->tasks[i].pages.cow = arena_dup(m->arena, l.v, l.n * sizeof(*l.v));
			m->tasks[i].pages.ncow = l.n;
		}
		for (size_t k = 0; k < l.n && !ret; k++)
			ret = model_pages_plain(&m->tasks[l.v[k].owner].pages, err);
		free(l.v);
	}
	return ret;
}
