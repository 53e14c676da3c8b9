/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page sets: a pagemap image and the raw pages that belong to it. */
#include <errno.h>
#include <string.h>

#include "common/restore/verify.h"

#define PAGE 4096u
enum { PE_PARENT = 1, PE_LAZY = 2, PE_PRESENT = 4 };

/* One entry: the forms of older dumpers become the one that everybody after us reads. */
static int check_entry(PagemapEntry *e, bool cow, uint64_t *end, uint64_t *present, const struct where *at, struct err *err)
{
	if (!e->has_nr_pages) {
		e->nr_pages = e->compat_nr_pages;
		e->has_nr_pages = true;
	}
	if (!e->has_flags) {
		e->flags = e->has_in_parent && e->in_parent ? PE_PARENT : PE_PRESENT;
		e->has_flags = true;
	}
	if (e->flags & ~(uint32_t)(PE_PARENT | PE_LAZY | PE_PRESENT | (cow ? PAGES_COW : 0)))
		return bad_image(err, at, "unknown flags 0x%x", e->flags);
	if (e->flags & PE_PARENT)
		return cannot_restore(err, at, "incremental checkpoint: these pages are in its parent directory");
	if (e->flags & PAGES_COW && e->flags & PE_PRESENT)
		return bad_image(err, at, "pages both in the image and of the parent process");
	if (!(e->flags & (PE_PRESENT | PAGES_COW)))
		return cannot_restore(err, at, "these pages are not in the image: they were left for a lazy restore");
	if (e->vaddr % PAGE)
		return bad_image(err, at, "address 0x%lx is not a multiple of the page size", e->vaddr);
	if (!e->nr_pages || e->nr_pages > (UINT64_MAX - e->vaddr) / PAGE)
		return bad_image(err, at, "%lu pages at 0x%lx are no range of memory", e->nr_pages, e->vaddr);
	if (e->vaddr < *end)
		return bad_image(err, at, "the range at 0x%lx is out of order or overlaps the one before", e->vaddr);
	*end = e->vaddr + e->nr_pages * PAGE;
	if (e->flags & PAGES_COW)
		return 0;
	if (*present > UINT64_MAX / PAGE - e->nr_pages)
		return bad_image(err, at, "more pages than there can be");
	*present += e->nr_pages;
	return 0;
}

static int open_pages(struct model *m, uint32_t pages_id, uint64_t present, struct model_pages *out, struct err *err)
{
	struct err missing = ERR_INIT;
	int ret;

	/* The size first: a compressed file is not taken into memory for nothing. */
	ret = image_raw_size(m->dir, IMG_PAGES, pages_id, &out->size, present ? err : &missing);
	if (ret && present)
		return ret;
	/* Nothing is read from it: whether it is there at all does not matter, but bytes in it would. */
	if (ret) {
		out->size = 0;
		return 0;
	}
	if (out->size != present * PAGE)
		return bad_image(err, AT(PAGES, pages_id, -1),
				 "%lu bytes, but its pagemap describes %lu pages (%lu bytes)", out->size, present,
				 present * PAGE);
	return image_raw_open(m->dir, IMG_PAGES, pages_id, &out->fd, &out->size, err);
}

int model_load_pages(struct model *m, enum image_kind kind, unsigned long id, struct model_pages *out, struct err *err)
{
	const struct where whole = { kind, id, -1 };
	ProtobufCMessage **v;
	const bool cow = kind == IMG_PAGEMAP && m->inventory->img_version == 3;
	uint64_t end = 0, present = 0;
	size_t n;
	bool absent;
	int ret;

	out->fd = -1;
	ret = image_read_all(m->dir, kind, id, m->arena, &v, &n, &absent, err);
	if (ret)
		return ret;
	if (absent)
		return bad_image(err, &whole, "missing");
	if (!n || v[0]->descriptor != &pagemap_head__descriptor)
		return bad_image(err, &whole, "no head entry");
	out->entries = (PagemapEntry **)(v + 1);
	out->nentries = n - 1;
	for (size_t i = 0; i < out->nentries; i++) {
		const struct where at = { kind, id, (long)i + 1 };

		if (out->entries[i]->base.descriptor != &pagemap_entry__descriptor)
			return bad_image(err, &at, "a second head");
		ret = check_entry(out->entries[i], cow, &end, &present, &at, err);
		if (ret)
			return ret;
	}
	return open_pages(m, ((PagemapHead *)v[0])->pages_id, present, out, err);
}
