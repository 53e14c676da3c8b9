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
#include <sys/uio.h>

#include "common/base/io.h"
#include "common/base/progress.h"
#include "common/mm/cow.h"
#include "common/mm/file_copy.h"
#include "common/mm/pages_crowd.h"
#include "common/mm/pages_out.h"
#include "common/mm/previous.h"
#include "common/mm/sent.h"
#include "common/mm/track.h"

enum { TWO_THREADS_FROM = (8 << 20) / PAGE_BYTES };

/* One piece of a target range, in one mapping. by_mem: only /proc/PID/mem may read it. left: what says where it is left,
 * PAGES_COW: to the parent process, PME_PARENT: to the checkpoint before; then it is not read. file: whose pages it may be equal to. */
struct piece { uint64_t addr; uint32_t npages, left; bool lazy, anon, by_mem; struct copy_source file; };

struct batch {
	struct piece pieces[BATCH_PAGES];
	size_t n, npages; /* those to be read */
	uint64_t ticket;
	uint64_t first; /* of a set that was listed: how many pages of it come before */
	bool lost[BATCH_PAGES]; /* pages that could not be read: the task has unmapped them meanwhile */
};

/* Everything that the workers share; under lock but for what never changes. */
struct pump {
	pthread_mutex_t lock;
	pthread_cond_t turned;
	struct dump *d;
	struct scan *scan; /* where pages come from, or, when they were listed before: */
	struct pages_set *set;
	size_t run;	   /* of the set, the next one, */
	uint32_t run_done; /* and how many of its pages are given out */
	uint64_t given;	   /* of all of them */
	struct cow cow;
	struct file_copies copies;
	bool doubt; /* track_doubted() */
	struct pages_out out;
	struct previous_set *previous; /* of the checkpoint before; NULL: there is none */
	uint64_t issued, turn; /* tickets: batches taken, batches that have their place */
	int ret;
	struct err *err;
	uint64_t done_pages;
	struct progress progress;
};

/* ---- moving ---- */

/*
 * The task runs on, and may have unmapped some of it: the dump that follows will see what is there then. The pages around those
 * are there as before, and nothing will tell the next round to look at them again.
 */
static void read_what_is_there(struct pump *p, const struct piece *c, unsigned char *buf, bool *lost)
{
	for (uint32_t k = 0; k < c->npages; k++, buf += PAGE_BYTES) {
		lost[k] = pread_full(p->d->task->fz.mem_fd, buf, PAGE_BYTES, (off_t)(c->addr + k * PAGE_BYTES)) != 0;
		if (!lost[k])
			continue;
		memset(buf, 0, PAGE_BYTES);
		track_doubt(p->d);
	}
}

/* Pages that process_vm_readv refuses (no read permission) or must not touch come through /proc/PID/mem. */
static int read_by_mem(struct pump *p, struct batch *b, bool all, unsigned char *buf, struct err *err)
{
	size_t page = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct piece *c = &b->pieces[i];
		size_t npages = c->left ? 0 : c->npages, len = npages * PAGE_BYTES;
		unsigned char *at = buf + page * PAGE_BYTES;
		int ret = len && (all || c->by_mem) ? pread_full(p->d->task->fz.mem_fd, at, len, (off_t)c->addr) : 0;

		if (ret && p->d->opts->pre_dump)
			read_what_is_there(p, c, at, b->lost + page);
		else if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read memory at 0x%lx", c->addr);
		page += npages;
	}
	return 0;
}

static int read_batch(struct pump *p, struct batch *b, unsigned char *buf, struct err *err)
{
	struct iovec local[BATCH_PAGES], remote[BATCH_PAGES];
	size_t n = 0, plain = 0, at = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct piece *c = &b->pieces[i];
		size_t len = c->npages * PAGE_BYTES;

		if (c->left)
			continue;
		if (!c->by_mem) {
			remote[n] = (struct iovec){ (void *)(uintptr_t)c->addr, len };
			local[n++] = (struct iovec){ buf + at, len };
			plain += len;
		}
		at += len;
	}
	memset(b->lost, 0, b->npages * sizeof(*b->lost));
	bool got = !n || process_vm_readv(p->d->task->tid, local, n, remote, n, 0) == (ssize_t)plain;

	return read_by_mem(p, b, !got, buf, err);
}

