// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page sets that the controller writes into the task: by two threads, through small buffers that stay in the cache, where possible by
 * UFFDIO_COPY (fill.c): test/bench/raw_memory.c shows no faster way in. Faults that process_vm_writev resolves cost less than the
 * exceptions of a task that reads by itself. Each thread takes the next part of the image, be that a file, a compressed one whose
 * frames are as long as a part, or what comes from a pipe; takes its checksum while it is in the cache; and writes it. Of a chain of
 * checkpoints it takes the next ranges of one of the files, whose sums were looked at when they were opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "common/base/io.h"
#include "common/image/manifest.h"
#include "common/image/source.h"
#include "common/mm/private.h"

enum { PART = SEEKABLE_FRAME, RANGES = PART / PAGE_BYTES + 16 };

/* Bytes that are in the buffer one behind the other, the places in the image that they come from, and the ranges of the task that
 * they go to. */
struct place { uint64_t off; size_t len; };
struct filled { const char *from; uint64_t addr; size_t len; };
struct load {
	struct iovec from[RANGES], to[RANGES];
	struct filled filled[RANGES]; /* by UFFDIO_COPY, and not in to */
	struct place places[RANGES];
	size_t n, nfilled, nplaces, len;
	uint64_t bytes; /* of the ranges in to */
	int fd;		/* of the places; -1: the image is compressed, or comes from a pipe */
};

/* What the threads share, under lock. */
struct work {
	pthread_mutex_t lock;
	const struct plan_task *pt;
	pid_t pid;
	struct fill fill;
	struct source *source; /* NULL: it is a file */
	size_t i;     /* the first range that is not given out whole */
	uint64_t off; /* how much is given out: of the image or, of a chain, of that range */
	uint64_t done;
	bool sum;
	bool frees, freed; /* what is written; something was */
	struct sums sums;
	int ret;
	struct err *err;
};

static void load_range(const struct work *w, struct load *l, uint32_t fill, char *at, uint64_t addr, size_t n)
{
	if (fill && w->fill.uffd >= 0 && w->fill.ours[fill]) {
		l->filled[l->nfilled++] = (struct filled){ at, addr, n };
		return;
	}
	l->from[l->n] = (struct iovec){ at, n };
	l->to[l->n++] = (struct iovec){ (void *)(uintptr_t)addr, n };
	l->bytes += n;
}

/* The next part of the one image, with what is in it of ranges. */
static bool take_part(struct work *w, struct load *l, char *buf)
{
	const struct plan_task *pt = w->pt;
	const uint64_t off = w->off;

	l->len = (size_t)MIN(pt->set->size - off, (uint64_t)PART);
	for (size_t i = w->i; i < pt->npages && pt->pages[i].off < off + l->len && l->n + l->nfilled < RANGES; i++) {
		const struct plan_pages *p = &pt->pages[i];
		uint64_t from = MAX(p->off, off), to = MIN(p->off + p->len, off + l->len);

		if (p->off + p->len <= off + l->len)
			w->i = i + 1;
		if (from < to)
			load_range(w, l, p->fill, buf + (from - off), p->addr + (from - p->off), to - from);
	}
	l->places[0] = (struct place){ off, l->len };
	l->nplaces = 1;
	w->off += l->len;
	return l->len;
}

/* The next ranges of a chain of checkpoints, which are sorted by file and place (plan_content.c); what lies together is read together. */
static bool take_ranges(struct work *w, struct load *l, char *buf)
{
	const struct plan_task *pt = w->pt;

	while (w->i < pt->npages && l->len < PART && l->n + l->nfilled < RANGES) {
		const struct plan_pages *p = &pt->pages[w->i];
		size_t n = (size_t)MIN(p->len - w->off, (uint64_t)PART - l->len);
		struct place *last = l->nplaces ? &l->places[l->nplaces - 1] : NULL;

		if (l->len && p->fd != l->fd)
			break;
		l->fd = p->fd;
		if (last && last->off + last->len == p->off + w->off)
			last->len += n;
		else
			l->places[l->nplaces++] = (struct place){ p->off + w->off, n };
		load_range(w, l, p->fill, buf + l->len, p->addr + w->off, n);
		l->len += n;
		w->off += n;
		if (w->off == p->len) {
			w->i++;
			w->off = 0;
		}
	}
	return l->len;
}

/* Under lock: false when there is no more, or somebody failed. */
static bool load_take(struct work *w, struct load *l, char *buf)
{
	l->n = l->nfilled = l->nplaces = l->len = l->bytes = 0;
	l->fd = w->pt->set->fd;
	if (w->ret || !(w->pt->set->src ? take_ranges : take_part)(w, l, buf))
		return false;
	if (w->source)
		w->ret = source_read(w->source, buf, l->len, w->err);
	return !w->ret;
}

/* f: of an image that is one file, in whatever form it is. */
static int load_read(const struct work *w, const struct load *l, struct image_file *f, char *buf, struct err *err)
{
	int ret = 0;

	if (w->source)
		return 0;
	if (!w->pt->set->src)
		return image_file_pread(f, buf, l->len, l->places[0].off, err);
	for (size_t i = 0; i < l->nplaces && !ret; buf += l->places[i++].len)
		ret = pread_full(l->fd, buf, l->places[i].len, (off_t)l->places[i].off);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot read pages") : 0;
}

