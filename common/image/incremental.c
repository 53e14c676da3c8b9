/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/incremental.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/chain.h"
#include "common/image/draft.h"
#include "common/image/listing.h"
#include "common/image/manifest.h"
#include "common/image/threads.h"

#define PART_PAGES 64u

static bool is_pagemap(enum image_kind kind)
{
	return kind == IMG_PAGEMAP || kind == IMG_SHMEM_PAGEMAP;
}

/* ---- a pagemap that is made: runs that touch become one entry ---- */

struct map_out {
	enum image_kind kind;
	unsigned long id;
	struct image_store *store; /* where entries go, or */
	struct strbuf bytes;	   /* the image itself */
	uint64_t vaddr, pages;
	uint32_t flags;
	int fd; /* of the pages */
	uint64_t off;
};

static void put_entry(struct map_out *o, const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	uint8_t packed[256], le[4] = { len & 0xff, len >> 8 & 0xff, 0, 0 };

	if (o->store) {
		image_store_put(o->store, o->kind, o->id, msg);
		return;
	}
	protobuf_c_message_pack(msg, packed); /* five numbers: it fits */
	strbuf_add(&o->bytes, le, 4);
	strbuf_add(&o->bytes, packed, len);
}

static void put_head(struct map_out *o, uint32_t pages_id)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	if (!o->store) {
		const uint32_t word[2] = { image_kinds[o->kind].first_magic, image_kinds[o->kind].magic };

		for (unsigned i = 0; i < 8; i++) {
			uint8_t byte = (uint8_t)(word[i / 4] >> 8 * (i % 4));

			strbuf_add(&o->bytes, &byte, 1);
		}
	}
	head.pages_id = pages_id;
	put_entry(o, &head.base);
}

static void flush_run(struct map_out *o)
{
	PagemapEntry e = PAGEMAP_ENTRY__INIT;

	if (!o->pages)
		return;
	e.vaddr = o->vaddr;
	e.has_nr_pages = true;
	e.nr_pages = o->pages;
	e.has_flags = true;
	e.flags = o->flags;
	put_entry(o, &e.base);
	o->pages = 0;
}

static void add_run(struct map_out *o, uint64_t vaddr, uint64_t pages, uint32_t flags)
{
	if (o->pages && o->flags == flags && o->vaddr + o->pages * IMAGE_PAGE == vaddr) {
		o->pages += pages;
		return;
	}
	flush_run(o);
	o->vaddr = vaddr;
	o->pages = pages;
	o->flags = flags;
}

static int add_pages(struct map_out *o, const void *buf, uint64_t vaddr, uint64_t pages, uint32_t flags, struct err *err)
{
	int ret = pwrite_full(o->fd, buf, (size_t)pages * IMAGE_PAGE, (off_t)o->off);

	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot write pages");
	o->off += pages * IMAGE_PAGE;
	add_run(o, vaddr, pages, flags);
	return 0;
}

/* What is damaged must not be called whole by the new manifest. */
static int verify_pages(struct image_dir *dir, const struct manifest *m, unsigned long id, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	const struct manifest_file *want;
	char name[64];
	int ret;

	if (!m)
		return 0;
	image_name(IMG_PAGES, id, name);
	want = manifest_find(m, name);
	if (!want)
		return err_object(err, err_image(err, "the manifest does not name this image"), "%s/%s", image_dir_path(dir), name);
	ret = image_dir_file(dir, name, &f, err);
	if (!ret)
		ret = manifest_verify(want, &f, image_threads_default(), err);
	return ret ? err_object(err, ret, "%s/%s", image_dir_path(dir), name) : 0;
}

/* ---- dedup ---- */

/* Some pages of a run: those that the parents have with the same content become references. */
static int sift_part(struct chain_set *s, struct map_out *o, const struct page_run *r, uint64_t first, size_t n, uint8_t *mine,
		     uint8_t *theirs, struct incremental_result *res, struct err *err)
{
	int ret = image_file_pread(&s->pages[0], mine, n * IMAGE_PAGE, r->off + first * IMAGE_PAGE, err);

	for (size_t i = 0; i < n && !ret; i++) {
		uint64_t vaddr = r->vaddr + (first + i) * IMAGE_PAGE, off, found;
		uint8_t *page = mine + i * IMAGE_PAGE;
		bool same = false;
		size_t in;

		if (!chain_find(s, 1, vaddr, 1, &in, &off, &found)) {
			ret = image_file_pread(&s->pages[in], theirs, IMAGE_PAGE, off, err);
			same = !ret && !memcmp(page, theirs, IMAGE_PAGE);
		}
		if (same) {
			add_run(o, vaddr, 1, RUN_PARENT);
			res->dropped++;
		} else if (!ret) {
			ret = add_pages(o, page, vaddr, 1, r->flags, err);
		}
	}
	res->pages += n;
	return ret;
}

