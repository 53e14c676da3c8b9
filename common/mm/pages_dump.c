// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory content: which pages there are (PAGEMAP_SCAN), and moving them once. Two workers read batches of up to 1 MiB
 * into buffers that stay in the cache, leave out zero pages, take their place in the image in the order of batches,
 * and write side by side. Memory use does not depend on the size of the task.
 *
 * test/bench/raw_memory.c compares the ways. On tmpfs fresh page cache costs more than copying, and mapping the image
 * adds faults to that. vmsplice copies once and is the faster single thread, but nothing could be left out on its
 * way, and the agent would have to stay inside for all that time; a second worker makes up for it where a second
 * processor is free.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/progress.h"
#include "common/mm/cow.h"

enum {
	BATCH_PAGES = 256, /* 1 MiB: two of them fit into the cache of one core */
	TWO_THREADS_FROM = (8 << 20) / PAGE_BYTES,
};

/* One piece of a target range, in one mapping. by_mem: only /proc/PID/mem may read it. cow: is left to the parent. */
struct piece { uint64_t addr; uint32_t npages; bool lazy, anon, by_mem, cow; };

struct batch {
	struct piece pieces[BATCH_PAGES];
	size_t n, npages; /* those to be read */
	uint64_t ticket;
};

/* Everything that the workers share; under lock but for what never changes. */
struct pump {
	pthread_mutex_t lock;
	pthread_cond_t turned;
	struct dump *d;
	struct scan *scan;
	struct cow cow;
	int out;	 /* pages image */
	uint64_t issued, turn; /* tickets: batches taken, batches that have their place */
	uint64_t off;	 /* where the next batch goes */
	int ret;
	struct err *err;
	struct pagemap_out *map;
	uint64_t done_pages;
	struct progress progress;
};

/* ---- the pagemap image: runs are merged while they touch ---- */

struct pagemap_out {
	struct image_store *store;
	enum image_kind kind;
	unsigned long id;
	uint64_t addr, npages;
	uint32_t flags;
};

static void map_flush(struct pagemap_out *o)
{
	PagemapEntry e = PAGEMAP_ENTRY__INIT;

	if (!o->npages)
		return;
	e.vaddr = o->addr;
	e.has_flags = e.has_nr_pages = true;
	e.flags = o->flags;
	e.nr_pages = o->npages;
	image_store_put(o->store, o->kind, o->id, &e.base);
	o->npages = 0;
}

static void map_add(struct pagemap_out *o, uint64_t addr, uint64_t npages, uint32_t flags)
{
	if (o->npages && o->flags == flags && o->addr + o->npages * PAGE_BYTES == addr) {
		o->npages += npages;
		return;
	}
	map_flush(o);
	o->addr = addr;
	o->npages = npages;
	o->flags = flags;
}

static int map_open(struct dump *d, struct pagemap_out *o, enum image_kind kind, unsigned long id, int *pages,
		    struct err *err)
{
	PagemapHead head = PAGEMAP_HEAD__INIT;

	*o = (struct pagemap_out){ .store = d->store, .kind = kind, .id = id };
	head.pages_id = ++d->objects->last_pages_id;
	image_store_put(d->store, kind, id, &head.base);
	return image_store_raw(d->store, IMG_PAGES, head.pages_id, pages, err);
}

/* ---- moving ---- */

/* One aligned page at a time; or-ing whole cache lines lets the compiler use the widest registers it may. */
static bool is_zero_page(const void *page)
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

/* Pages that process_vm_readv refuses (no read permission) or must not touch come through /proc/PID/mem. */
static int read_by_mem(struct pump *p, const struct batch *b, bool all, unsigned char *buf, struct err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct piece *c = &b->pieces[i];
		size_t len = c->cow ? 0 : c->npages * PAGE_BYTES;
		int ret = len && (all || c->by_mem) ? pread_full(p->d->task->fz.mem_fd, buf, len, (off_t)c->addr) : 0;

		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read memory at 0x%lx", c->addr);
		buf += len;
	}
	return 0;
}

