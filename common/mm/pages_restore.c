// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Page sets that the controller writes into the task: by two threads, through small buffers that stay in the cache:
 * test/bench/raw_memory.c shows no faster way in. Faults that process_vm_writev resolves cost less than the
 * exceptions of a task that reads by itself. Each thread takes the next part of the image, be that a file, a compressed one whose
 * frames are as long as a part, or what comes from a pipe; takes its checksum while it is in the cache; and writes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "common/image/manifest.h"
#include "common/image/source.h"
#include "common/mm/private.h"

enum { PART = SEEKABLE_FRAME, RANGES = PART / PAGE_BYTES + 16 };

/* A part of the image, and the ranges of the task that it goes to. */
struct load { struct iovec from[RANGES], to[RANGES]; size_t n, len; uint64_t off, bytes; };

/* What the threads share, under lock. */
struct work {
	pthread_mutex_t lock;
	const struct plan_task *pt;
	pid_t pid;
	struct source *source; /* NULL: it is a file */
	uint64_t off; /* of the image, how much is given out */
	size_t i;     /* the first range that does not end before */
	uint64_t done;
	bool sum;
	bool frees, freed; /* what is written; something was */
	struct sums sums;
	int ret;
	struct err *err;
};

/* Under lock: false when there is no more, or somebody failed. */
static bool load_take(struct work *w, struct load *l, char *buf)
{
	const struct plan_task *pt = w->pt;

	l->n = l->bytes = 0;
	l->off = w->off;
	l->len = (size_t)MIN(pt->set->size - w->off, (uint64_t)PART);
	if (w->ret || !l->len)
		return false;
	for (size_t i = w->i; i < pt->npages && pt->pages[i].off < l->off + l->len && l->n < RANGES; i++) {
		const struct plan_pages *p = &pt->pages[i];
		uint64_t from = MAX(p->off, l->off), to = MIN(p->off + p->len, l->off + l->len);

		if (p->off + p->len <= l->off + l->len)
			w->i = i + 1;
		if (from >= to)
			continue;
		l->from[l->n] = (struct iovec){ buf + (from - l->off), to - from };
		l->to[l->n++] = (struct iovec){ (void *)(uintptr_t)(p->addr + (from - p->off)), to - from };
		l->bytes += to - from;
	}
	w->off += l->len;
	if (w->source)
		w->ret = source_read(w->source, buf, l->len, w->err);
	return !w->ret;
}

static int load_write(const struct work *w, struct load *l, struct err *err)
{
	uint64_t addr = l->n ? (uint64_t)(uintptr_t)l->to[0].iov_base : 0;
	ssize_t done = l->n ? process_vm_writev(w->pid, l->from, l->n, l->to, l->n, 0) : 0;

	if (done == (ssize_t)l->bytes)
		return 0;
	if (done >= 0)
		errno = EFAULT;
	return err_sys(err, "cannot write %lu bytes of memory from 0x%lx on (process_vm_writev)", l->bytes, addr);
}

/* What was kept in memory until now is in its place: it is not needed twice. */
static void load_free(struct work *w, const struct load *l)
{
	if (w->frees && !fallocate(w->pt->set->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)l->off, (off_t)l->len))
		w->freed = true;
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
		int ret = 0;

		pthread_mutex_unlock(&w->lock);
		if (!w->source)
			ret = image_file_pread(&f, buf, l.len, l.off, &err);
		sums_part_start(&part, l.off);
		if (w->sum && !ret)
			sums_part_add(&part, l.off, buf, l.len);
		if (!ret)
			ret = load_write(w, &l, &err);
		load_free(w, &l);
		pthread_mutex_lock(&w->lock);
		if (ret && !w->ret) {
			w->ret = ret;
			*w->err = err;
		}
		if (w->sum)
			sums_merge(&w->sums, &part, l.off + l.len);
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

int pages_restore(struct model *m, const struct plan_task *pt, pid_t pid, void (*tick)(void *ctx, uint64_t done), void *ctx,
		  struct err *err)
{
	const struct manifest_file *want = pt->set->want;
	struct work w = { .lock = PTHREAD_MUTEX_INITIALIZER, .pt = pt, .pid = pid, .i = pt->nown, .err = err };
	pthread_t second;
	bool two;

	if (pt->set->src)
		return pages_chain_restore(m, pt, pid, tick, ctx, err);
	if (pt->set->streamed) {
		w.ret = find_pages(m, pt->set, err);
		if (w.ret)
			return w.ret;
	}
	w.source = pt->set->streamed ? image_dir_source(m->dir) : NULL;
	w.sum = w.source || (want && want->sums);
	w.frees = pt->set->spooled && !pt->set->kept && !pt->nown && pt->set->fd >= 0;
	two = pt->set->size > 2 * PART && !pthread_create(&second, NULL, second_thread, &w); /* without it all takes longer, no more */
	work(&w, tick, ctx);
	if (two)
		pthread_join(second, NULL);
	if (!w.ret && w.source)
		w.ret = source_done(w.source, take_ptr(w.sums.v), err);
	else if (!w.ret && w.sum)
		w.ret = manifest_compare(want, w.sums.v, err);
	if (w.ret && !w.source)
		err_object(err, w.ret, "pages-%u.img%s", pt->set->pages_id, pt->set->file.table ? IMAGE_ZST : "");
	sums_release(&w.sums);
	m->consumed |= w.freed;
	return w.ret;
}
