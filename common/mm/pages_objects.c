// SPDX-License-Identifier: GPL-2.0-or-later
/* The content of shared memory, read from its file whoever maps it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/mm/pages_out.h"
#include "common/mm/previous.h"
#include "common/mm/sent.h"
#include "common/mm/track.h"

/* n bytes at from, and zeros up to a whole page. */
static int read_part(int in, uint64_t from, size_t n, unsigned char *buf, struct err *err)
{
	size_t whole = (n + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	int ret = pread_full(in, buf, n, (off_t)from);

	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read");
	memset(buf + n, 0, whole - n);
	return 0;
}

static int put(struct pages_out *out, unsigned char *p, size_t n, struct err *err)
{
	struct iovec v = { p, n };
	int ret = pages_out_write(out, &v, 1, out->off, err);

	if (!ret && out->sum && !out->list)
		sums_add(&out->sums, out->off, p, n);
	out->off += n;
	return ret;
}

/* One range that may hold data: whole pages that are not zero go out. */
static int dump_extent(struct dump *d, struct pages_out *out, struct previous_set *previous, int in, uint64_t from, uint64_t to,
		       unsigned char *buf, struct err *err)
{
	bool parent[BATCH_PAGES] = { false };

	while (from < to) {
		size_t n = (size_t)MIN(to - from, (uint64_t)BATCH_PAGES * PAGE_BYTES);
		size_t whole = (n + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
		int ret = read_part(in, from, n, buf, err);

		if (ret && d->opts->pre_dump) { /* shorter by now: the dump that follows will see */
			memset(buf, 0, whole);
			ret = 0;
		}
		if (!ret)
			ret = previous_compare(previous, from, buf, whole / PAGE_BYTES, parent, err);
		if (ret)
			return ret;
		d->stats.pages_scanned += whole / PAGE_BYTES;
		for (size_t at = 0, end; at < whole; at = end) {
			bool zero = is_zero_page(buf + at), old = parent[at / PAGE_BYTES];

			for (end = at + PAGE_BYTES; end < whole && is_zero_page(buf + end) == zero &&
						    parent[end / PAGE_BYTES] == old;)
				end += PAGE_BYTES;
			if (zero) {
				d->stats.pages_zero += (end - at) / PAGE_BYTES;
				continue;
			}
			if (old) {
				pages_out_map(out, from + at, (end - at) / PAGE_BYTES, PME_PARENT, false);
				d->stats.pages_parent += (end - at) / PAGE_BYTES;
				continue;
			}
			ret = put(out, buf + at, end - at, err);
			if (ret)
				return ret;
			pages_out_map(out, from + at, (end - at) / PAGE_BYTES, PME_PRESENT, false);
			d->stats.pages_written += (end - at) / PAGE_BYTES;
		}
		from += n;
	}
	return 0;
}

static int open_object(const struct mm_object *o, int *in, struct err *err)
{
	*in = openat(o->task->proc_fd, o->link, O_RDONLY | O_CLOEXEC);
	return *in < 0 ? err_sys(err, "cannot open /proc/PID/%s", o->link) : 0;
}

static int dump_extents(struct dump *d, const struct mm_object *o, struct pages_out *out, int in, unsigned char *buf, struct err *err)
{
	struct previous_set *previous;
	uint64_t pos = 0;
	int ret = previous_set_open(d, IMG_SHMEM_PAGEMAP, o->shmid, &previous, err);

	while (!ret) {
		/* Swapped pages count as data too (mm/shmem.c through mapping_seek_hole_data). */
		off_t data = lseek(in, (off_t)pos, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(in, data, SEEK_HOLE);
		if (hole < 0) {
			ret = err_sys(err, "cannot find its content");
			break;
		}
		if ((uint64_t)data >= o->size)
			break;
		pos = (uint64_t)hole;
		ret = dump_extent(d, out, previous, in, (uint64_t)data & ~(PAGE_BYTES - 1), MIN(pos, o->size), buf, err);
	}
	previous_set_close(previous);
	return ret;
}

static int dump_object(struct dump *d, const struct mm_object *o, unsigned char *buf, struct err *err)
{
	cleanup(pages_out_drop) struct pages_out out = { .fd = -1 };
	cleanup_fd int in = -1;
	int ret = open_object(o, &in, err);

	if (ret && d->opts->pre_dump && (ret == -ENOENT || ret == -ESRCH)) {
		*err = (struct err)ERR_INIT; /* gone meanwhile */
		return 0;
	}
	if (!ret)
		ret = pages_out_open(d, &out, IMG_SHMEM_PAGEMAP, o->shmid, o, err);
	if (!ret)
		ret = dump_extents(d, o, &out, in, buf, err);
	return ret ? ret : pages_out_close(&out, err);
}

static int of_object(const struct mm_object *o, int ret, struct err *err)
{
	return err_object(err, ret, "shared memory (inode %lu)", o->ino);
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
	ret = d->opts->pre_dump ? 0 : objects_check(d, err); /* before content is written that nobody needs */
	for (size_t i = 0; i < d->objects->n && !ret; i++)
		if (d->objects->v[i].size)
			ret = of_object(&d->objects->v[i], dump_object(d, &d->objects->v[i], buf, err), err);
	free(buf);
	d->stats.memdump_us = d->stats.memwrite_us += (now_ns() - start) / 1000;
	return ret;
}

int pages_send_object(struct dump *d, struct pages_set *set, struct err *err)
{
	cleanup(pages_out_drop) struct pages_out out = { .fd = -1 };
	const struct mm_object *o = set->object;
	cleanup_free unsigned char *buf = xowned(aligned_alloc(PAGE_BYTES, BATCH_PAGES * PAGE_BYTES));
	cleanup_fd int in = -1;
	size_t sent = 0;
	int ret = open_object(o, &in, err);

	if (ret && d->opts->pre_dump && (ret == -ENOENT || ret == -ESRCH)) /* gone meanwhile: zeros stand for it */
		ret = 0;
	if (!ret)
		ret = pages_out_send(d, &out, set, err);
	for (size_t i = 0; i < set->n && !ret; i++) {
		uint64_t at = set->runs[i].addr, end = at + set->runs[i].npages * PAGE_BYTES;

		while (at < end && !ret) {
			size_t whole = (size_t)MIN(end - at, (uint64_t)BATCH_PAGES * PAGE_BYTES);

			ret = read_part(in, at, (size_t)MIN(whole, o->size - at), buf, err);
			if (ret && d->opts->pre_dump) { /* shorter by now */
				memset(buf, 0, whole);
				*err = (struct err)ERR_INIT;
				ret = 0;
			}
			for (size_t k = 0; set->sums && !ret && k < whole; k += PAGE_BYTES)
				sent_sum(d->tracker->sent, at + k, buf + k, &set->sums[sent++]);
			if (!ret)
				ret = put(&out, buf, whole, err);
			at += whole;
		}
	}
	if (!ret)
		ret = pages_out_close(&out, err);
	return ret ? of_object(o, ret, err) : 0;
}
