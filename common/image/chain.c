/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

const char *page_set_add(struct page_set *set, const PagemapEntry *e)
{
	struct page_run run = { .vaddr = e->vaddr, .pages = e->has_nr_pages ? e->nr_pages : e->compat_nr_pages };
	const char *why = NULL;

	if (e->has_flags)
		run.flags = e->flags;
	else
		run.flags = e->has_in_parent && e->in_parent ? RUN_PARENT : RUN_PRESENT;
	if (run.flags & ~(uint32_t)(RUN_PARENT | RUN_LAZY | RUN_PRESENT | RUN_COW))
		why = "unknown flags";
	else if ((run.flags & RUN_PARENT) && (run.flags & RUN_PRESENT))
		why = "pages both here and in the parent";
	else if ((run.flags & RUN_COW) && (run.flags & (RUN_PARENT | RUN_PRESENT)))
		why = "pages both here and of the parent process";
	else if (run.vaddr % IMAGE_PAGE)
		why = "the address is no multiple of the page size";
	else if (!run.pages || run.pages > (UINT64_MAX - run.vaddr) / IMAGE_PAGE)
		why = "the number of pages is no range of memory";
	else if (run.vaddr < set->end)
		why = "out of order, or overlapping the one before";
	else if (set->present > IMAGE_PAYLOAD_MAX || run.pages > IMAGE_PAYLOAD_MAX / IMAGE_PAGE)
		why = "more pages than there can be";
	if (why)
		return why;
	run.off = set->present;
	if (run.flags & RUN_PRESENT)
		set->present += run.pages * IMAGE_PAGE;
	set->end = run.vaddr + run.pages * IMAGE_PAGE;
	array_reserve(&set->runs, &set->cap, set->n, sizeof(*set->runs));
	set->runs[set->n++] = run;
	return NULL;
}

static int load(struct image_reader *rd, const char *name, struct page_set *set, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	size_t entry = 0;
	int ret;

	for (;; entry++, arena_reset(arena)) {
		ProtobufCMessage *msg;
		const char *why;

		ret = image_reader_next(rd, arena, &msg, err);
		if (ret < 0)
			return ret;
		if (!ret)
			break;
		if (!entry) {
			set->pages_id = ((PagemapHead *)msg)->pages_id;
			continue;
		}
		why = page_set_add(set, (PagemapEntry *)msg);
		if (why)
			return err_object(err, err_image(err, "%s", why), "%s: entry %zu", name, entry + 1);
	}
	return entry ? 0 : err_object(err, err_image(err, "no head entry"), "%s", name);
}

int page_set_load(struct image_dir *dir, enum image_kind kind, unsigned long id, struct page_set *set, struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	char name[64];
	int ret = image_reader_open(dir, kind, id, &rd, err);

	*set = (struct page_set){ 0 };
	if (ret)
		return ret;
	set->absent = image_reader_absent(rd);
	if (set->absent)
		return 0;
	image_name(kind, id, name);
	ret = load(rd, name, set, err);
	return ret ? err_object(err, ret, "%s", image_dir_path(dir)) : 0;
}

void page_set_release(struct page_set *set)
{
	free(set->runs);
	*set = (struct page_set){ 0 };
}

const struct page_run *page_set_find(const struct page_set *set, uint64_t vaddr)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct page_run *r = &set->runs[mid];

		if (vaddr < r->vaddr)
			hi = mid;
		else if (vaddr >= r->vaddr + r->pages * IMAGE_PAGE)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

