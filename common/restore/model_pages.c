/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page sets: a pagemap image and the raw pages that belong to it. */
#include <errno.h>
#include <string.h>

#include "common/image/source.h"
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
	if (e->flags & PE_PARENT && e->flags & PE_PRESENT)
		return bad_image(err, at, "pages both in the image and in the parent checkpoint");
	if (e->flags & PE_PARENT && cow)
		return cannot_restore(err, at, "pages of a parent process and of a parent checkpoint");
	if (e->flags & PAGES_COW && e->flags & PE_PRESENT)
		return bad_image(err, at, "pages both in the image and of the parent process");
	if (!(e->flags & (PE_PRESENT | PE_PARENT | PAGES_COW)))
		return cannot_restore(err, at, "these pages are not in the image: they were left for a lazy restore");
	if (e->vaddr % PAGE)
		return bad_image(err, at, "address 0x%lx is not a multiple of the page size", e->vaddr);
	if (!e->nr_pages || e->nr_pages > (UINT64_MAX - e->vaddr) / PAGE)
		return bad_image(err, at, "%lu pages at 0x%lx are no range of memory", e->nr_pages, e->vaddr);
	if (e->vaddr < *end)
		return bad_image(err, at, "the range at 0x%lx is out of order or overlaps the one before", e->vaddr);
	*end = e->vaddr + e->nr_pages * PAGE;
	if (!(e->flags & PE_PRESENT))
		return 0;
	if (*present > UINT64_MAX / PAGE - e->nr_pages)
		return bad_image(err, at, "more pages than there can be");
	*present += e->nr_pages;
	return 0;
}

/* One that tasks read themselves, or sendfile(2) reads, must be plain. */
static int make_plain(struct image_file *f, struct err *err)
{
	struct image_file plain = { .size = f->size, .stored = f->size };
	int ret = image_file_plain(f, &plain.fd, err);

	image_file_close(f);
	*f = ret ? (struct image_file)IMAGE_FILE_INIT : plain;
	return ret;
}

int model_pages_plain(struct model_pages *pages, struct err *err)
{
	int ret = pages->file.table ? make_plain(&pages->file, err) : 0;

	pages->fd = pages->file.fd;
	return ret;
}

static int open_pages(struct model *m, enum image_kind kind, uint64_t present, struct model_pages *out, struct err *err)
{
	const struct source *source = image_dir_source(m->dir);
	struct image_file f = IMAGE_FILE_INIT;
	struct err missing = ERR_INIT;
	char name[64];
	int ret = image_raw_file(m->dir, IMG_PAGES, out->pages_id, &f, present ? err : &missing);

	out->size = present * PAGE;
	if (ret && source && source_more(source)) {
		*err = (struct err)ERR_INIT;
		out->streamed = present;
		return 0;
	}
	if (ret && present)
		return ret;
	/* Nothing is read from it: whether it is there at all does not matter, but bytes in it would. */
	if (ret)
		return 0;
	if (f.size != out->size)
		ret = bad_image(err, AT(PAGES, out->pages_id, -1),
				"%lu bytes, but its pagemap describes %lu pages (%lu bytes)", f.size, present, out->size);
	else if (f.shared || (f.table && kind != IMG_PAGEMAP))
		ret = make_plain(&f, err);
	if (ret) {
		image_file_close(&f);
		return ret;
	}
	out->spooled = source && f.fd >= 0;
	image_name(IMG_PAGES, out->pages_id, name);
	if (out->spooled)
		image_dir_forget(m->dir, name);
	out->file = f;
	out->fd = f.table ? -1 : f.fd;
	out->want = image_dir_manifest(m->dir, IMG_PAGES, out->pages_id);
	return 0;
}

static int pages_arrived(struct model *m, struct model_pages *pages, struct err *err)
{
	pages->streamed = false;
	return open_pages(m, IMG_SHMEM_PAGEMAP, pages->size / PAGE, pages, err);
}

/* Whose pages are read before the tasks are there, or from more than one place. */
static bool cannot_wait(const struct model *m)
{
	for (size_t i = 0; i < m->nshmem; i++)
		if (m->shmem[i].pages.streamed)
			return true;
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; k < m->tasks[i].pages.ncow; k++)
			if (m->tasks[m->tasks[i].pages.cow[k].owner].pages.streamed)
				return true;
	return false;
}

static int arrived(struct model *m, unsigned long id, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < m->nshmem && !ret; i++)
		if (m->shmem[i].pages.streamed && m->shmem[i].pages.pages_id == id)
			ret = pages_arrived(m, &m->shmem[i].pages, err);
	for (size_t i = 0; i < m->ntasks && !ret; i++)
		if (m->tasks[i].pages.streamed && m->tasks[i].pages.pages_id == id)
			ret = pages_arrived(m, &m->tasks[i].pages, err);
	return ret;
}

int model_spool_one(struct model *m, struct err *err)
{
	struct source *source = image_dir_source(m->dir);
	unsigned long id;
	uint64_t size;
	int ret = source_next(source, &id, &size, err);

	if (ret > 0)
		ret = source_spool(source, err);
	return ret ? ret : arrived(m, id, err);
}

/* What tasks have of their ancestors is read after the ancestors have it. */
static void keep_shared(struct model *m)
{
	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; k < m->tasks[i].pages.ncow; k++)
			m->tasks[m->tasks[i].pages.cow[k].owner].pages.kept = true;
}

int model_spool(struct model *m, bool all, struct err *err)
{
	struct source *source = image_dir_source(m->dir);
	int ret = 0;

	while (source && !ret && (all || cannot_wait(m)) && source_more(source))
		ret = model_spool_one(m, err);
	keep_shared(m);
	return ret;
}

int model_load_pages(struct model *m, enum image_kind kind, unsigned long id, struct model_pages *out, struct err *err)
{
	ProtobufCMessage **v;
	size_t n;
	bool absent;
	int ret;

	out->fd = out->file.fd = -1;
	ret = image_read_all(m->dir, kind, id, m->arena, &v, &n, &absent, err);
	if (!ret && absent)
		ret = bad_image(err, &(struct where){ kind, id, -1 }, "missing");
	return ret ? ret : model_take_pages(m, kind, id, v, n, out, err);
}

int model_take_pages(struct model *m, enum image_kind kind, unsigned long id, ProtobufCMessage **v, size_t n, struct model_pages *out,
		     struct err *err)
{
	const struct where whole = { kind, id, -1 };
	const bool cow = kind == IMG_PAGEMAP && m->inventory->img_version == 3;
	uint64_t end = 0, present = 0, older = 0;
	bool parents = false;
	int ret;

	out->fd = out->file.fd = -1;
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
		parents |= out->entries[i]->flags & PE_PARENT;
		older += out->entries[i]->flags & PE_PARENT ? out->entries[i]->nr_pages : 0;
	}
	out->pages_id = ((PagemapHead *)v[0])->pages_id;
	if (m->glance) {
		out->size = (present + older) * PAGE;
		out->streamed = out->size;
		return 0;
	}
	ret = open_pages(m, kind, present, out, err);
	return ret || !parents ? ret : model_resolve_parents(m, kind, id, out, err);
}
