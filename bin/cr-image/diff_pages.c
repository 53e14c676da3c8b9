/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which pages of two checkpoints hold something else. */
#include <errno.h>
#include <string.h>

#include "bin/cr-image/diff.h"

enum { CHUNK = 64 }; /* pages that are compared at a time */

struct side {
	struct ckpt_span *v;
	size_t n, cap, at;
};

static int keep_span(const struct ckpt_span *s, void *data, struct err *err)
{
	struct side *side = data;

	array_reserve(&side->v, &side->cap, side->n, sizeof(*side->v));
	side->v[side->n++] = *s;
	return 0;
}

static void side_release(struct side *s)
{
	free(s->v);
}

struct compare {
	json_object *ranges;
	uint64_t pages, unknown, start, end; /* the range that grows */
	uint8_t *a, *b;
};

static void end_range(struct compare *c)
{
	json_object *row;

	if (c->start == c->end)
		return;
	row = json_object_new_object();
	row_hex(row, "start", c->start);
	row_hex(row, "end", c->end);
	json_object_array_add(c->ranges, row);
	c->start = c->end = 0;
}

static void differs(struct compare *c, uint64_t addr, uint64_t pages)
{
	if (c->end != addr)
		end_range(c);
	if (c->start == c->end)
		c->start = addr;
	c->end = addr + pages * CKPT_PAGE;
	c->pages += pages;
}

static int content(const struct ckpt_span *s, uint64_t addr, uint8_t *buf, size_t n, struct err *err)
{
	if (s->what == CKPT_STORED)
		return ckpt_raw_read(s->content, s->off + (addr - s->addr), buf, n, err);
	memset(buf, 0, n);
	return 0;
}

/* [addr, addr + len) is one span on both sides. */
static int compare_part(struct compare *c, const struct ckpt_span *x, const struct ckpt_span *y, uint64_t addr, uint64_t len,
			struct err *err)
{
	bool x_known = x->what == CKPT_STORED || x->what == CKPT_ZERO, y_known = y->what == CKPT_STORED || y->what == CKPT_ZERO;

	if (x->what == CKPT_MISSING || y->what == CKPT_MISSING) {
		c->unknown += len / CKPT_PAGE;
		return 0;
	}
	if (!x_known || !y_known) { /* of the file on one side, written on the other */
		if (x->what != y->what || (x->what == CKPT_FILE && x->off + (addr - x->addr) != y->off + (addr - y->addr)))
			differs(c, addr, len / CKPT_PAGE);
		return 0;
	}
	if (x->what == CKPT_ZERO && y->what == CKPT_ZERO)
		return 0;
	for (uint64_t at = 0; at < len; at += CHUNK * CKPT_PAGE) {
		size_t n = (size_t)MIN(len - at, (uint64_t)CHUNK * CKPT_PAGE);
		int ret = content(x, addr + at, c->a, n, err);

		if (!ret)
			ret = content(y, addr + at, c->b, n, err);
		if (ret)
			return ret;
		for (size_t i = 0; i < n; i += CKPT_PAGE)
			if (memcmp(c->a + i, c->b + i, CKPT_PAGE))
				differs(c, addr + at + i, 1);
	}
	return 0;
}

static int compare_sides(struct compare *c, struct side *x, struct side *y, uint64_t from, uint64_t to, struct err *err)
{
	int ret = 0;

	while (from < to && !ret) {
		const struct ckpt_span *s, *t;
		uint64_t end;

		while (x->at < x->n && x->v[x->at].addr + x->v[x->at].len <= from)
			x->at++;
		while (y->at < y->n && y->v[y->at].addr + y->v[y->at].len <= from)
			y->at++;
		if (x->at == x->n || y->at == y->n)
			break;
		s = &x->v[x->at];
		t = &y->v[y->at];
		end = MIN(MIN(s->addr + s->len, t->addr + t->len), to);
		ret = compare_part(c, s, t, from, end - from, err);
		from = end;
	}
	return ret;
}

