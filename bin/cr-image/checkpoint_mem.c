/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a checkpoint: page sets with their parents, and what an address of a task holds. An incremental checkpoint has a
 * link "parent" to the one before it; a page that is marked as the parent's is in the page set of the same name there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "bin/cr-image/checkpoint_memory.h"
#include "common/image/chain.h"
#include "common/image/file.h"
#include "common/base/io.h"

enum { PE_PARENT = 1, PE_LAZY = 2, PE_PRESENT = 4, PE_COW = 0x10000 };

struct raw { /* a pages image */
	struct image_file file;
	char *name;
};

struct level { /* a directory of the chain */
	struct image_dir *dir;
	dev_t dev;
	ino_t ino;
};

struct memory {
	struct level *levels; /* 0 is the checkpoint itself, whose dir it does not own */
	size_t nlevels, levels_cap;
	bool complete; /* no further parent */
	struct raw **raws;
	size_t nraws, raws_cap;
	struct ckpt_pages **sets;
	size_t nsets, sets_cap;
	MemfdInodeEntry **memfds;
	size_t nmemfds;
	bool memfds_read;
	size_t cow_pieces; /* ckpt_pages_cow() */
};

void ckpt_memory_free(struct memory *m)
{
	if (!m)
		return;
	for (size_t i = 1; i < m->nlevels; i++)
		image_dir_free(m->levels[i].dir);
	for (size_t i = 0; i < m->nraws; i++) {
		image_file_close(&m->raws[i]->file);
		free(m->raws[i]->name);
		free(m->raws[i]);
	}
	for (size_t i = 0; i < m->nsets; i++) {
		free(m->sets[i]->runs);
		free(m->sets[i]);
	}
	free(m->levels);
	free(m->raws);
	free(m->sets);
	free(m);
}

static int add_level(struct memory *m, struct image_dir *dir, struct err *err)
{
	struct stat st;

	if (fstat(image_dir_fd(dir), &st) < 0)
		return err_sys(err, "fstat");
	for (size_t i = 0; i < m->nlevels; i++)
		if (m->levels[i].dev == st.st_dev && m->levels[i].ino == st.st_ino)
			return err_object(err, err_image(err, "the chain of parents comes back to itself"), "%s", image_dir_path(dir));
	if (m->nlevels >= CHAIN_MAX)
		return err_object(err, err_image(err, "more than %d parents", CHAIN_MAX), "%s", image_dir_path(dir));
	array_reserve(&m->levels, &m->levels_cap, m->nlevels, sizeof(*m->levels));
	m->levels[m->nlevels++] = (struct level){ dir, st.st_dev, st.st_ino };
	return 0;
}

static int memory_of(struct ckpt *c, struct memory **m, struct err *err)
{
	if (!c->memory) {
		c->memory = xzalloc(sizeof(*c->memory));
		add_level(c->memory, c->dir, err);
	}
	*m = c->memory;
	return err->kind ? -EIO : 0;
}

/* Makes sure that level n is known; 0 and *there false when the chain ends before it. A link that leads nowhere ends it, too: what of
 * the memory is missing then, the views tell. */
static int need_level(struct memory *m, size_t n, bool *there, struct err *err)
{
	*there = false;
	while (m->nlevels <= n && !m->complete) {
		const struct image_dir *last = m->levels[m->nlevels - 1].dir;
		struct image_dir *dir;
		struct stat st;
		int ret;

		if (fstatat(image_dir_fd(last), "parent", &st, 0) < 0 && errno == ENOENT) {
			m->complete = true;
			break;
		}
		ret = chain_open_parent(last, true, &dir, err);
		if (ret <= 0)
			return ret;
		ret = add_level(m, dir, err);
		if (ret) {
			image_dir_free(dir);
			return ret;
		}
	}
	*there = n < m->nlevels;
	return 0;
}

/* ---- one directory's part of a page set ---- */

