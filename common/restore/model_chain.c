// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Incremental checkpoints: pages that stand in an older one. The entries of the page set are cut so that the content of
 * each is in one place of one file; whoever reads them need not know of chains.
 */
#include <errno.h>

#include "common/image/chain.h"
#include "common/image/manifest.h"
#include "common/image/source.h"
#include "common/image/threads.h"
#include "common/restore/verify.h"

#define PAGE 4096u
enum { PE_PARENT = 1, PE_LAZY = 2, PE_PRESENT = 4 };
/* Of one page set. A real one has as many as pages changed here and there. */
#define PIECES_MAX (4u << 20)

struct cut {
	struct arena *arena;
	PagemapEntry **entries;
	struct model_source *src;
	size_t n, ecap, scap;
};

static void add(struct cut *c, uint64_t vaddr, uint64_t pages, uint32_t flags, uint32_t file, uint64_t off)
{
	PagemapEntry *e = arena_msg(c->arena, PagemapEntry, pagemap_entry__init);

	e->vaddr = vaddr;
	e->has_nr_pages = e->has_flags = true;
	e->nr_pages = pages;
	e->flags = flags;
	array_reserve(&c->entries, &c->ecap, c->n, sizeof(*c->entries));
	array_reserve(&c->src, &c->scap, c->n, sizeof(*c->src));
	c->entries[c->n] = e;
	c->src[c->n++] = (struct model_source){ off, file };
}

static int open_chain(struct model *m, struct err *err)
{
	struct err why = ERR_INIT;
	int ret;

	if (m->chain)
		return 0;
	m->chain = arena_alloc(m->arena, sizeof(*m->chain));
	ret = chain_open(m->dir, m->chain, true, &why);
	if (!ret)
		ret = chain_verify(m->chain, &why);
	if (ret)
		*err = why;
	return ret;
}

/* One entry: each of its pages is looked for from the parent on. */
static int cut_entry(const struct chain_set *s, const PagemapEntry *e, struct cut *c, const struct where *at, struct err *err)
{
	for (uint64_t k = 0, n = 0; k < e->nr_pages; k += n) {
		uint64_t vaddr = e->vaddr + k * PAGE, off;
		const char *why;
		size_t in;

		why = chain_find(s, 1, vaddr, e->nr_pages - k, &in, &off, &n);
		if (why)
			return bad_image(err, at, "page 0x%lx: %s", vaddr, why);
		if (c->n >= PIECES_MAX)
			return bad_image(err, at, "memory is in too many pieces in too many checkpoints");
		add(c, vaddr, n, PE_PRESENT | (e->flags & PE_LAZY), (uint32_t)in, off);
	}
	return 0;
}

/* Tasks read these files themselves, so their checksums are looked at before. */
static int verify_sums(struct image_dir *dir, uint32_t pages_id, int fd, uint64_t size, struct err *err)
{
	const struct manifest_file *want = image_dir_manifest(dir, IMG_PAGES, pages_id);
	const struct image_file f = { .fd = fd, .size = size, .stored = size, .shared = true };
	int ret = want && want->sums ? manifest_verify(want, &f, image_threads_default(), err) : 0;

	return ret ? err_object(err, ret, "pages-%u.img", pages_id) : 0;
}

/* Files that pieces are in, sizes checked as for those of the checkpoint itself. */
static int open_files(struct model *m, const struct chain_set *s, const struct cut *c, struct model_pages *p, struct err *err)
{
	int ret = model_pages_plain(p, err);

	if (!ret && p->want && p->want->sums)
		ret = manifest_verify(p->want, &p->file, image_threads_default(), err);
	p->files = arena_alloc(m->arena, s->n * sizeof(*p->files));
	for (size_t i = 0; i < s->n; i++)
		p->files[i] = -1;
	p->files[0] = p->fd;
	p->nfiles = s->n;
	p->older_ids = arena_alloc(m->arena, s->n * sizeof(*p->older_ids));
	for (size_t i = 0; i < s->n; i++)
		p->older_ids[i] = s->sets[i].pages_id;
	for (size_t i = 0; i < c->n && !ret; i++) {
		uint32_t f = c->src[i].file;
		const struct page_set *set = &s->sets[f];
		struct image_dir *dir = m->chain->dirs[f];
		uint64_t size;
		char name[64];

		if (!f || p->files[f] >= 0)
			continue;
		ret = image_raw_size(dir, IMG_PAGES, set->pages_id, &size, err);
		if (!ret && size != set->present)
			ret = err_image(err, "pages-%u.img: %lu bytes, but its pagemap describes %lu", set->pages_id, size,
					set->present);
		if (!ret)
			ret = image_raw_open(dir, IMG_PAGES, set->pages_id, &p->files[f], &size, err);
		if (!ret) {
			image_name(IMG_PAGES, set->pages_id, name);
			image_dir_forget(dir, name);
		}
		if (!ret)
			ret = verify_sums(dir, set->pages_id, p->files[f], size, err);
		if (ret)
			err_object(err, ret, "%s", image_dir_path(dir));
	}
	return ret;
}

static int resolve(struct model *m, const struct chain_set *s, const struct where *whole, struct cut *c,
		   struct model_pages *p, struct err *err)
{
	uint64_t off = 0, total = 0;
	int ret = 0;

	for (size_t i = 0; i < p->nentries && !ret; i++) {
		const PagemapEntry *e = p->entries[i];
		const struct where at = { whole->kind, whole->id, (long)i + 1 };

		total += e->nr_pages * PAGE;
		if (e->flags & PE_PARENT) {
			ret = cut_entry(s, e, c, &at, err);
			continue;
		}
		add(c, e->vaddr, e->nr_pages, e->flags, 0, off);
		off += e->nr_pages * PAGE;
	}
	if (!ret)
		ret = open_files(m, s, c, p, err);
	if (ret)
		return ret;
	p->entries = arena_dup(m->arena, c->entries, c->n * sizeof(*c->entries));
	p->src = arena_dup(m->arena, c->src, c->n * sizeof(*c->src));
	p->nentries = c->n;
	p->size = total;
	return 0;
}

int model_resolve_parents(struct model *m, enum image_kind kind, unsigned long id, struct model_pages *p, struct err *err)
{
	const struct where whole = { kind, id, -1 };
	struct cut c = { .arena = m->arena };
	struct chain_set s = { 0 };
	int ret;

	ret = open_chain(m, err);
	if (ret)
		return ret;
	if (m->chain->n < 2)
		return bad_image(err, &whole, "an increment, but there is no link \"parent\" to the checkpoint before it");
	s = (struct chain_set){ .chain = m->chain, .n = m->chain->n };
	s.sets = xzalloc(s.n * sizeof(*s.sets));
	for (size_t i = 1; i < s.n && !ret; i++)
		ret = page_set_load(m->chain->dirs[i], kind, id, &s.sets[i], err);
	if (!ret)
		ret = resolve(m, &s, &whole, &c, p, err);
	for (size_t i = 1; i < s.n; i++)
		page_set_release(&s.sets[i]);
	free(s.sets);
	free(c.entries);
	free(c.src);
	return ret;
}
