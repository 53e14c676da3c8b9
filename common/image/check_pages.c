/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page sets: their pages files, the mappings that they belong to, and their parents. */
#include <inttypes.h>
#include <string.h>

#include "common/image/check_inside.h"

enum { ST_REGULAR = 0x1, ST_VSYSCALL = 0x4, ST_GUARD = 0x10000, ST_AIO = 0x2000 };

static void check_size(struct check *c, const struct check_pages *p)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	struct err err = ERR_INIT;
	char name[64], from[64];

	image_name(IMG_PAGES, p->set.pages_id, name);
	image_name(p->kind, p->id, from);
	if (image_file_open(image_dir_fd(c->dir), name, &f, &err))
		return; /* told when the file itself was looked at */
	if (f.fd < 0 && p->set.present)
		check_say(c, from, 1, "refers to %s, which is missing", name);
	else if (f.fd >= 0 && f.size != p->set.present && !p->damaged)
		check_say(c, name, 0, "%" PRIu64 " bytes, but %s describes %" PRIu64, f.size, from, p->set.present);
}

/* Both lists are sorted: one walk. Guard ranges stand behind the mappings that they lie in. */
static void check_mappings(struct check *c, const struct check_pages *p, const struct check_mm *mm)
{
	size_t k = 0;
	char name[64];

	image_name(p->kind, p->id, name);
	for (size_t i = 0; i < p->set.n; i++) {
		uint64_t addr = p->set.runs[i].vaddr, end = addr + p->set.runs[i].pages * IMAGE_PAGE;

		while (addr < end) {
			while (k < mm->n && (mm->vmas[k].end <= addr || mm->vmas[k].status & (ST_GUARD | ST_VSYSCALL)))
				k++;
			if (k == mm->n || mm->vmas[k].start > addr || !(mm->vmas[k].status & (ST_REGULAR | ST_AIO))) {
				check_say(c, name, (long)i + 2, "page 0x%" PRIx64 " lies outside of every mapping of mm-%lu.img", addr,
					  mm->pid);
				break;
			}
			addr = mm->vmas[k].end;
		}
	}
}

/* The bytes of the parents' pages: they are this checkpoint's, too. */
static void check_contents(struct check *c, const struct chain_set *s, const char *name)
{
	for (size_t i = 1; i < s->n; i++) {
		cleanup_manifest struct manifest *m = NULL;
		const struct manifest_file *want = NULL;
		struct err err = ERR_INIT;
		char pages[64];
		int ret = s->pages[i].fd < 0 ? 0 : manifest_load(image_dir_fd(s->chain->dirs[i]), &m, &err);

		image_name(IMG_PAGES, s->sets[i].pages_id, pages);
		if (!ret && m)
			want = manifest_find(m, pages);
		if (!ret && want)
			ret = manifest_verify(want, &s->pages[i], c->threads, &err);
		if (ret)
			check_say(c, name, 0, "in a parent: %s/%s: %s", image_dir_path(s->chain->dirs[i]), pages, err.reason);
	}
}

static int check_parents(struct check *c, struct chain *chain, const struct check_pages *p, struct err *err)
{
	struct chain_set s;
	char name[64];
	int ret = chain_set_open(chain, 1, p->kind, p->id, &s, err);

	image_name(p->kind, p->id, name);
	if (ret) {
		/* A damaged parent is a finding of this checkpoint too. */
		check_say(c, name, 0, "in a parent: %s: %s", err->object, err->reason);
		*err = (struct err)ERR_INIT;
	}
	if (!ret)
		check_contents(c, &s, name);
	for (size_t i = 0; i < p->set.n && !ret; i++) {
		const struct page_run *r = &p->set.runs[i];
		uint64_t done = 0, off, n = 0;
		size_t in;

		if (!(r->flags & RUN_PARENT))
			continue;
		for (; done < r->pages; done += n) {
			const char *why = chain_find(&s, 1, r->vaddr + done * IMAGE_PAGE, r->pages - done, &in, &off, &n);

			if (!why)
				continue;
			check_say(c, name, (long)i + 2, "page 0x%" PRIx64 ": %s", r->vaddr + done * IMAGE_PAGE, why);
			break;
		}
	}
	chain_set_close(&s);
	return 0;
}

static bool needs_parent(const struct check *c)
{
	for (size_t i = 0; i < c->npages; i++)
		for (size_t k = 0; k < c->pages[i].set.n; k++)
			if (c->pages[i].set.runs[k].flags & RUN_PARENT)
				return true;
	return false;
}

static int all_parents(struct check *c, struct err *err)
{
	struct image_dir *self;
	struct chain chain;
	int ret = image_dir_open_unsealed(image_dir_path(c->dir), &self, err);

	if (ret)
		return ret;
	ret = chain_open(self, &chain, false, err);
	if (ret) {
		check_say(c, "parent", 0, "%s: %s", err->object, err->reason);
		*err = (struct err)ERR_INIT;
	}
	if (!ret && chain_verify(&chain, err)) {
		check_say(c, "parent", 0, "%s: %s", err->object, err->reason);
		*err = (struct err)ERR_INIT;
	}
	for (size_t i = 0; i < c->npages && !ret; i++)
		ret = check_parents(c, &chain, &c->pages[i], err);
	chain_close(&chain);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Two page sets with one pages file, and pages files without a page set. */
static void check_owners(struct check *c)
{
	cleanup_free uint32_t *ids = xreallocarray(NULL, c->npages + 1, sizeof(*ids));

	for (size_t k = 0; k < c->npages; k++)
		ids[k] = c->pages[k].set.pages_id;
	qsort(ids, c->npages, sizeof(*ids), by_number);
	for (size_t k = 1; k < c->npages; k++)
		if (ids[k] == ids[k - 1])
			check_say(c, "pages", 0, "two page sets claim pages-%u.img", ids[k]);
	for (size_t i = 0; i < c->nimages; i++) {
		uint32_t id = (uint32_t)c->images[i].id;

		if (c->images[i].kind == IMG_PAGES && !bsearch(&id, ids, c->npages, sizeof(id), by_number))
			check_say(c, c->images[i].name, 0, "no pagemap refers to it");
	}
}

static int by_pid(const void *a, const void *b)
{
	const struct check_mm *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int check_page_sets(struct check *c, struct err *err)
{
	if (c->nmms)
		qsort(c->mms, c->nmms, sizeof(*c->mms), by_pid);
	for (size_t i = 0; i < c->npages; i++) {
		const struct check_pages *p = &c->pages[i];
		const struct check_mm key = { .pid = p->id }, *mm = NULL;

		check_size(c, p);
		if (c->nmms && p->kind == IMG_PAGEMAP && !p->damaged)
			mm = bsearch(&key, c->mms, c->nmms, sizeof(key), by_pid);
		if (mm)
			check_mappings(c, p, mm);
	}
	check_owners(c);
	return needs_parent(c) ? all_parents(c, err) : 0;
}