struct part_run { uint64_t addr, pages, off; uint32_t flags; };
struct part {
	struct part_run *runs;
	size_t n, cap;
	struct raw *raw; /* NULL: there is none */
	bool absent, parents;
};

static void part_release(struct part *p)
{
	free(p->runs);
}

static int add_entry(struct part *p, const PagemapEntry *e, uint64_t *off, struct err *err)
{
	uint64_t pages = e->has_nr_pages ? e->nr_pages : e->compat_nr_pages;
	uint32_t flags = e->has_flags ? e->flags : e->has_in_parent && e->in_parent ? PE_PARENT : PE_PRESENT;
	const struct part_run *last = p->n ? &p->runs[p->n - 1] : NULL;

	if (e->vaddr % CKPT_PAGE || !pages || pages > (UINT64_MAX - e->vaddr) / CKPT_PAGE)
		return err_image(err, "%llu pages at 0x%llx are no range of memory", (unsigned long long)pages,
				 (unsigned long long)e->vaddr);
	if (last && e->vaddr < last->addr + last->pages * CKPT_PAGE)
		return err_image(err, "the range at 0x%llx is out of order", (unsigned long long)e->vaddr);
	array_reserve(&p->runs, &p->cap, p->n, sizeof(*p->runs));
	p->runs[p->n++] = (struct part_run){ e->vaddr, pages, *off, flags };
	if (flags & PE_PARENT)
		p->parents = true;
	else if (flags & PE_PRESENT && !(flags & PE_COW))
		*off += pages * CKPT_PAGE;
	return *off > INT64_MAX ? err_image(err, "more pages than there can be") : 0;
}

static int open_raw(struct memory *m, struct image_dir *dir, uint32_t pages_id, uint64_t need, struct part *p, struct err *err)
{
	struct image_file file = IMAGE_FILE_INIT;
	char name[64];
	int ret;

	if (!need)
		return 0;
	image_name(IMG_PAGES, pages_id, name);
	ret = image_raw_file(dir, IMG_PAGES, pages_id, &file, err);
	if (ret) {
		image_file_close(&file);
		return ret;
	}
	array_reserve(&m->raws, &m->raws_cap, m->nraws, sizeof(struct raw *));
	p->raw = m->raws[m->nraws++] = xzalloc(sizeof(struct raw));
	*p->raw = (struct raw){ file, xasprintf("%s/%s", image_dir_path(dir), name) };
	if (file.size < need)
		return err_object(err, err_image(err, "cut short: %llu bytes of %llu", (unsigned long long)file.size,
						 (unsigned long long)need), "%s", p->raw->name);
	return 0;
}

static int load_part(struct memory *m, struct image_dir *dir, enum image_kind kind, unsigned long id, struct part *p,
		     struct err *err)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_arena struct arena *arena = arena_new();
	uint64_t off = 0;
	uint32_t pages_id = 0;
	int ret = image_reader_open(dir, kind, id, &rd, err);

	p->absent = !ret && image_reader_absent(rd);
	for (size_t n = 0; !ret; n++, arena_reset(arena)) {
		ProtobufCMessage *msg;
		char name[64];

		ret = image_reader_next(rd, arena, &msg, err);
		if (ret <= 0)
			break;
		ret = 0;
		if (msg->descriptor == &pagemap_head__descriptor)
			pages_id = ((PagemapHead *)msg)->pages_id;
		else
			ret = add_entry(p, (PagemapEntry *)msg, &off, err);
		image_name(kind, id, name);
		if (ret)
			return err_object(err, ret, "%s/%s: entry %zu", image_dir_path(dir), name, n + 1);
	}
	return ret ? ret : open_raw(m, dir, pages_id, off, p, err);
}

/* ---- the whole chain ---- */