/* What is left of a batch without its zero pages: iovecs of the buffer. */
struct rest {
	struct iovec v[BATCH_PAGES];
	size_t n, npages, nparent, ncopies;
	bool keep[BATCH_PAGES], parent[BATCH_PAGES], copy[BATCH_PAGES];
	uint64_t sums[BATCH_PAGES]; /* of copies */
	unsigned char of_file[COPIES_BUFFER];
};

/* And without those that the checkpoint before has, or a file. */
static int sift(const struct pump *p, const struct batch *b, unsigned char *buf, struct previous_set *previous, struct rest *r,
		struct err *err)
{
	size_t page = 0;

	r->nparent = r->ncopies = 0;
	memset(r->parent, 0, sizeof(r->parent));
	memset(r->copy, 0, sizeof(r->copy));
	for (size_t i = 0; i < b->n; page += b->pieces[i].left ? 0 : b->pieces[i].npages, i++) {
		const struct piece *c = &b->pieces[i];
		unsigned char *at = buf + page * PAGE_BYTES;
		int ret = previous && !c->left ? previous_compare(previous, c->addr, at, c->npages, r->parent + page, err) : 0;

		if (ret)
			return ret;
		if (!p->set && !c->left && c->file.fd >= 0)
			file_copies_compare(&c->file, c->addr, at, c->npages, r->of_file, r->copy + page, r->sums + page);
	}
	page = 0;

	r->n = r->npages = 0;
	for (size_t i = 0; i < b->n; i++)
		for (uint32_t k = 0; k < b->pieces[i].npages && !b->pieces[i].left; k++, page++) {
			unsigned char *at = buf + page * PAGE_BYTES;

			r->parent[page] &= !r->copy[page]; /* as a whole dump has it */
			r->keep[page] = !r->copy[page] && (r->parent[page] || p->set || !b->pieces[i].anon || !is_zero_page(at));
			r->nparent += r->parent[page];
			r->ncopies += r->copy[page];
			if (!r->keep[page] || r->parent[page])
				continue;
			r->npages++;
			if (r->n && (unsigned char *)r->v[r->n - 1].iov_base + r->v[r->n - 1].iov_len == at)
				r->v[r->n - 1].iov_len += PAGE_BYTES;
			else
				r->v[r->n++] = (struct iovec){ at, PAGE_BYTES };
		}
	return 0;
}

static void record(struct pump *p, const struct batch *b, const struct rest *r)
{
	size_t page = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct piece *c = &b->pieces[i];
		uint32_t flags = PME_PRESENT | (c->lazy ? PME_LAZY : 0);

		if (c->left) {
			pages_out_map(&p->out, c->addr, c->npages, c->left, false);
			p->d->stats.pages_cow += c->left == PAGES_COW ? c->npages : 0;
			p->d->stats.pages_parent += c->left == PME_PARENT ? c->npages : 0;
			continue;
		}
		for (uint32_t k = 0; k < c->npages;) {
			uint32_t from = k;

			if (r->copy[page + k])
				file_copies_add(&p->copies, c->file.vma, c->addr + k * PAGE_BYTES, r->sums[page + k]);
			if (!r->keep[page + k]) {
				k++;
				continue;
			}
			while (k < c->npages && r->keep[page + k] && r->parent[page + k] == r->parent[page + from])
				k++;
			pages_out_map(&p->out, c->addr + from * PAGE_BYTES, k - from,
				      r->parent[page + from] ? PME_PARENT : flags, c->by_mem);
		}
		page += c->npages;
	}
	p->d->stats.pages_written += r->npages;
	p->d->stats.pages_parent += r->nparent;
	p->d->stats.pages_file += r->ncopies;
	p->d->stats.pages_zero += b->npages - r->npages - r->nparent - r->ncopies;
}