static int read_batch(struct pump *p, const struct batch *b, unsigned char *buf, struct err *err)
{
	struct iovec local[BATCH_PAGES], remote[BATCH_PAGES];
	size_t n = 0, plain = 0, at = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct piece *c = &b->pieces[i];
		size_t len = c->npages * PAGE_BYTES;

		if (c->cow)
			continue;
		if (!c->by_mem) {
			remote[n] = (struct iovec){ (void *)(uintptr_t)c->addr, len };
			local[n++] = (struct iovec){ buf + at, len };
			plain += len;
		}
		at += len;
	}
	bool got = !n || process_vm_readv(p->d->task->fz.pid, local, n, remote, n, 0) == (ssize_t)plain;

	return read_by_mem(p, b, !got, buf, err);
}

/* What is left of a batch without its zero pages: iovecs of the buffer. */
struct rest { struct iovec v[BATCH_PAGES]; size_t n, npages; bool keep[BATCH_PAGES]; };

static void sift(const struct batch *b, unsigned char *buf, struct rest *r)
{
	size_t page = 0;

	r->n = r->npages = 0;
	for (size_t i = 0; i < b->n; i++)
		for (uint32_t k = 0; k < b->pieces[i].npages && !b->pieces[i].cow; k++, page++) {
			unsigned char *at = buf + page * PAGE_BYTES;

			r->keep[page] = !b->pieces[i].anon || !is_zero_page(at);
			if (!r->keep[page])
				continue;
			r->npages++;
			if (r->n && (unsigned char *)r->v[r->n - 1].iov_base + r->v[r->n - 1].iov_len == at)
				r->v[r->n - 1].iov_len += PAGE_BYTES;
			else
				r->v[r->n++] = (struct iovec){ at, PAGE_BYTES };
		}
}

static void record(struct pump *p, const struct batch *b, const struct rest *r)
{
	size_t page = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct piece *c = &b->pieces[i];
		uint32_t flags = PME_PRESENT | (c->lazy ? PME_LAZY : 0);

		if (c->cow) {
			map_add(p->map, c->addr, c->npages, PAGES_COW);
			p->d->stats.pages_cow += c->npages;
			continue;
		}
		for (uint32_t k = 0; k < c->npages;) {
			uint32_t from = k;

			if (!r->keep[page + k]) {
				k++;
				continue;
			}
			while (k < c->npages && r->keep[page + k])
				k++;
			map_add(p->map, c->addr + from * PAGE_BYTES, k - from, flags);
		}
		page += c->npages;
	}
	p->d->stats.pages_written += r->npages;
	p->d->stats.pages_zero += b->npages - r->npages;
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

/* Adds a run, cut where pages are the parent's and where they are not: a batch has room for as many pieces as pages. */
static int add_run(struct pump *p, struct batch *b, const struct scan_run *run)
{
	enum cow_page pages[COW_PAGES];
	int ret = cow_compare(&p->cow, run, pages, p->err);

	for (size_t from = 0, to; from < run->npages && !ret; from = to) {
		struct piece *c = b->n ? &b->pieces[b->n - 1] : NULL;

		for (to = from + 1; to < run->npages && pages[to] == pages[from]; to++)
			;
		uint64_t addr = run->addr + from * PAGE_BYTES;
		bool cow = pages[from] == COW_PARENTS;
		if (cow && c && c->cow && c->addr + c->npages * PAGE_BYTES == addr && c->npages < UINT32_MAX / 2) {
			c->npages += (uint32_t)(to - from);
			continue;
		}
		c = &b->pieces[b->n++];
		*c = (struct piece){ .addr = addr, .npages = (uint32_t)(to - from), .cow = cow };
		c->anon = run->vma->status & VS_ANON_PRIVATE && !(run->vma->status & VS_VDSO);
		c->lazy = c->anon && !(run->vma->flags & VM_FLAG_LOCKED);
		c->by_mem = !(run->vma->prot & 1) || pages[from] != COW_OWN;
		b->npages += cow ? 0 : to - from;
	}
	p->d->stats.pages_scanned += run->npages;
	return ret;
}

/* Under lock: the next batch with its ticket. False at the end or after a failure. */
static bool take_batch(struct pump *p, struct batch *b)
{
	b->n = b->npages = 0;
	while (!p->ret && b->npages < BATCH_PAGES && b->n < BATCH_PAGES) {
		struct scan_run run;
		int more = scan_next(p->scan, BATCH_PAGES - MAX(b->npages, b->n), &run, p->err);

		if (more < 0)
			p->ret = more;
		if (more <= 0)
			break;
		p->ret = add_run(p, b, &run);
	}
	if (p->ret || !b->n)
		return false;
	b->ticket = p->issued++;
	return true;
}

