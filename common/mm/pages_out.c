// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/mm/pages_out.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/image/threads.h"
#include "common/mm/sent.h"
#include "common/mm/track.h"

/* One aligned page at a time; or-ing whole cache lines lets the compiler use the widest registers it may. */
bool is_zero_page(const void *page)
{
	const uint64_t *w = page;

	for (size_t i = 0; i < PAGE_BYTES / sizeof(*w); i += 32) {
		uint64_t any = 0;

		for (size_t k = 0; k < 32; k++)
			any |= w[i + k];
		if (any)
			return false;
	}
	return true;
}

void pages_sets_free(struct dump *d)
{
	for (size_t i = 0; d->sets && i < d->sets->n; i++) {
		free(d->sets->v[i].runs);
		free(d->sets->v[i].left);
		free(d->sets->v[i].sums);
	}
	if (d->sets)
		free(d->sets->v);
	free(d->sets);
	d->sets = NULL;
}

static struct pages_set *new_set(struct dump *d, const struct mm_object *object, const struct pages_out *o)
{
	struct pages_sets *s = d->sets = d->sets ?: xzalloc(sizeof(*s));

	array_reserve(&s->v, &s->cap, s->n, sizeof(*s->v));
	s->v[s->n] = (struct pages_set){ .task = d->task, .object = object, .pages_id = o->pages_id, .kind = o->kind, .id = o->id };
	return &s->v[s->n++];
}

int pages_out_open(struct dump *d, struct pages_out *o, enum image_kind kind, unsigned long id, const struct mm_object *object,
		   struct err *err)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;
	int ret;

	*o = (struct pages_out){ .d = d, .kind = kind, .id = id, .fd = -1, .sum = d->opts->seal };
	head.pages_id = o->pages_id = object ? ++d->objects->last_pages_id : d->task->pages_id;
	image_store_put(d->store, kind, id, &head.base);
	if (image_store_is_stream(d->store)) {
		o->list = new_set(d, object, o);
		return 0;
	}
	ret = image_store_raw(d->store, IMG_PAGES, o->pages_id, &o->fd, err);
	if (!ret && d->opts->compress)
		ret = frames_writer_new(o->fd, d->opts->compress, image_threads_default(), &o->frames, err);
	return ret;
}

int pages_out_send(struct dump *d, struct pages_out *o, struct pages_set *set, struct err *err)
{
	*o = (struct pages_out){ .d = d, .fd = -1, .pages_id = set->pages_id, .sending = true, .sum = true };
	if (d->tracker && d->tracker->sent)
		set->sums = xreallocarray(NULL, set->npages + 1, sizeof(*set->sums));
	return image_store_send_raw(d->store, IMG_PAGES, set->pages_id, set->npages * PAGE_BYTES, err);
}

static void map_flush(struct pages_out *o)
{
	PagemapEntry e = PAGEMAP_ENTRY__INIT;

	if (!o->npages)
		return;
	e.vaddr = o->addr;
	e.has_flags = e.has_nr_pages = true;
	e.flags = o->flags;
	e.nr_pages = o->npages;
	image_store_put(o->d->store, o->kind, o->id, &e.base);
	o->npages = 0;
}

static void list_left(struct pages_set *s, uint64_t addr, uint64_t npages)
{
	array_reserve(&s->left, &s->left_cap, s->nleft, sizeof(*s->left));
	s->left[s->nleft++] = (struct pages_run){ addr, (uint32_t)npages, false };
}

static void list_run(struct pages_set *s, uint64_t addr, uint64_t npages, bool by_mem)
{
	struct pages_run *last = s->n ? &s->runs[s->n - 1] : NULL;

	s->npages += npages;
	if (last && last->by_mem == by_mem && last->addr + last->npages * PAGE_BYTES == addr &&
	    last->npages + npages <= UINT32_MAX) {
		last->npages += (uint32_t)npages;
		return;
	}
	array_reserve(&s->runs, &s->cap, s->n, sizeof(*s->runs));
	s->runs[s->n++] = (struct pages_run){ addr, (uint32_t)npages, by_mem };
}