/* Adds pages of a run that are dumped in the same way: what is left to others makes one piece as long as it goes on. */
static void add_piece(struct batch *b, const struct scan_run *run, struct copy_source file, uint64_t addr, size_t n, uint32_t left,
		      bool shared)
{
	struct piece *c = b->n ? &b->pieces[b->n - 1] : NULL;

	if (left && c && c->left == left && c->addr + c->npages * PAGE_BYTES == addr && c->npages < UINT32_MAX / 2) {
		c->npages += (uint32_t)n;
		return;
	}
	c = &b->pieces[b->n++];
	*c = (struct piece){ .addr = addr, .npages = (uint32_t)n, .left = left, .file = file };
	c->anon = run->vma->status & VS_ANON_PRIVATE && !(run->vma->status & VS_VDSO);
	c->lazy = c->anon && !(run->vma->flags & VM_FLAG_LOCKED);
	c->by_mem = !(run->vma->prot & 1) || shared;
	b->npages += left ? 0 : n;
}

/* How many of max pages from addr on the checkpoint before has (*has) or has not. */
static size_t had_before(const struct pump *p, const struct scan_run *run, uint64_t addr, size_t max, bool *has)
{
	*has = false;
	return run->clean ? (size_t)previous_run(p->previous, addr, max, has) : max;
}

/* Adds a run, cut where pages are others' and where they are not: a batch has room for as many pieces as pages. */
static int add_run(struct pump *p, struct batch *b, const struct scan_run *run)
{
	enum cow_page pages[COW_PAGES];
	/* In a mapping of a file, what was left out may have been a copy of a page of it. */
	const bool sure = run->clean && p->previous && !p->doubt && run->vma->status & VS_ANON_PRIVATE;
	const struct copy_source file = file_copies_source(&p->copies, p->scan, run);
	int ret = cow_compare(&p->cow, run, pages, p->err);

	for (size_t from = 0, to; from < run->npages && !ret; from = to) {
		uint64_t addr = run->addr + from * PAGE_BYTES;
		bool has;

		for (to = from + 1; to < run->npages && pages[to] == pages[from]; to++)
			;
		to = from + had_before(p, run, addr, to - from, &has);
		/* Not written since a round that left it out: it was zeros then. */
		if (sure && !has && pages[from] == COW_OWN) {
			p->d->stats.pages_zero += to - from;
			continue;
		}
		add_piece(b, run, file, addr, to - from, pages[from] == COW_PARENTS ? PAGES_COW : has ? PME_PARENT : 0,
			  pages[from] != COW_OWN);
	}
	p->d->stats.pages_scanned += run->npages;
	return ret;
}

/* The next pages of a set that was listed. */
static void take_listed(struct pump *p, struct batch *b)
{
	b->first = p->given;
	while (b->npages < BATCH_PAGES && p->run < p->set->n) {
		const struct pages_run *r = &p->set->runs[p->run];
		uint32_t n = MIN(r->npages - p->run_done, (uint32_t)(BATCH_PAGES - b->npages));

		b->pieces[b->n++] = (struct piece){ .addr = r->addr + p->run_done * PAGE_BYTES, .npages = n, .by_mem = r->by_mem,
						    .file.fd = -1 };
		b->npages += n;
		p->run_done += n;
		if (p->run_done == r->npages) {
			p->run++;
			p->run_done = 0;
		}
	}
	p->given += b->npages;
}

