/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages that are those of the parent process (PE_COW): in a page set of a checkpoint that was made with --cow-pages they have no
 * bytes of their own. What they hold is what the parent's set has at the same addresses, zeros where it has nothing.
 */
#include <errno.h>

#include "bin/cr-image/checkpoint.h"
#include "bin/cr-image/checkpoint_memory.h"

/* Over all tasks, as in a restore. */
#define PIECES_MAX (4u << 20)

struct result { struct ckpt_pages set; size_t cap; };

/* older NULL: there is nobody whose pages they could be. */
static void take(struct result *r, const struct ckpt_run *run, const struct ckpt_pages *older)
{
	uint64_t addr = run->addr, end = run->addr + run->pages * CKPT_PAGE;
	const bool nobody = !older || older->absent;

	for (size_t i = nobody ? 0 : ckpt_pages_find(older, addr); !nobody && i < older->n && older->runs[i].addr < end; i++) {
		const struct ckpt_run *o = &older->runs[i];
		uint64_t from = MAX(o->addr, addr), to = MIN(o->addr + o->pages * CKPT_PAGE, end);

		if (from > addr)
			ckpt_pages_add(&r->set, &r->cap, (struct ckpt_run){ addr, (from - addr) / CKPT_PAGE, .zero = true });
		ckpt_pages_add(&r->set, &r->cap, (struct ckpt_run){ from, (to - from) / CKPT_PAGE, o->off + (from - o->addr), o->content,
								    .parent = o->parent, .zero = o->zero });
		addr = to;
	}
	if (addr < end)
		ckpt_pages_add(&r->set, &r->cap, (struct ckpt_run){ addr, (end - addr) / CKPT_PAGE, .zero = !nobody });
}

static int resolve(struct ckpt_pages *s, const struct ckpt_pages *older, size_t *pieces, struct err *err)
{
	struct result r = { .set = { .kind = s->kind, .id = s->id, .absent = s->absent } };

	for (size_t i = 0; i < s->n; i++) {
		if (s->runs[i].cow)
			take(&r, &s->runs[i], older);
		else
			ckpt_pages_add(&r.set, &r.cap, s->runs[i]);
		if (*pieces + r.set.n > PIECES_MAX) {
			free(r.set.runs);
			return err_image(err, "memory that processes share is in too many pieces");
		}
	}
	*pieces += r.set.n;
	free(s->runs);
	*s = r.set;
	return 0;
}

/* Tasks stand behind their parents (checkpoint.c); whoever does not has none. */
static struct ckpt_task *parent_of(struct ckpt *c, const struct ckpt_task *t)
{
	struct ckpt_task *parent = ckpt_task(c, t->ppid);

	return parent && parent < t ? parent : NULL;
}

int ckpt_pages_cow(struct ckpt *c, struct ckpt_task *t, size_t *pieces, struct err *err)
{
	cleanup_free struct ckpt_task **v = xreallocarray(NULL, c->ntasks + 1, sizeof(struct ckpt_task *));
	size_t n = 0;
	int ret = 0;

	/* Up to the first whose pages are all its own, and down again. */
	for (struct ckpt_task *at = t; at && !ret; at = at->pages->cow ? parent_of(c, at) : NULL) {
		ret = ckpt_pages_raw(c, at, err);
		v[n++] = at;
	}
	for (size_t i = n; i-- > 0 && !ret;) {
		struct ckpt_task *parent = parent_of(c, v[i]);

		if (v[i]->pages->cow)
			ret = resolve(v[i]->pages, parent ? parent->pages : NULL, pieces, err);
	}
	return ret;
}
