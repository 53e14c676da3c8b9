/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressing. Each thread takes the next frame of the source; they meet only where a frame gets its place in the file, in the
 * order of the source.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/image.h"
#include "common/image/seekable.h"
#include "common/image/seekable_table.h"
#include "common/image/threads.h"
#include "common/image/xxh64.h"

struct writing {
	const struct seekable_opts *opts;
	int from, to;
	uint64_t size;
	size_t n, next; /* frames; the next one to be taken */
	struct seekable_entry *entries;
	pthread_mutex_t lock;
	pthread_cond_t turned;
	size_t turn;  /* whose place is the next */
	uint64_t off; /* which place that is */
	bool failed;
};

static void fail(struct writing *w)
{
	pthread_mutex_lock(&w->lock);
	w->failed = true;
	pthread_cond_broadcast(&w->turned);
	pthread_mutex_unlock(&w->lock);
}

/* Where frame i goes; false when another thread failed. */
static bool take_place(struct writing *w, size_t i, const struct seekable_entry *e, uint64_t *off)
{
	bool ok;

	pthread_mutex_lock(&w->lock);
	while (!w->failed && w->turn != i)
		pthread_cond_wait(&w->turned, &w->lock);
	ok = !w->failed;
	if (ok) {
		*off = w->off;
		w->off += e->packed;
		w->entries[i] = *e;
		w->turn++;
		if (w->opts->progress)
			w->opts->progress(w->opts->arg, MIN((i + 1) * (uint64_t)SEEKABLE_FRAME, w->size));
		pthread_cond_broadcast(&w->turned);
	}
	pthread_mutex_unlock(&w->lock);
	return ok;
}

static int write_frame(struct writing *w, size_t i, ZSTD_CCtx *cctx, uint8_t *in, uint8_t *out, size_t cap, struct err *err)
{
	uint64_t at = i * (uint64_t)SEEKABLE_FRAME, off;
	struct seekable_entry e = { .frame = (uint32_t)MIN((uint64_t)SEEKABLE_FRAME, w->size - at) };
	int ret = pread_full(w->from, in, e.frame, (off_t)at);
	size_t packed;

	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read");
	packed = ZSTD_compress2(cctx, out, cap, in, e.frame);
	if (ZSTD_isError(packed))
		return err_set(err, ERR_FAILED, EIO, "zstd: %s", ZSTD_getErrorName(packed));
	e.packed = (uint32_t)packed;
	e.sum = (uint32_t)xxh64(in, e.frame, 0);
	if (!take_place(w, i, &e, &off))
		return 0;
	ret = pwrite_full(w->to, out, packed, (off_t)off);
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot write") : 0;
}

static int write_work(void *arg, struct err *err)
{
	struct writing *w = arg;
	size_t cap = ZSTD_compressBound(SEEKABLE_FRAME), i;
	cleanup_free uint8_t *in = xmalloc(SEEKABLE_FRAME), *out = xmalloc(cap);
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	int ret = 0;

	if (!cctx)
		ret = err_set(err, ERR_FAILED, ENOMEM, "no memory for zstd");
	/* The checksum lets a plain zstd -d notice damage too. */
	if (!ret && (ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, w->opts->level)) ||
		     ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1))))
		ret = err_set(err, ERR_FAILED, EINVAL, "zstd does not take level %d", w->opts->level);
	while (!ret && !__atomic_load_n(&w->failed, __ATOMIC_RELAXED)) {
		i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
		if (i >= w->n)
			break;
		ret = write_frame(w, i, cctx, in, out, cap, err);
	}
	ZSTD_freeCCtx(cctx);
	if (ret)
		fail(w);
	return ret;
}

static void add_word(struct strbuf *b, uint32_t v)
{
	const uint8_t le[4] = { v & 0xff, v >> 8 & 0xff, v >> 16 & 0xff, v >> 24 };

	strbuf_add(b, le, 4);
}

void seekable_table(struct strbuf *b, const struct seekable_entry *entries, size_t n)
{
	const uint8_t descriptor = TABLE_SUMS;

	add_word(b, TABLE_SKIP);
	add_word(b, (uint32_t)(n * 12 + TABLE_FOOT));
	for (size_t i = 0; i < n; i++) {
		add_word(b, entries[i].packed);
		add_word(b, entries[i].frame);
		add_word(b, entries[i].sum);
	}
	add_word(b, (uint32_t)n);
	strbuf_add(b, &descriptor, 1);
	add_word(b, TABLE_MAGIC);
}

static int write_table(struct writing *w, uint64_t *out_size, struct err *err)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	int ret;

	seekable_table(&b, w->entries, w->n);
	ret = pwrite_full(w->to, b.s, b.len, (off_t)w->off);
	*out_size = w->off + b.len;
	return ret ? err_set(err, ERR_FAILED, -ret, "cannot write") : 0;
}

int seekable_write(int from, uint64_t size, int to, const struct seekable_opts *opts, uint64_t *out_size, struct err *err)
{
	/* An empty file gets a frame too: without one, what is written would be no zstd file to others. */
	struct writing w = { .opts = opts, .from = from, .to = to, .size = size,
			     .n = (size_t)MAX((size + SEEKABLE_FRAME - 1) / SEEKABLE_FRAME, 1u) };
	int ret;

	if (size > IMAGE_PAYLOAD_MAX)
		return err_set(err, ERR_FAILED, EFBIG, "%llu bytes are too many", (unsigned long long)size);
	w.entries = xreallocarray(NULL, w.n, sizeof(*w.entries));
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.turned, NULL);
	ret = image_threads((unsigned)MIN((size_t)opts->threads, w.n), write_work, &w, err);
	pthread_cond_destroy(&w.turned);
	pthread_mutex_destroy(&w.lock);
	if (!ret)
		ret = write_table(&w, out_size, err);
	free(w.entries);
	return ret;
}