/* Under lock: the next batch with its ticket. False at the end or after a failure. */
static bool take_batch(struct pump *p, struct batch *b)
{
	b->n = b->npages = 0;
	if (p->set && !p->ret)
		take_listed(p, b);
	while (p->scan && !p->ret && b->npages < BATCH_PAGES && b->n < BATCH_PAGES) {
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

/* Writes what is left of a batch, and takes its sums while it is in the cache. Called and left with the lock held. */
static void put_batch(struct pump *p, struct rest *r, uint64_t off)
{
	bool ordered = pages_out_ordered(&p->out);
	struct err err = ERR_INIT;
	struct sums_part part;
	int ret;

	if (!ordered)
		p->turn++;
	pthread_cond_broadcast(&p->turned);
	pthread_mutex_unlock(&p->lock);
	ret = pages_out_write(&p->out, r->v, r->n, off, &err);
	if (ordered) {
		pthread_mutex_lock(&p->lock);
		p->turn++;
		pthread_cond_broadcast(&p->turned);
		pthread_mutex_unlock(&p->lock);
	}
	if (p->out.sum && !p->out.list && !ret)
		pages_sum(&part, r->v, r->n, off);
	pthread_mutex_lock(&p->lock);
	if (ret)
		pump_fail(p, ret, &err);
	else if (p->out.sum && !p->out.list)
		sums_merge(&p->out.sums, &part, off + r->npages * PAGE_BYTES);
}

/* What is sent may have changed since it was listed: it counts as it is now; and not at all where nothing could be read. */
static void sum_batch(const struct pump *p, const struct batch *b, const unsigned char *buf)
{
	struct sent_page *sum = p->set && p->set->sums ? p->set->sums + b->first : NULL;
	const bool *lost = b->lost;

	for (size_t i = 0; sum && i < b->n; i++)
		for (uint32_t k = 0; k < b->pieces[i].npages; k++, buf += PAGE_BYTES, sum++) {
			sent_sum(p->d->tracker->sent, b->pieces[i].addr + k * PAGE_BYTES, buf, sum);
			if (*lost++)
				sum->addr |= SENT_LOST;
		}
}

/* Reads, and gives the batch its place once all before it have theirs. Called and left with the lock held. */
static void move_batch(struct pump *p, struct batch *b, unsigned char *buf, struct previous_set *previous, struct rest *r)
{
	struct err err = ERR_INIT;
	uint64_t off;
	int ret;

	pthread_mutex_unlock(&p->lock);
	ret = read_batch(p, b, buf, &err);
	if (!ret)
		sum_batch(p, b, buf);
	if (!ret)
		ret = sift(p, b, buf, previous, r, &err);
	pthread_mutex_lock(&p->lock);
	if (ret)
		pump_fail(p, ret, &err);
	while (!p->ret && p->turn != b->ticket)
		pthread_cond_wait(&p->turned, &p->lock);
	if (p->ret)
		return;
	if (!p->set)
		record(p, b, r);
	off = p->out.off;
	p->out.off += r->npages * PAGE_BYTES;
	put_batch(p, r, off);
	p->done_pages += b->npages;
	progress_show(&p->progress, p->done_pages * PAGE_BYTES, 0, p->out.list ? "of memory looked at" : "of memory written");
}

/* What a worker needs. The pages that it touched stay with us for the next task. */
struct desk { struct batch b; struct rest r; unsigned char *buf; };

static void work_at(struct pump *p, struct desk *desk)
{
	struct previous_set *previous = previous_set_share(p->previous);

	pthread_mutex_lock(&p->lock);
	while (take_batch(p, &desk->b))
		move_batch(p, &desk->b, desk->buf, previous, &desk->r);
	pthread_mutex_unlock(&p->lock);
	previous_set_close(previous);
}

static void *second_worker(void *pump)
{
	struct desk *desk = xmalloc(sizeof(*desk));

	desk->buf = aligned_alloc(PAGE_BYTES, BATCH_PAGES * PAGE_BYTES);
	if (desk->buf) /* else the first one does it all */
		work_at(pump, desk);
	free(desk->buf);
	free(desk);
	return NULL;
}

static struct desk *first_desk(struct dump *d)
{
	static const char key;
	bool fresh;
	struct desk *desk = dump_recall(d, &key, sizeof(*desk), &fresh);

	if (fresh) {
		unsigned char *room = arena_alloc(d->arena, (BATCH_PAGES + 1) * PAGE_BYTES);

		desk->buf = room + (-(uintptr_t)room & (PAGE_BYTES - 1));
	}
	return desk;
}

void pump_help(struct pump *p, struct dump *d)
{
	work_at(p, first_desk(d));
}

static int pump_run(struct pump *p, uint64_t expected_pages)
{
	const struct worker *w = p->d->worker;
	pthread_t second;
	bool two = expected_pages >= TWO_THREADS_FROM;

	progress_start(&p->progress, p->d->opts->progress && (!w || !w->seat));
	/* Without a second thread all is done by the first: only slower. */
	if (two && w)
		crowd_offer(w, p);
	else if (two && pthread_create(&second, NULL, second_worker, p))
		two = false;
	work_at(p, first_desk(p->d));
	if (two && w)
		crowd_withdraw(w);
	else if (two)
		pthread_join(second, NULL);
	progress_end(&p->progress);
	return p->ret;
}

static int pump_all(struct pump *p, uint64_t expected_pages)
{
	int ret;

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->turned, NULL);
	ret = pump_run(p, expected_pages);
	pthread_cond_destroy(&p->turned);
	pthread_mutex_destroy(&p->lock);
	if (!ret)
		ret = pages_out_close(&p->out, p->err);
	pages_out_drop(&p->out);
	return ret;
}

static int dump_private(struct dump *d, struct scan *scan, struct err *err)
{
	struct pump p = { .d = d, .scan = scan, .doubt = track_doubted(d), .err = err };
	int ret = cow_open(d, scan->fd, &p.cow, err);

	file_copies_open(d, &p.copies);
	if (!ret)
		ret = previous_set_open(d, IMG_PAGEMAP, (unsigned long)d->task->fz.pid, &p.previous, err);
	if (!ret)
		ret = pages_out_open(d, &p.out, IMG_PAGEMAP, (unsigned long)d->task->fz.pid, NULL, err);
	if (!ret)
		ret = pump_all(&p, d->task->stat.rss);
	if (!ret)
		file_copies_put(&p.copies);
	file_copies_close(&p.copies);
	previous_set_close(p.previous);
	cow_close(&p.cow);
	return ret;
}

int pages_send_task(struct dump *d, struct pages_set *set, struct err *err)
{
	struct pump p = { .d = d, .set = set, .err = err };
	int ret = pages_out_send(d, &p.out, set, err);

	return ret ? ret : pump_all(&p, set->npages);
}

/* A plan of the restore needs the vdso before the pages come. Most tasks have the same one as the root. */
static int put_vdso(struct dump *d, struct err *err)
{
	struct mm_dump *mm = d->task->mm, *root = d->tasks[0]->mm;
	MmEntry *e = mm->entry, *r = root ? root->entry : NULL;

	for (size_t i = 0; i < mm->nvmas; i++) {
		size_t len = mm->vmas[i]->end - mm->vmas[i]->start;
		uint8_t *bytes;
		int ret;

		if (!(mm->vmas[i]->status & VS_VDSO) || len > VDSO_BYTES_MAX)
			continue;
		bytes = arena_alloc(d->arena, len);
		ret = pread_full(d->task->fz.mem_fd, bytes, len, (off_t)mm->vmas[i]->start);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read its vdso");
		if (d->task != d->tasks[0] && r && r->has_vdso && r->vdso.len == len && !memcmp(r->vdso.data, bytes, len))
			continue;
		e->has_vdso = true;
		e->vdso = (ProtobufCBinaryData){ len, bytes };
	}
	return 0;
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

int pages_list(struct dump *d, struct err *err)
{
	int ret;

	if (d->task->vm_shared)
		return 0;
	d->task->scan = xzalloc(sizeof(*d->task->scan));
	ret = scan_open(d, d->task->scan, err);
	return ret ? ret : scan_list(d->task->scan, err);
}

void pages_unlist(struct dump_task *t)
{
	if (t->scan)
		scan_close(t->scan);
	free(take_ptr(t->scan));
}

int pages_dump(struct dump *d, struct err *err)
{
	cleanup(scan_close) struct scan scan = { 0 };
	int ret;

	if (d->task->vm_shared)
		return 0;
	ret = d->opts->pre_dump ? 0 : aio_settle(d, err);
	if (!ret && d->task->scan) { /* listed while it stood still */
		scan = *d->task->scan;
		free(take_ptr(d->task->scan));
	} else if (!ret) {
		ret = scan_open(d, &scan, err);
	}
	if (!ret)
		ret = dump_private(d, &scan, err);
	if (!ret && image_store_is_stream(d->store) && !d->opts->pre_dump)
		ret = put_vdso(d, err);
	if (!ret && image_store_is_stream(d->store) && !d->opts->pre_dump)
		ret = aio_tell(d, err);
	if (!ret && !d->opts->pre_dump)
		put_mm(d, &scan);
	return ret;
}