static void pump_fail(struct pump *p, int ret, const struct err *err)
{
	if (!p->ret) {
		p->ret = ret;
		*p->err = *err;
	}
	pthread_cond_broadcast(&p->turned);
}

/* Reads, and gives the batch its place once all before it have theirs. Called and left with the lock held. */
static void move_batch(struct pump *p, struct batch *b, unsigned char *buf, struct rest *r)
{
	struct err err = ERR_INIT;
	uint64_t off;
	int ret;

	pthread_mutex_unlock(&p->lock);
	ret = read_batch(p, b, buf, &err);
	if (!ret)
		sift(b, buf, r);
	pthread_mutex_lock(&p->lock);
	if (ret)
		pump_fail(p, ret, &err);
	while (!p->ret && p->turn != b->ticket)
		pthread_cond_wait(&p->turned, &p->lock);
	if (p->ret)
		return;
	record(p, b, r);
	off = p->off;
	p->off += r->npages * PAGE_BYTES;
	p->turn++;
	pthread_cond_broadcast(&p->turned);
	pthread_mutex_unlock(&p->lock);
	ret = pwritev_full(p->out, r->v, r->n, off);
	pthread_mutex_lock(&p->lock);
	if (ret) {
		err_set(&err, ERR_FAILED, -ret, "cannot write memory to the images");
		pump_fail(p, ret, &err);
	}
	p->done_pages += b->npages;
	progress_show(&p->progress, p->done_pages * PAGE_BYTES, 0, "of memory written");
}

static void *pump_work(void *arg)
{
	struct pump *p = arg;
	struct batch *b = xmalloc(sizeof(*b));
	struct rest *r = xmalloc(sizeof(*r));
	unsigned char *buf = aligned_alloc(PAGE_BYTES, BATCH_PAGES * PAGE_BYTES);
	struct err err = ERR_INIT;

	pthread_mutex_lock(&p->lock);
	if (!buf) {
		err_set(&err, ERR_FAILED, ENOMEM, "no memory for a buffer");
		pump_fail(p, -ENOMEM, &err);
	}
	while (take_batch(p, b))
		move_batch(p, b, buf, r);
	pthread_mutex_unlock(&p->lock);
	free(buf);
	free(r);
	free(b);
	return NULL;
}

static int pump_run(struct pump *p, uint64_t expected_pages)
{
	pthread_t second;
	bool two = expected_pages >= TWO_THREADS_FROM;

	progress_start(&p->progress, p->d->opts->progress);
	/* Without a second thread all is done by the first: only slower. */
	if (two && pthread_create(&second, NULL, pump_work, p))
		two = false;
	pump_work(p);
	if (two)
		pthread_join(second, NULL);
	progress_end(&p->progress);
	return p->ret;
}

static int dump_private(struct dump *d, struct scan *scan, struct err *err)
{
	struct pagemap_out map;
	struct pump p = { .d = d, .scan = scan, .err = err, .map = &map };
	uint64_t expected = 0;
	int ret = map_open(d, &map, IMG_PAGEMAP, (unsigned long)d->task->fz.pid, &p.out, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < d->task->maps.n; i++)
		expected += d->task->maps.v[i].rss_kb * 1024 / PAGE_BYTES;
	ret = cow_open(d, &p.cow, err);
	if (ret) {
		cow_close(&p.cow);
		return ret;
	}
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.turned, NULL);
	ret = pump_run(&p, expected);
	pthread_cond_destroy(&p.turned);
	pthread_mutex_destroy(&p.lock);
	cow_close(&p.cow);
	map_flush(&map);
	return ret;
}

/* ---- objects of shared memory ---- */