static int load_write(const struct work *w, struct load *l, struct err *err)
{
	uint64_t addr = l->n ? (uint64_t)(uintptr_t)l->to[0].iov_base : 0;
	ssize_t done;
	int ret = 0;

	for (size_t i = 0; i < l->nfilled && !ret; i++)
		ret = fill_copy(&w->fill, l->filled[i].addr, l->filled[i].from, l->filled[i].len, err);
	if (ret)
		return ret;
	done = l->n ? process_vm_writev(w->pid, l->from, l->n, l->to, l->n, 0) : 0;

	if (done == (ssize_t)l->bytes)
		return 0;
	if (done >= 0)
		errno = EFAULT;
	return err_sys(err, "cannot write %lu bytes of memory from 0x%lx on (process_vm_writev)", l->bytes, addr);
}

/* What was kept in memory until now is in its place: it is not needed twice. */
static bool load_free(const struct load *l)
{
	bool freed = false;

	for (size_t i = 0; i < l->nplaces; i++)
		freed |= !fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)l->places[i].off, (off_t)l->places[i].len);
	return freed;
}

static void work(struct work *w, void (*tick)(void *ctx, uint64_t done), void *ctx)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	cleanup_free char *buf = xmalloc((size_t)MIN(w->pt->set->size, (uint64_t)PART));
	struct sums_part part;
	struct load l;

	image_file_share(&w->pt->set->file, &f);
	pthread_mutex_lock(&w->lock);
	while (load_take(w, &l, buf)) {
		struct err err = ERR_INIT;
		uint64_t done;
		bool freed;
		int ret;

		pthread_mutex_unlock(&w->lock);
		ret = load_read(w, &l, &f, buf, &err);
		sums_part_start(&part, l.places[0].off);
		if (w->sum && !ret)
			sums_part_add(&part, l.places[0].off, buf, l.len);
		if (!ret)
			ret = load_write(w, &l, &err);
		freed = !ret && w->frees && load_free(&l);
		pthread_mutex_lock(&w->lock);
		if (ret && !w->ret) {
			w->ret = ret;
			*w->err = err;
		}
		w->freed |= freed;
		if (w->sum)
			sums_merge(&w->sums, &part, l.places[0].off + l.len);
		done = w->done += l.len;
		if (!tick)
			continue;
		pthread_mutex_unlock(&w->lock);
		tick(ctx, done);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

static void *second_thread(void *arg)
{
	work(arg, NULL, NULL);
	return NULL;
}

/* The stream stands at these pages then: all that come before go into memory. */
static int find_pages(struct model *m, const struct model_pages *set, struct err *err)
{
	struct source *source = image_dir_source(m->dir);
	unsigned long id;
	uint64_t size;
	int ret;

	while ((ret = source_next(source, &id, &size, err)) > 0) {
		if (id == set->pages_id) {
			if (size == set->size)
				return 0;
			return err_image(err, "pages-%lu.img: %lu bytes, but its pagemap describes %lu", id, size, set->size);
		}
		ret = model_spool_one(m, err);
		if (ret || !set->streamed)
			return ret;
	}
	return ret ? ret : err_image(err, "pages-%u.img is not in the stream", set->pages_id);
}

int pages_restore(struct model *m, const struct plan_task *pt, pid_t pid, int uffd, void (*tick)(void *ctx, uint64_t done),
		  void *ctx, struct err *err)
{
	const struct manifest_file *want = pt->set->want;
	struct work w = { .lock = PTHREAD_MUTEX_INITIALIZER, .pt = pt, .pid = pid, .i = pt->nown, .err = err };
	pthread_t second;
	const bool chain = pt->set->src;
	bool two;

	if (pt->set->streamed) {
		w.ret = find_pages(m, pt->set, err);
		if (w.ret)
			return w.ret;
	}
	w.source = pt->set->streamed ? image_dir_source(m->dir) : NULL;
	w.sum = w.source || (!chain && want && want->sums);
	w.frees = !pt->nown && (chain ? image_dir_source(m->dir) != NULL : pt->set->spooled && !pt->set->kept && pt->set->fd >= 0);
	fill_open(&w.fill, pt, pid, uffd);
	two = pt->set->size > 2 * PART && !pthread_create(&second, NULL, second_thread, &w); /* without it all takes longer, no more */
	work(&w, tick, ctx);
	if (two)
		pthread_join(second, NULL);
	fill_close(&w.fill);
	if (!w.ret && w.source)
		w.ret = source_done(w.source, take_ptr(w.sums.v), err);
	else if (!w.ret && w.sum)
		w.ret = manifest_compare(want, w.sums.v, err);
	if (w.ret && !w.source && !chain)
		err_object(err, w.ret, "pages-%u.img%s", pt->set->pages_id, pt->set->file.table ? IMAGE_ZST : "");
	sums_release(&w.sums);
	m->consumed |= w.freed;
	return w.ret;
}