void ckpt_pages_add(struct ckpt_pages *s, size_t *cap, struct ckpt_run run)
{
	array_reserve(&s->runs, cap, s->n, sizeof(*s->runs));
	s->runs[s->n++] = run;
	s->cow |= run.cow;
	if (run.content)
		s->stored += run.pages;
	else if (!run.zero)
		s->missing += run.pages;
	if (run.content && run.parent)
		s->parent += run.pages;
}

size_t ckpt_pages_find(const struct ckpt_pages *s, uint64_t addr)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->runs[mid].addr + s->runs[mid].pages * CKPT_PAGE <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The pages of a run that is the parent's, as the older set has them. */
static void add_from_parent(struct ckpt_pages *s, size_t *cap, const struct ckpt_pages *older, const struct part_run *run)
{
	uint64_t addr = run->addr, end = run->addr + run->pages * CKPT_PAGE;

	for (size_t i = ckpt_pages_find(older, addr); i < older->n && older->runs[i].addr < end; i++) {
		const struct ckpt_run *o = &older->runs[i];
		uint64_t from = MAX(o->addr, addr), to = MIN(o->addr + o->pages * CKPT_PAGE, end);

		if (from > addr)
			ckpt_pages_add(s, cap, (struct ckpt_run){ addr, (from - addr) / CKPT_PAGE });
		ckpt_pages_add(s, cap, (struct ckpt_run){ from, (to - from) / CKPT_PAGE, o->off + (from - o->addr), o->content,
							  .parent = true });
		addr = to;
	}
	if (addr < end)
		ckpt_pages_add(s, cap, (struct ckpt_run){ addr, (end - addr) / CKPT_PAGE });
}

static void resolve_part(struct ckpt_pages *s, const struct part *p, const struct ckpt_pages *older)
{
	size_t cap = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct part_run *r = &p->runs[i];

		if (r->flags & PE_PARENT)
			add_from_parent(s, &cap, older, r);
		else
			ckpt_pages_add(s, &cap, (struct ckpt_run){ r->addr, r->pages, r->off,
								   r->flags & PE_PRESENT && !(r->flags & PE_COW) ? p->raw : NULL,
								   .cow = r->flags & PE_COW });
	}
	s->absent = p->absent;
}

static void free_parts(struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		part_release(&parts[i]);
	free(parts);
}

/* Reads as many levels as there are pages of parents, then resolves from the oldest one on. */
static int load_set(struct memory *m, struct ckpt_pages *s, struct err *err)
{
	struct part *parts = NULL;
	size_t n = 0, cap = 0;
	bool there = true;
	int ret = 0;

	do {
		ret = need_level(m, n, &there, err);
		if (ret || !there)
			break;
		array_reserve(&parts, &cap, n, sizeof(*parts));
		parts[n] = (struct part){ NULL };
		ret = load_part(m, m->levels[n].dir, s->kind, s->id, &parts[n], err);
		n++;
	} while (!ret && parts[n - 1].parents);
	if (!ret) {
		struct ckpt_pages older = { .n = 0 }, set;

		for (size_t i = n; i-- > 0;) {
			set = (struct ckpt_pages){ .kind = s->kind, .id = s->id };
			resolve_part(&set, &parts[i], &older);
			free(older.runs);
			older = set;
		}
		*s = older;
	}
	free_parts(parts, n);
	return ret;
}

static int page_set(struct ckpt *c, enum image_kind kind, unsigned long id, struct ckpt_pages **pages, struct err *err)
{
	struct memory *m;
	struct ckpt_pages *s;
	int ret = memory_of(c, &m, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < m->nsets; i++)
		if (m->sets[i]->kind == kind && m->sets[i]->id == id) {
			*pages = m->sets[i];
			return 0;
		}
	s = xzalloc(sizeof(*s));
	s->kind = kind;
	s->id = id;
	ret = load_set(m, s, err);
	if (ret) {
		free(s->runs);
		free(s);
		return ret;
	}
	array_reserve(&m->sets, &m->sets_cap, m->nsets, sizeof(s));
	*pages = m->sets[m->nsets++] = s;
	return 0;
}