/* One range that may hold data: whole pages that are not zero go out. */
static int dump_extent(struct dump *d, struct pagemap_out *map, int in, int out, uint64_t *off, uint64_t from,
		       uint64_t to, unsigned char *buf, struct err *err)
{
	while (from < to) {
		size_t n = (size_t)MIN(to - from, (uint64_t)BATCH_PAGES * PAGE_BYTES);
		size_t whole = (n + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
		int ret = pread_full(in, buf, n, (off_t)from);

		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read");
		memset(buf + n, 0, whole - n);
		d->stats.pages_scanned += whole / PAGE_BYTES;
		for (size_t at = 0, end; at < whole; at = end) {
			bool zero = is_zero_page(buf + at);

			for (end = at + PAGE_BYTES; end < whole && is_zero_page(buf + end) == zero;)
				end += PAGE_BYTES;
			if (zero) {
				d->stats.pages_zero += (end - at) / PAGE_BYTES;
				continue;
			}
			ret = pwrite_full(out, buf + at, end - at, (off_t)*off);
			if (ret)
				return err_set(err, ERR_FAILED, -ret, "cannot write memory to the images");
			map_add(map, from + at, (end - at) / PAGE_BYTES, PME_PRESENT);
			*off += end - at;
			d->stats.pages_written += (end - at) / PAGE_BYTES;
		}
		from += n;
	}
	return 0;
}

static int dump_object(struct dump *d, const struct mm_object *o, unsigned char *buf, struct err *err)
{
	struct pagemap_out map;
	uint64_t off = 0, pos = 0;
	struct stat st;
	cleanup_fd int in = openat(o->task->proc_fd, o->link, O_RDONLY | O_CLOEXEC);
	int out, ret;

	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(err, "cannot open /proc/PID/%s", o->link);
	ret = map_open(d, &map, IMG_SHMEM_PAGEMAP, o->shmid, &out, err);
	while (!ret) {
		/* Swapped pages count as data too (mm/shmem.c through mapping_seek_hole_data). */
		off_t data = lseek(in, (off_t)pos, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(in, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(err, "cannot find its content");
		if ((uint64_t)data >= o->size)
			break;
		pos = (uint64_t)hole;
		ret = dump_extent(d, &map, in, out, &off, (uint64_t)data & ~(PAGE_BYTES - 1), MIN(pos, o->size), buf,
				  err);
	}
	map_flush(&map);
	return ret;
}

static void took(struct dump *d, uint64_t start_ns)
{
	d->stats.memdump_us = d->stats.memwrite_us += (now_ns() - start_ns) / 1000;
}

int objects_check(struct dump *d, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; d->objects && i < d->objects->n && !ret; i++)
		if (d->objects->v[i].segment)
			ret = dump_note(d, sysv_put(d, &d->objects->v[i], err), err);
	return ret;
}

int objects_dump(struct dump *d, struct err *err)
{
	uint64_t start = now_ns();
	unsigned char *buf = aligned_alloc(PAGE_BYTES, BATCH_PAGES * PAGE_BYTES);
	int ret;

	if (!buf)
		return err_set(err, ERR_FAILED, ENOMEM, "no memory for a buffer");
	ret = objects_check(d, err); /* before content is written that nobody needs */
	for (size_t i = 0; i < d->objects->n && !ret; i++)
		if (d->objects->v[i].size)
			ret = err_object(err, dump_object(d, &d->objects->v[i], buf, err), "shared memory (inode %lu)",
					 d->objects->v[i].ino);
	free(buf);
	took(d, start);
	return ret;
}

/* Guard ranges stand behind all mappings in the image. */
static void put_mm(struct dump *d, const struct scan *scan)
{
	MmEntry *mm = d->task->mm->entry;
	size_t n = 0;

	mm->vmas = arena_alloc(d->arena, (d->task->mm->nvmas + scan->nguards) * sizeof(*mm->vmas));
	memcpy(mm->vmas, d->task->mm->vmas, d->task->mm->nvmas * sizeof(*mm->vmas));
	n = d->task->mm->nvmas;
	for (size_t i = 0; i < scan->nguards; i++) {
		VmaEntry *e = arena_msg(d->arena, VmaEntry, vma_entry__init);

		e->start = scan->guards[i].start;
		e->end = scan->guards[i].end;
		e->fd = -1;
		e->status = VS_GUARD;
		mm->vmas[n++] = e;
	}
	mm->n_vmas = n;
	image_store_put(d->store, IMG_MM, (unsigned long)d->task->fz.pid, &mm->base);
}

int pages_dump(struct dump *d, struct err *err)
{
	cleanup(scan_close) struct scan scan = { 0 };
	uint64_t start = now_ns();
	int ret = aio_settle(d, err);

	if (!ret)
		ret = scan_open(d, &scan, err);
	if (!ret)
		ret = dump_private(d, &scan, err);
	if (!ret)
		put_mm(d, &scan);
	took(d, start);
	return ret;
}