int chain_open_parent(const struct image_dir *dir, bool sealed, struct image_dir **parent, struct err *err)
{
	cleanup_free char *path = NULL;
	char proc[64], real[PATH_MAX];
	cleanup_fd int fd = -1;
	struct stat st;
	ssize_t len;
	int ret;

	if (image_dir_source(dir))
		return image_dir_stream_parent(dir, parent);
	path = xasprintf("%s/parent", image_dir_path(dir));
	if (fstatat(image_dir_fd(dir), "parent", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_object(err, err_sys(err, "cannot read the link to the parent"), "%s", path);
	/* Its own path: one that goes over the links of a long chain is one that the kernel does not walk (40 links). */
	fd = openat(image_dir_fd(dir), "parent", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open the images directory"), "%s", path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	len = readlink(proc, real, sizeof(real) - 1);
	if (len < 0)
		return err_object(err, err_sys(err, "cannot find the images directory"), "%s", path);
	real[len] = 0;
	ret = sealed ? image_dir_open(real, parent, err) : image_dir_open_unsealed(real, parent, err);
	return ret ? ret : 1;
}

int chain_open(struct image_dir *dir, struct chain *c, bool sealed, struct err *err)
{
	cleanup_free struct stat *st = xreallocarray(NULL, CHAIN_MAX, sizeof(*st));

	*c = (struct chain){ .dirs = { dir }, .n = 1 };
	for (;;) {
		struct image_dir *last = c->dirs[c->n - 1], *parent;
		int ret;

		if (!image_dir_source(last) && fstat(image_dir_fd(last), &st[c->n - 1]) < 0)
			return err_object(err, err_sys(err, "fstat"), "%s", image_dir_path(last));
		for (size_t i = 0; i + 1 < c->n && !image_dir_source(last); i++) /* links of a stream lead to earlier ones */
			if (st[i].st_dev == st[c->n - 1].st_dev && st[i].st_ino == st[c->n - 1].st_ino)
				return err_object(err, err_image(err, "the parents go round in a circle"), "%s", image_dir_path(last));
		ret = chain_open_parent(last, sealed, &parent, err);
		if (ret <= 0)
			return ret;
		if (c->n == CHAIN_MAX) {
			image_dir_free(parent);
			return err_object(err, err_image(err, "more than %d parents", CHAIN_MAX), "%s", image_dir_path(last));
		}
		c->dirs[c->n++] = parent;
	}
}

void chain_close(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		image_dir_free(c->dirs[i]);
	c->n = 0;
}

static int open_pages(struct chain_set *s, size_t i, struct err *err)
{
	const struct page_set *set = &s->sets[i];
	char name[64];
	int ret;

	if (!set->present)
		return 0;
	image_name(IMG_PAGES, set->pages_id, name);
	ret = image_dir_file(s->chain->dirs[i], name, &s->pages[i], err);
	if (!ret && s->pages[i].fd < 0)
		ret = err_set(err, ERR_IMAGE, ENOENT, "the image is missing");
	else if (!ret && s->pages[i].size != set->present)
		ret = err_image(err, "%llu bytes, but its pagemap describes %llu", (unsigned long long)s->pages[i].size,
				(unsigned long long)set->present);
	return ret ? err_object(err, ret, "%s/%s", image_dir_path(s->chain->dirs[i]), name) : 0;
}

int chain_set_open(const struct chain *c, size_t first, enum image_kind kind, unsigned long id, struct chain_set *s, struct err *err)
{
	int ret = 0;

	*s = (struct chain_set){ .chain = c, .n = c->n };
	s->sets = xzalloc(c->n * sizeof(*s->sets));
	s->pages = xzalloc(c->n * sizeof(*s->pages));
	for (size_t i = 0; i < c->n; i++)
		s->pages[i] = (struct image_file)IMAGE_FILE_INIT;
	for (size_t i = first; i < c->n && !ret; i++) {
		ret = page_set_load(c->dirs[i], kind, id, &s->sets[i], err);
		if (!ret)
			ret = open_pages(s, i, err);
	}
	return ret;
}

void chain_set_close(struct chain_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		page_set_release(&s->sets[i]);
		image_file_close(&s->pages[i]);
	}
	free(s->sets);
	free(s->pages);
	*s = (struct chain_set){ 0 };
}

const char *chain_find(const struct chain_set *s, size_t from, uint64_t vaddr, uint64_t max, size_t *in, uint64_t *off,
		       uint64_t *pages)
{
	for (size_t i = from; i < s->n; i++) {
		const struct page_run *r = page_set_find(&s->sets[i], vaddr);

		if (!r)
			return "no parent has this page";
		max = MIN(max, r->pages - (vaddr - r->vaddr) / IMAGE_PAGE);
		*pages = max;
		if (r->flags & RUN_PRESENT) {
			*in = i;
			*off = r->off + (vaddr - r->vaddr);
			return NULL;
		}
		if (r->flags & RUN_COW)
			return "the page is the parent process's";
		if (!(r->flags & RUN_PARENT))
			return "the page was left for a lazy restore";
	}
	*pages = max;
	return "there is no parent directory to take it from";
}