static int sift(struct chain_set *s, struct map_out *o, struct incremental_result *res, struct err *err)
{
	cleanup_free uint8_t *buf = xmalloc((PART_PAGES + 1) * IMAGE_PAGE);
	int ret = 0;

	for (size_t i = 0; i < s->sets[0].n && !ret; i++) {
		const struct page_run *r = &s->sets[0].runs[i];

		if (!(r->flags & RUN_PRESENT)) {
			add_run(o, r->vaddr, r->pages, r->flags);
			continue;
		}
		for (uint64_t k = 0; k < r->pages && !ret; k += PART_PAGES)
			ret = sift_part(s, o, r, k, (size_t)MIN(r->pages - k, (uint64_t)PART_PAGES), buf,
					buf + PART_PAGES * IMAGE_PAGE, res, err);
	}
	flush_run(o);
	return ret;
}

static int finish_draft(struct draft *d, const char *name, const char *like, struct err *err)
{
	struct stat st;
	int ret;

	if (!fstatat(d->dirfd, like, &st, AT_SYMLINK_NOFOLLOW))
		draft_like(d, &st);
	if (fsync(d->fd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write");
	ret = draft_name(d, name, err);
	if (!ret && fsync(d->dirfd) < 0 && errno != EINVAL)
		ret = err_sys(err, "cannot write to the disk");
	return ret;
}

static void remove_forms(int dirfd, const char *name, bool plain)
{
	char packed[80];

	snprintf(packed, sizeof(packed), "%s" IMAGE_ZST, name);
	unlinkat(dirfd, packed, 0);
	if (plain)
		unlinkat(dirfd, name, 0);
}

/* The new pair: pages first, under a new number; the pagemap's name makes it count; then the old pages go. */
static int replace_set(int dirfd, struct map_out *o, struct draft *pages, uint32_t old_id, uint32_t new_id, struct err *err)
{
	cleanup_draft struct draft map = DRAFT_INIT;
	char name[64], old_pages[64], new_pages[64];
	int ret = draft_open(&map, dirfd, "pagemap", false, err);

	image_name(o->kind, o->id, name);
	image_name(IMG_PAGES, old_id, old_pages);
	image_name(IMG_PAGES, new_id, new_pages);
	if (!ret && write_full(map.fd, o->bytes.s, o->bytes.len))
		ret = err_sys(err, "cannot write");
	if (!ret)
		ret = finish_draft(pages, new_pages, old_pages, err);
	if (!ret)
		ret = finish_draft(&map, name, old_pages, err);
	if (ret)
		return ret;
	remove_forms(dirfd, name, false);
	remove_forms(dirfd, old_pages, true);
	return 0;
}

static int dedup_set(const struct chain *c, enum image_kind kind, unsigned long id, uint32_t new_id,
		     struct incremental_result *res, struct err *err)
{
	cleanup(chain_set_close) struct chain_set s;
	cleanup_draft struct draft pages = DRAFT_INIT;
	struct map_out o = { .kind = kind, .id = id };
	uint64_t before = res->dropped;
	int ret = chain_set_open(c, 0, kind, id, &s, err), dirfd = image_dir_fd(c->dirs[0]);

	if (ret || !s.sets[0].present)
		return ret;
	ret = draft_open(&pages, dirfd, "pages", false, err);
	o.fd = pages.fd;
	if (!ret) {
		put_head(&o, new_id);
		ret = sift(&s, &o, res, err);
	}
	if (!ret && res->dropped != before)
		ret = replace_set(dirfd, &o, &pages, s.sets[0].pages_id, new_id, err);
	strbuf_release(&o.bytes);
	return ret;
}

/* The largest number of a pages file that is there or named. */
static int largest_id(struct image_dir *dir, const struct listed *list, size_t n, uint32_t *max, struct err *err)
{
	*max = 0;
	for (size_t i = 0; i < n; i++) {
		struct page_set set;
		int ret;

		if (list[i].kind == IMG_PAGES)
			*max = MAX(*max, (uint32_t)list[i].id);
		if (!is_pagemap(list[i].kind))
			continue;
		ret = page_set_load(dir, list[i].kind, list[i].id, &set, err);
		*max = MAX(*max, set.pages_id);
		page_set_release(&set);
		if (ret)
			return ret;
	}
	return *max == UINT32_MAX ? err_image(err, "there is no free number for a pages file") : 0;
}

/* The chain is what it was, and no part of it was given away or never finished. */
static int check_whole(const struct chain *c, struct err *err)
{
	int dirfd = image_dir_fd(c->dirs[0]);

	if (faccessat(dirfd, "inventory.img", F_OK, AT_SYMLINK_NOFOLLOW) &&
	    faccessat(dirfd, "inventory.img" IMAGE_ZST, F_OK, AT_SYMLINK_NOFOLLOW))
		return err_object(err, err_set(err, ERR_IMAGE, ENOENT, "there is no inventory.img: this is no checkpoint"), "%s",
				  image_dir_path(c->dirs[0]));
	return chain_verify(c, err);
}

/* The same pages, here or in the parents: those who rely on them need not know. */
static int seal_again(int dirfd, const struct manifest *old, struct err *err)
{
	cleanup_manifest struct manifest *m = NULL;
	int ret = manifest_seal(dirfd, "cr-image", image_threads_default(), NULL, err);

	if (!ret)
		ret = manifest_load(dirfd, &m, err);
	if (!ret && m)
		manifest_inherit(m, old);
	return ret || !m ? ret : manifest_store(dirfd, m, err);
}

int image_dedup(const char *path, struct incremental_result *res, struct err *err)
{
	struct chain c = { .n = 0 };
	struct image_dir *dir;
	cleanup_free struct listed *list = NULL;
	size_t n = 0, done = 0;
	uint32_t id = 0;
	cleanup_manifest struct manifest *old = NULL;
	bool sealed;
	int ret = image_dir_open(path, &dir, err);

	*res = (struct incremental_result){ 0 };
	if (ret)
		return ret;
	ret = chain_open(dir, &c, true, err);
	res->dirs = c.n;
	if (!ret && c.n < 2)
		ret = err_set(err, ERR_IMAGE, ENOENT, "there is no parent checkpoint (a link \"parent\")");
	if (!ret)
		ret = check_whole(&c, err);
	if (!ret)
		ret = listing_read(image_dir_fd(dir), &list, &n, err);
	if (!ret)
		ret = manifest_load(image_dir_fd(dir), &old, err);
	for (size_t i = 0; old && i < n && !ret; i++)
		if (list[i].kind == IMG_PAGES)
			ret = verify_pages(dir, old, list[i].id, err);
	if (!ret)
		ret = largest_id(dir, list, n, &id, err);
	/* A manifest would call the new state damage until it is made again. */
	sealed = !ret && !unlinkat(image_dir_fd(dir), MANIFEST_NAME, 0);
	for (size_t i = 0; i < n && !ret; i++, done++)
		if (is_pagemap(list[i].kind))
			ret = dedup_set(&c, list[i].kind, list[i].id, ++id, res, err);
	if (sealed && (!ret || done)) {
		struct err later = ERR_INIT;
		int again = seal_again(image_dir_fd(dir), old, ret ? &later : err);

		ret = ret ?: again;
	}
	if (ret)
		err_object(err, ret, "%s", path);
	chain_close(&c);
	return ret;
}

/* ---- flatten ---- */

static int merge_run(struct chain_set *s, struct map_out *o, const struct page_run *r, uint8_t *buf,
		     struct incremental_result *res, struct err *err)
{
	if (r->flags & RUN_COW) { /* the parent process's set is made whole as well */
		add_run(o, r->vaddr, r->pages, r->flags);
		return 0;
	}
	for (uint64_t k = 0, n = 0; k < r->pages; k += n) {
		uint64_t vaddr = r->vaddr + k * IMAGE_PAGE, off;
		const char *why;
		size_t in;
		int ret;

		why = chain_find(s, 0, vaddr, MIN(r->pages - k, (uint64_t)PART_PAGES), &in, &off, &n);
		if (why)
			return err_image(err, "page 0x%llx: %s", (unsigned long long)vaddr, why);
		ret = image_file_pread(&s->pages[in], buf, (size_t)n * IMAGE_PAGE, off, err);
		if (!ret)
			ret = add_pages(o, buf, vaddr, n, RUN_PRESENT | (r->flags & RUN_LAZY), err);
		if (ret)
			return ret;
		res->pages += n;
		if (in)
			res->inherited += n;
	}
	return 0;
}

static int flatten_set(const struct chain *c, struct image_store *st, enum image_kind kind, unsigned long id,
		       struct incremental_result *res, struct err *err)
{
	cleanup(chain_set_close) struct chain_set s;
	cleanup_free uint8_t *buf = xmalloc(PART_PAGES * IMAGE_PAGE);
	struct map_out o = { .kind = kind, .id = id, .store = st };
	char name[64];
	int ret = chain_set_open(c, 0, kind, id, &s, err);

	for (size_t i = 0; i < s.n && !ret; i++)
		if (s.pages[i].fd >= 0)
			ret = verify_pages(c->dirs[i], image_dir_sealed(c->dirs[i]), s.sets[i].pages_id, err);
	if (ret)
		return ret;
	image_name(kind, id, name);
	ret = image_store_raw(st, IMG_PAGES, s.sets[0].pages_id, &o.fd, err);
	put_head(&o, s.sets[0].pages_id);
	for (size_t i = 0; i < s.sets[0].n && !ret; i++) {
		const struct page_run *r = &s.sets[0].runs[i];

		if (!(r->flags & (RUN_PRESENT | RUN_PARENT)))
			add_run(&o, r->vaddr, r->pages, r->flags);
		else
			ret = merge_run(&s, &o, r, buf, res, err);
	}
	flush_run(&o);
	return ret ? err_object(err, ret, "%s", name) : 0;
}

static int copy_file(struct image_file *f, int to, struct err *err)
{
	cleanup_free uint8_t *buf = xmalloc(PART_PAGES * IMAGE_PAGE);
	int ret = 0;

	for (uint64_t off = 0, n; off < f->size && !ret; off += n) {
		n = MIN(f->size - off, (uint64_t)PART_PAGES * IMAGE_PAGE);
		ret = image_file_pread(f, buf, (size_t)n, off, err);
		if (!ret && write_full(to, buf, (size_t)n))
			ret = err_sys(err, "cannot write");
	}
	return ret;
}

/* Everything that has no pages comes along as it is; files that are no images too (a runtime's descriptors.json). */
static int copy_part(struct image_dir *from, struct image_store *st, int outfd, const struct listed *p, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	cleanup_draft struct draft d = DRAFT_INIT;
	char name[64];
	int ret, fd;

	if (p->kind == IMG_KINDS) {
		f.fd = openat(image_dir_fd(from), p->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		if (f.fd < 0)
			return err_sys(err, "cannot open");
		ret = image_file_take(f.fd, &f, err) ?: draft_open(&d, outfd, "flatten", false, err);
		if (!ret)
			ret = copy_file(&f, d.fd, err);
		return ret ? ret : draft_name(&d, p->name, err);
	}
	image_name(p->kind, p->id, name);
	ret = image_file_open(image_dir_fd(from), name, &f, err);
	if (!ret)
		ret = image_store_raw(st, p->kind, p->id, &fd, err);
	if (!ret && ftruncate(fd, 0) < 0)
		ret = err_sys(err, "cannot write");
	return ret ? ret : copy_file(&f, fd, err);
}

static int flatten(const struct chain *c, const char *out, int outfd, struct incremental_result *res, struct err *err)
{
	cleanup_free struct listed *list = NULL;
	struct image_store *st = NULL;
	size_t n = 0;
	int ret = listing_read(image_dir_fd(c->dirs[0]), &list, &n, err);

	if (!ret)
		ret = image_store_open(out, &st, err);
	if (ret)
		return ret;
	image_store_seal(st, "cr-image", true);
	for (size_t i = 0; i < n && !ret; i++) {
		if (is_pagemap(list[i].kind))
			ret = flatten_set(c, st, list[i].kind, list[i].id, res, err);
		else if (list[i].kind != IMG_PAGES && strcmp(list[i].name, MANIFEST_NAME) != 0)
			ret = err_object(err, copy_part(c->dirs[0], st, outfd, &list[i], err), "%s", list[i].name);
	}
	if (!ret)
		ret = image_store_commit(st, err);
	image_store_free(st);
	return ret;
}

int image_flatten(const char *path, const char *out, struct incremental_result *res, struct err *err)
{
	struct chain c = { .n = 0 };
	cleanup_fd int outfd = -1;
	struct image_dir *dir;
	int ret = image_dir_open(path, &dir, err);

	*res = (struct incremental_result){ 0 };
	if (ret)
		return ret;
	ret = chain_open(dir, &c, true, err);
	res->dirs = c.n;
	if (!ret)
		ret = check_whole(&c, err);
	if (ret)
		goto out;
	if (mkdir(out, 0700) < 0 && errno != EEXIST)
		ret = err_object(err, err_sys(err, "cannot make the directory"), "%s", out);
	outfd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!ret && outfd < 0)
		ret = err_object(err, err_sys(err, "cannot open the directory"), "%s", out);
	if (!ret && (!faccessat(outfd, "inventory.img", F_OK, AT_SYMLINK_NOFOLLOW) ||
		     !faccessat(outfd, "inventory.img" IMAGE_ZST, F_OK, AT_SYMLINK_NOFOLLOW)))
		ret = err_object(err, err_set(err, ERR_FAILED, EEXIST, "a checkpoint is there already"), "%s", out);
	if (!ret)
		ret = flatten(&c, out, outfd, res, err);
out:
	chain_close(&c);
	return ret;
}