void pages_out_map(struct pages_out *o, uint64_t addr, uint64_t npages, uint32_t flags, bool by_mem)
{
	if (o->list && flags & PME_PARENT)
		list_left(o->list, addr, npages);
	else if (o->list && !(flags & PAGES_COW))
		list_run(o->list, addr, npages, by_mem);
	if (o->npages && o->flags == flags && o->addr + o->npages * PAGE_BYTES == addr) {
		o->npages += npages;
		return;
	}
	map_flush(o);
	o->addr = addr;
	o->npages = npages;
	o->flags = flags;
}

static int pwritev_full(int fd, struct iovec *v, size_t n, uint64_t off)
{
	while (n) {
		ssize_t done = pwritev(fd, v, (int)n, (off_t)off);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (!done)
			return -EIO;
		off += (uint64_t)done;
		while (n && (size_t)done >= v->iov_len) {
			done -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n) {
			v->iov_base = (char *)v->iov_base + done;
			v->iov_len -= (size_t)done;
		}
	}
	return 0;
}

int pages_out_write(struct pages_out *o, struct iovec *v, size_t n, uint64_t off, struct err *err)
{
	int ret = 0;

	if (o->list)
		return 0;
	if (!pages_out_ordered(o)) {
		struct iovec copy[BATCH_PAGES];

		memcpy(copy, v, n * sizeof(*v));
		ret = pwritev_full(o->fd, copy, n, off);
		return ret ? err_set(err, ERR_FAILED, -ret, "cannot write memory to the images") : 0;
	}
	for (size_t i = 0; i < n && !ret; i++)
		ret = o->sending ? image_store_send(o->d->store, v[i].iov_base, v[i].iov_len, err) :
				   frames_writer_put(o->frames, v[i].iov_base, v[i].iov_len, err);
	return ret;
}

void pages_sum(struct sums_part *part, const struct iovec *v, size_t n, uint64_t off)
{
	sums_part_start(part, off);
	for (size_t i = 0; i < n; i++) {
		sums_part_add(part, off, v[i].iov_base, v[i].iov_len);
		off += v[i].iov_len;
	}
}

int pages_out_close(struct pages_out *o, struct err *err)
{
	int ret = 0;

	if (!o->sending)
		map_flush(o);
	if (o->list)
		return 0;
	if (o->frames)
		ret = frames_writer_end(o->frames, NULL, err);
	if (!o->off)
		sums_add(&o->sums, 0, "", 0);
	if (!ret)
		image_store_raw_done(o->d->store, IMG_PAGES, o->pages_id, o->off, o->sum ? take_ptr(o->sums.v) : NULL,
				     o->frames != NULL);
	pages_out_drop(o);
	return ret;
}

void pages_out_drop(struct pages_out *o)
{
	frames_writer_free(take_ptr(o->frames));
	sums_release(&o->sums);
}

int pages_send(struct dump *d, struct err *err)
{
	uint64_t start = now_ns();
	int ret = 0;

	/* A reader needs shared memory before the tasks that map it. */
	for (size_t i = 0; d->sets && i < d->sets->n && !ret; i++)
		if (d->sets->v[i].object)
			ret = pages_send_object(d, &d->sets->v[i], err);
	for (size_t i = 0; d->sets && i < d->sets->n && !ret; i++) {
		if (d->sets->v[i].object)
			continue;
		d->task = d->sets->v[i].task;
		ret = pages_send_task(d, &d->sets->v[i], err);
		if (!ret && !d->opts->pre_dump)
			ret = aio_tell(d, err); /* still the same */
		if (ret && ret != -EPIPE)
			err_task(err, d->task->pid, d->task->stat.comm, ret);
	}
	d->task = d->tasks[0];
	if (!ret && d->tracker && d->tracker->sent)
		sent_next(d->tracker->sent, d->sets);
	d->stats.memdump_us = d->stats.memwrite_us += (now_ns() - start) / 1000;
	return ret;
}
