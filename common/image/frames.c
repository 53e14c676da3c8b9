/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compressing what comes: the caller fills one buffer of a ring after the other, threads compress them, and who is done waits for
 * its turn to write. A full ring makes the caller wait, so memory is bounded and a slow reader slows all.
 */
#include "common/image/frames.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/seekable.h"
#include "common/image/seekable_table.h"
#include "common/image/threads.h"
#include "common/image/xxh64.h"

#define RING_MAX (2 * IMAGE_THREADS_MAX + 2)

struct slot {
	uint8_t *in, *out;
	size_t n;
};

struct frames_writer {
	int fd, level;
	unsigned threads;
	pthread_t *thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot ring[RING_MAX];
	size_t slots;
	uint64_t filled, taken, written; /* buffers, since the beginning */
	bool closed;
	int ret;
	struct err err;
	size_t have; /* bytes in the one being filled */
	struct seekable_entry *entries;
	size_t n, cap;
	uint64_t bytes;
};

static void fail(struct frames_writer *w, int ret, const struct err *err)
{
	pthread_mutex_lock(&w->lock);
	if (!w->ret) {
		w->ret = ret;
		w->err = *err;
	}
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* Compresses one buffer and writes it when it is its turn. */
static int do_slot(struct frames_writer *w, ZSTD_CCtx *cctx, uint64_t i, size_t cap, struct err *err)
{
	struct slot *s = &w->ring[i % w->slots];
	struct seekable_entry e = { .frame = (uint32_t)s->n, .sum = (uint32_t)xxh64(s->in, s->n, 0) };
	size_t packed = ZSTD_compress2(cctx, s->out, cap, s->in, s->n);
	int ret;

	if (ZSTD_isError(packed))
		return err_set(err, ERR_FAILED, EIO, "zstd: %s", ZSTD_getErrorName(packed));
	e.packed = (uint32_t)packed;
	pthread_mutex_lock(&w->lock);
	while (!w->ret && w->written != i)
		pthread_cond_wait(&w->changed, &w->lock);
	ret = w->ret;
	pthread_mutex_unlock(&w->lock);
	if (ret)
		return 0; /* somebody else's failure */
	ret = write_full(w->fd, s->out, packed);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot write");
	pthread_mutex_lock(&w->lock);
	array_reserve(&w->entries, &w->cap, w->n, sizeof(*w->entries));
	w->entries[w->n++] = e;
	w->bytes += packed;
	w->written++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static bool take(struct frames_writer *w, uint64_t *i)
{
	bool some;

	pthread_mutex_lock(&w->lock);
	while (!w->ret && w->taken == w->filled && !w->closed)
		pthread_cond_wait(&w->changed, &w->lock);
	some = !w->ret && w->taken < w->filled;
	if (some)
		*i = w->taken++;
	pthread_mutex_unlock(&w->lock);
	return some;
}

static void *work(void *arg)
{
	struct frames_writer *w = arg;
	size_t cap = ZSTD_compressBound(SEEKABLE_FRAME);
	ZSTD_CCtx *cctx = xowned(ZSTD_createCCtx());
	struct err err = ERR_INIT;
	uint64_t i;
	int ret = 0;

	/* The checksum lets a plain zstd -d notice damage too. */
	if (ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, w->level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1)))
		ret = err_set(&err, ERR_FAILED, EINVAL, "zstd does not take level %d", w->level);
	while (!ret && take(w, &i))
		ret = do_slot(w, cctx, i, cap, &err);
	if (ret)
		fail(w, ret, &err);
	ZSTD_freeCCtx(cctx);
	return NULL;
}

int frames_writer_new(int fd, int level, unsigned threads, struct frames_writer **out, struct err *err)
{
	struct frames_writer *w = xzalloc(sizeof(*w));

	threads = MIN(MAX(threads, 1u), IMAGE_THREADS_MAX);
	*w = (struct frames_writer){ .fd = fd, .level = level, .slots = 2 * threads + 2, .err = ERR_INIT };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	for (size_t i = 0; i < w->slots; i++)
		w->ring[i] = (struct slot){ xmalloc(SEEKABLE_FRAME), xmalloc(ZSTD_compressBound(SEEKABLE_FRAME)), 0 };
	w->thread = xreallocarray(NULL, threads, sizeof(*w->thread));
	for (; w->threads < threads; w->threads++) {
		int errnum = pthread_create(&w->thread[w->threads], NULL, work, w);

		if (!errnum)
			continue;
		if (w->threads)
			break;
		frames_writer_free(w);
		return err_set(err, ERR_FAILED, errnum, "cannot make a thread to compress");
	}
	*out = w;
	return 0;
}

/* The buffer that is being filled goes to the threads. */
static void give(struct frames_writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->ring[w->filled % w->slots].n = w->have;
	w->filled++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	w->have = 0;
}

/* A buffer to be filled is there. */
static int wait_room(struct frames_writer *w, struct err *err)
{
	int ret;

	pthread_mutex_lock(&w->lock);
	while (!w->ret && w->filled - w->written >= w->slots)
		pthread_cond_wait(&w->changed, &w->lock);
	ret = w->ret;
	if (ret)
		*err = w->err;
	pthread_mutex_unlock(&w->lock);
	return ret;
}

int frames_writer_put(struct frames_writer *w, const void *p, size_t n, struct err *err)
{
	const uint8_t *from = p;

	while (n) {
		size_t part = MIN(n, SEEKABLE_FRAME - w->have);
		int ret = w->have ? 0 : wait_room(w, err);

		if (ret)
			return ret;
		memcpy(w->ring[w->filled % w->slots].in + w->have, from, part);
		w->have += part;
		from += part;
		n -= part;
		if (w->have == SEEKABLE_FRAME)
			give(w);
	}
	return 0;
}

int frames_writer_end(struct frames_writer *w, uint64_t *size, struct err *err)
{
	cleanup_strbuf struct strbuf table = STRBUF_INIT;
	int ret;

	/* Empty content gets a frame too: without one, what is written would be no zstd file to others. */
	if (w->have || !w->filled) {
		ret = wait_room(w, err);
		if (ret)
			return ret;
		give(w);
	}
	pthread_mutex_lock(&w->lock);
	while (!w->ret && w->written < w->filled)
		pthread_cond_wait(&w->changed, &w->lock);
	ret = w->ret;
	if (ret)
		*err = w->err;
	pthread_mutex_unlock(&w->lock);
	if (!ret && w->n <= TABLE_FRAMES_MAX) {
		seekable_table(&table, w->entries, w->n);
		w->bytes += table.len;
		ret = write_full(w->fd, table.s, table.len);
		if (ret)
			ret = err_set(err, ERR_FAILED, -ret, "cannot write");
	}
	if (size)
		*size = w->bytes;
	return ret;
}

void frames_writer_free(struct frames_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->closed = true;
	if (!w->ret && w->written < w->filled)
		w->ret = -ECANCELED; /* given up in the middle */
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->threads; i++)
		pthread_join(w->thread[i], NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	for (size_t i = 0; i < w->slots; i++) {
		free(w->ring[i].in);
		free(w->ring[i].out);
	}
	free(w->thread);
	free(w->entries);
	free(w);
}