int ckpt_pages_raw(struct ckpt *c, struct ckpt_task *t, struct err *err)
{
	return t->pages ? 0 : page_set(c, IMG_PAGEMAP, t->pid, &t->pages, err);
}

int ckpt_pages(struct ckpt *c, struct ckpt_task *t, struct ckpt_pages **pages, struct err *err)
{
	int ret = ckpt_pages_raw(c, t, err);

	if (!ret && t->pages->cow)
		ret = ckpt_pages_cow(c, t, &c->memory->cow_pieces, err);
	*pages = t->pages;
	return ret;
}

int ckpt_shmem(struct ckpt *c, uint64_t shmid, struct ckpt_pages **pages, struct err *err)
{
	return page_set(c, IMG_SHMEM_PAGEMAP, shmid, pages, err);
}

int ckpt_raw_read(struct raw *raw, uint64_t off, void *buf, size_t n, struct err *err)
{
	int ret = image_file_pread(&raw->file, buf, n, off, err);

	return ret ? err_object(err, ret, "%s", raw->name) : 0;
}

/* ---- what an address holds ---- */

/* The object whose pages a mapping shows where the task has none of its own: *shmid, or false for none. */
static int shared_object(struct ckpt *c, const VmaEntry *v, uint64_t *shmid, bool *is, struct err *err)
{
	struct memory *m = c->memory;
	const FileEntry *f;
	int ret = 0;

	*is = false;
	if (v->status & (CKPT_VMA_ANON_SHARED | CKPT_VMA_SYSVIPC)) {
		*shmid = v->shmid;
		*is = true;
	}
	if (*is || !(v->status & CKPT_VMA_MEMFD))
		return 0;
	f = v->shmid <= UINT32_MAX ? ckpt_file(c, (uint32_t)v->shmid) : NULL;
	if (!f || !f->memfd)
		return 0;
	if (!m->memfds_read) {
		ProtobufCMessage **msgs;

		ret = image_read_all(c->dir, IMG_MEMFD_INODE, 0, c->arena, &msgs, &m->nmemfds, NULL, err);
		m->memfds = (MemfdInodeEntry **)msgs;
		m->memfds_read = !ret;
	}
	for (size_t i = 0; i < m->nmemfds && !ret; i++)
		if (m->memfds[i]->inode_id == f->memfd->inode_id) {
			*shmid = m->memfds[i]->shmid;
			*is = true;
		}
	return ret;
}

struct walk {
	const VmaEntry *vma;
	ckpt_span_fn f;
	void *data;
	struct ckpt_pages *own, *object; /* object NULL: none */
};

static enum ckpt_content kind_of(const struct ckpt_run *r)
{
	return r->content ? CKPT_STORED : r->zero ? CKPT_ZERO : CKPT_MISSING;
}

static enum ckpt_content untouched(const VmaEntry *v)
{
	if (v->status & (CKPT_VMA_VVAR | CKPT_VMA_VSYSCALL))
		return CKPT_KERNEL;
	if (v->status & CKPT_VMA_MEMFD)
		return CKPT_ZERO;
	return v->status & (CKPT_VMA_FILE_PRIVATE | CKPT_VMA_FILE_SHARED) ? CKPT_FILE : CKPT_ZERO;
}