/* Of pages that are left to a file in both, the sum tells whether they are the same, and not which of them. */
static void compare_copies(const VmaEntry *va, const VmaEntry *vb, struct compare *c)
{
	const VmaCopiesEntry *x = va->copies, *y = vb->copies;

	if (!x || !y || va->start != vb->start || x->n_runs != y->n_runs || x->sum == y->sum ||
	    memcmp(x->runs, y->runs, x->n_runs * sizeof(*x->runs)))
		return;
	for (size_t i = 1; i < x->n_runs; i += 2)
		c->unknown += MIN(x->runs[i], (va->end - va->start) / CKPT_PAGE);
}

/* What two mappings have in common. */
static int compare_mappings(struct ckpt *a, struct ckpt_task *ta, const VmaEntry *va, struct ckpt *b, struct ckpt_task *tb,
			    const VmaEntry *vb, struct compare *c, struct err *err)
{
	cleanup(side_release) struct side x = { NULL }, y = { NULL };
	uint64_t from = MAX(va->start, vb->start), to = MIN(va->end, vb->end);
	int ret = ckpt_spans(a, ta, va, from, to, keep_span, &x, err);

	if (!ret)
		ret = ckpt_spans(b, tb, vb, from, to, keep_span, &y, err);
	compare_copies(va, vb, c);
	return ret ? ret : compare_sides(c, &x, &y, from, to, err);
}

static void add_row(struct ckpt *ckpt, struct ckpt_task *t, const VmaEntry *v, struct compare *c, json_object *changes)
{
	const char *name = ckpt_vma_name(ckpt, t, v);
	json_object *row;

	end_range(c);
	if (!c->pages && !c->unknown) {
		json_object_put(c->ranges);
		return;
	}
	row = json_object_new_object();
	row_text(row, "what", "pages");
	row_number(row, "pid", t->pid);
	row_text(row, "name", arena_printf(ckpt->arena, "%llx-%llx%s%s", (unsigned long long)v->start, (unsigned long long)v->end,
					   name[0] ? " " : "", name));
	row_number(row, "pages", c->pages);
	if (c->unknown)
		row_number(row, "unknown", c->unknown);
	row_text(row, "new", arena_printf(ckpt->arena, "%llu of %llu pages%s", (unsigned long long)c->pages,
					  (unsigned long long)(v->end - v->start) / CKPT_PAGE,
					  c->unknown ? ", others are not there to compare" : ""));
	json_object_object_add(row, "ranges", c->ranges);
	json_object_array_add(changes, row);
}

static int diff_task(struct ckpt *a, struct ckpt_task *ta, struct ckpt *b, struct ckpt_task *tb, struct compare *c,
		     json_object *changes, struct err *err)
{
	for (size_t i = 0, k = 0; i < ta->nvmas; i++) {
		const VmaEntry *va = ta->vmas[i];
		int ret = 0;

		c->ranges = json_object_new_array();
		c->pages = c->unknown = 0;
		while (k < tb->nvmas && tb->vmas[k]->end <= va->start)
			k++;
		for (size_t j = k; j < tb->nvmas && tb->vmas[j]->start < va->end && !ret; j++)
			ret = compare_mappings(a, ta, va, b, tb, tb->vmas[j], c, err);
		add_row(a, ta, va, c, changes);
		if (ret)
			return ret;
	}
	return 0;
}

int diff_pages(struct ckpt *a, struct ckpt *b, json_object *changes, struct err *err)
{
	cleanup_free uint8_t *x = xmalloc(CHUNK * CKPT_PAGE), *y = xmalloc(CHUNK * CKPT_PAGE);
	struct compare c = { .a = x, .b = y };

	for (size_t i = 0; i < a->ntasks; i++) {
		struct ckpt_task *other = ckpt_task(b, a->tasks[i].pid);
		int ret = other ? diff_task(a, &a->tasks[i], b, other, &c, changes, err) : 0;

		if (ret)
			return ret;
	}
	return 0;
}