/* [from, to) of the shared object behind the mapping, or of what is there when nothing is stored. */
static int walk_behind(const struct walk *w, uint64_t from, uint64_t to, struct err *err)
{
	uint64_t delta = w->vma->pgoff - w->vma->start; /* address to offset in the object, modulo 2^64 */
	int ret = 0;

	for (size_t i = w->object ? ckpt_pages_find(w->object, from + delta) : 0; from < to && !ret;) {
		const struct ckpt_run *r = w->object && i < w->object->n ? &w->object->runs[i] : NULL;
		struct ckpt_span s = { .what = untouched(w->vma), .addr = from, .off = from + delta };
		uint64_t at = from + delta, end = to + delta;

		if (r && r->addr < end && r->addr <= at) {
			s.what = kind_of(r);
			s.content = r->content;
			s.parent = r->parent;
			s.off = r->off + (at - r->addr);
			end = MIN(end, r->addr + r->pages * CKPT_PAGE);
			i++;
		} else if (r && r->addr < end) {
			end = r->addr;
		}
		if (end <= at) /* wrapped around */
			end = to + delta;
		s.len = end - at;
		ret = w->f(&s, w->data, err);
		from += s.len;
	}
	return ret;
}

int ckpt_spans(struct ckpt *c, struct ckpt_task *t, const VmaEntry *v, uint64_t from, uint64_t to, ckpt_span_fn f, void *data,
	       struct err *err)
{
	struct walk w = { v, f, data, NULL, NULL };
	uint64_t shmid = 0;
	bool is;
	int ret = ckpt_pages(c, t, &w.own, err);

	if (!ret)
		ret = shared_object(c, v, &shmid, &is, err);
	if (!ret && is)
		ret = ckpt_shmem(c, shmid, &w.object, err);
	from = MAX(from, v->start);
	to = MIN(to, v->end);
	for (size_t i = ret ? 0 : ckpt_pages_find(w.own, from); !ret && from < to; i++) {
		const struct ckpt_run *r = i < w.own->n ? &w.own->runs[i] : NULL;
		struct ckpt_span s;

		if (!r || r->addr >= to)
			return walk_behind(&w, from, to, err);
		if (r->addr > from) {
			ret = walk_behind(&w, from, r->addr, err);
			from = r->addr;
		}
		s = (struct ckpt_span){ kind_of(r), from,
					MIN(r->addr + r->pages * CKPT_PAGE, to) - from, r->off + (from - r->addr), r->content,
					r->parent };
		if (!ret)
			ret = f(&s, data, err);
		from += s.len;
	}
	return ret;
}

struct reading {
	uint64_t next; /* address up to which all was read */
	uint8_t *buf;
	uint64_t start;
};

static int read_span(const struct ckpt_span *s, void *data, struct err *err)
{
	struct reading *r = data;
	uint8_t *to = r->buf + (s->addr - r->start);
	int ret = 0;

	if (s->addr != r->next || (s->what != CKPT_STORED && s->what != CKPT_ZERO))
		return 1;
	if (s->what == CKPT_STORED)
		ret = ckpt_raw_read(s->content, s->off, to, s->len, err);
	else
		memset(to, 0, s->len);
	r->next = s->addr + s->len;
	return ret;
}

ssize_t ckpt_read(struct ckpt *c, struct ckpt_task *t, uint64_t addr, void *buf, size_t n, struct err *err)
{
	struct reading r = { addr, buf, addr };

	if (n > UINT64_MAX - addr)
		n = (size_t)(UINT64_MAX - addr);
	while (r.next < addr + n) {
		const VmaEntry *v = ckpt_vma_at(t, r.next);
		int ret = v ? ckpt_spans(c, t, v, r.next, addr + n, read_span, &r, err) : 1;

		if (ret < 0)
			return ret;
		if (ret)
			break;
	}
	return (ssize_t)(r.next - addr);
}

static int add_size(const struct ckpt_span *s, void *data, struct err *err)
{
	struct ckpt_sizes *z = data;

	z->by[s->what] += s->len;
	if (s->parent)
		z->parent += s->len;
	return 0;
}

int ckpt_sizes(struct ckpt *c, struct ckpt_task *t, const VmaEntry *v, struct ckpt_sizes *sizes, struct err *err)
{
	*sizes = (struct ckpt_sizes){ { 0 }, 0 };
	return ckpt_spans(c, t, v, v->start, v->end, add_size, sizes, err);
}
