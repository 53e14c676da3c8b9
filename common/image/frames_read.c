/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unpacking what comes from a pipe. One thread reads it and cuts it into frames; threads unpack frames side by side; the caller
 * takes them in their order. A frame that is too large for that, as a plain `zstd` makes of everything, is unpacked by the reading
 * thread itself, part by part.
 *
 * A writer that must not end before all is taken (cr-dump) looks whether the pipe is empty. So nothing is read beyond the frame that is
 * wanted, and the seek table behind the last one stays where it is until somebody has taken all of that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

#include "common/base/io.h"
#include "common/image/frames.h"
#include "common/image/seekable.h"
#include "common/image/threads.h"

#define FRAME_MAX (1u << 20)  /* of content, and of packed bytes: larger frames go the other way */
#define INPUT (128u << 10)
#define RING_MAX (2 * IMAGE_THREADS_MAX + 2)

enum state { EMPTY, PACKED, BUSY, READY };

struct slot {
	enum state state;
	uint8_t *in, *out;
	size_t nin, nout;
};

struct frames_reader {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t *thread; /* the first one reads */
	unsigned threads;
	struct slot ring[RING_MAX];
	size_t slots;
	uint64_t filled, taken; /* frames, since the beginning */
	bool ended, stop;
	int wake[2];
	int ret;
	struct err err;
	size_t at; /* of the frame that is being taken */
	/* of the reading thread */
	uint8_t *buf;
	size_t have;
	ZSTD_DCtx *dctx;
};

static void fail(struct frames_reader *r, int ret, const struct err *err)
{
	pthread_mutex_lock(&r->lock);
	if (!r->ret) {
		r->ret = ret;
		r->err = *err;
	}
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* The slot that is filled next, once it is empty. NULL: there is no need any more. */
static struct slot *wait_slot(struct frames_reader *r)
{
	struct slot *s = &r->ring[r->filled % r->slots];
	bool ok;

	pthread_mutex_lock(&r->lock);
	while (!r->ret && !r->stop && s->state != EMPTY)
		pthread_cond_wait(&r->changed, &r->lock);
	ok = !r->ret && !r->stop;
	pthread_mutex_unlock(&r->lock);
	return ok ? s : NULL;
}

static void give(struct frames_reader *r, struct slot *s, enum state state)
{
	pthread_mutex_lock(&r->lock);
	s->state = state;
	r->filled++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* More input behind what is there, at most n bytes: 1, 0 at the end of the file. */
static int fill(struct frames_reader *r, size_t most, struct err *err)
{
	struct pollfd p[2] = { { .fd = r->fd, .events = POLLIN }, { .fd = r->wake[0], .events = POLLIN } };
	ssize_t n;

	/* A reader that gives up does not wait for a writer that has stopped. */
	if (poll(p, 2, -1) < 0 && errno != EINTR)
		return err_sys(err, "poll");
	if (p[1].revents)
		return err_set(err, ERR_FAILED, ECANCELED, "given up");
	do
		n = read(r->fd, r->buf + r->have, MIN(most, (size_t)INPUT));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot read the archive");
	r->have += (size_t)n;
	return n > 0;
}

static void consume(struct frames_reader *r, size_t n)
{
	memmove(r->buf, r->buf + n, r->have - n);
	r->have -= n;
}

static int cut_short(struct err *err)
{
	return err_image(err, "the compressed stream is cut short");
}

/* A frame of any size, part by part. */
static int stream_frame(struct frames_reader *r, struct err *err)
{
	size_t left = 1;

	ZSTD_DCtx_reset(r->dctx, ZSTD_reset_session_only);
	while (left) {
		struct slot *s = wait_slot(r);
		ZSTD_inBuffer in = { r->buf, r->have, 0 };
		ZSTD_outBuffer out = { NULL, FRAME_MAX, 0 };

		if (!s)
			return 0;
		out.dst = s->out;
		while (left && in.pos < in.size && out.pos < out.size) {
			left = ZSTD_decompressStream(r->dctx, &out, &in);
			if (ZSTD_isError(left))
				return err_image(err, "zstd: %s", ZSTD_getErrorName(left));
		}
		/* What is in the decoder still, and what it has no room for. */
		consume(r, in.pos);
		s->nout = out.pos;
		if (out.pos)
			give(r, s, READY);
		if (left && !r->have && out.pos < out.size) {
			int more = fill(r, INPUT, err);

			if (more <= 0)
				return more ? more : cut_short(err);
		}
	}
	return 0;
}

/*
 * A frame whose beginning is there (RFC 8878, 3.1.1): *end is how far it goes as far as is known, *known the first block whose header
 * was not looked at. Whether that is all of it; while it is not, at least so many bytes follow.
 */
static bool frame_extent(const uint8_t *b, size_t have, size_t *known, size_t *end)
{
	static const uint8_t dict[] = { 0, 1, 2, 4 }, content[] = { 0, 2, 4, 8 };
	const uint8_t head = b[4];

	if (!*known)
		*known = 5 + !(head & 0x20) + dict[head & 3] + (head >> 6 ? content[head >> 6] : head >> 5 & 1);
	while (have >= *known + 3) {
		const uint32_t block = b[*known] | (uint32_t)b[*known + 1] << 8 | (uint32_t)b[*known + 2] << 16;

		*known += 3 + ((block >> 1 & 3) == 1 ? 1 : block >> 3);
		*end = *known + (head & 4);
		if (block & 1)
			return true;
	}
	*end = *known + 3; /* the header of a block, and there is one */
	return false;
}

/* One frame of those that are small enough: 1 when there was one, 0 when it must go the other way. */
static int whole_frame(struct frames_reader *r, struct err *err)
{
	size_t known = 0, end = 0;
	unsigned long long content = 0;
	struct slot *s;

	for (bool all = false; !all || r->have < end;) {
		int more;

		all = all || frame_extent(r->buf, r->have, &known, &end);
		/* The frame's head is there with the first block's. Unknown sizes are larger than any other. */
		content = known + 3 <= r->have || all ? ZSTD_getFrameContentSize(r->buf, r->have) : 0;
		if (content > FRAME_MAX || end > FRAME_MAX)
			return 0;
		if (r->have >= end)
			continue;
		more = fill(r, end - r->have, err);
		if (more <= 0)
			return more ? more : cut_short(err);
	}
	s = wait_slot(r);
	if (!s)
		return 1;
	memcpy(s->in, r->buf, end);
	s->nin = end;
	s->nout = (size_t)content;
	consume(r, end);
	give(r, s, PACKED);
	return 1;
}

/* Until all frames are taken. False: nobody will take them. */
static bool wait_taken(struct frames_reader *r)
{
	bool ok;

	pthread_mutex_lock(&r->lock);
	while (!r->ret && !r->stop && r->taken != r->filled)
		pthread_cond_wait(&r->changed, &r->lock);
	ok = !r->ret && !r->stop;
	pthread_mutex_unlock(&r->lock);
	return ok;
}

/* Seek tables and other things between frames. */
static int skip_frame(struct frames_reader *r, struct err *err)
{
	uint64_t left = 8 + (r->buf[4] | (uint64_t)r->buf[5] << 8 | (uint64_t)r->buf[6] << 16 | (uint64_t)r->buf[7] << 24);

	if (!wait_taken(r))
		return 0;
	for (;;) {
		size_t n = (size_t)MIN(left, (uint64_t)r->have);
		int more;

		consume(r, n);
		left -= n;
		if (!left)
			return 0;
		more = fill(r, left > INPUT ? INPUT : (size_t)left, err);
		if (more <= 0)
			return more ? more : cut_short(err);
	}
}

static int read_all(struct frames_reader *r, struct err *err)
{
	for (;;) {
		int more = 1;

		pthread_mutex_lock(&r->lock);
		bool stop = r->stop || r->ret;
		pthread_mutex_unlock(&r->lock);
		if (stop)
			return 0;
		while (more > 0 && r->have < 8) /* no frame is shorter */
			more = fill(r, 8 - r->have, err);
		if (more < 0)
			return more;
		if (!more)
			return r->have ? cut_short(err) : 0;
		if (!zstd_magic(r->buf, r->have))
			return err_image(err, "something else than zstd follows in the compressed stream");
		if ((r->buf[0] & 0xf0) == 0x50 && r->buf[1] == 0x2a) {
			more = skip_frame(r, err);
		} else {
			more = whole_frame(r, err);
			if (!more)
				more = stream_frame(r, err);
		}
		if (more < 0)
			return more;
	}
}

static void *read_work(void *arg)
{
	struct frames_reader *r = arg;
	struct err err = ERR_INIT;
	int ret = read_all(r, &err);

	if (ret)
		fail(r, ret, &err);
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* The oldest frame that nobody unpacks yet. */
static struct slot *take_packed(struct frames_reader *r)
{
	struct slot *s = NULL;

	pthread_mutex_lock(&r->lock);
	while (!r->stop && !r->ret) {
		for (uint64_t i = r->taken; i < r->filled && !s; i++)
			if (r->ring[i % r->slots].state == PACKED)
				s = &r->ring[i % r->slots];
		if (s || (r->ended && r->taken == r->filled))
			break;
		pthread_cond_wait(&r->changed, &r->lock);
	}
	if (s)
		s->state = BUSY;
	pthread_mutex_unlock(&r->lock);
	return s;
}

static void *unpack_work(void *arg)
{
	struct frames_reader *r = arg;
	ZSTD_DCtx *dctx = xowned(ZSTD_createDCtx());
	struct slot *s;

	while ((s = take_packed(r))) {
		size_t got = ZSTD_decompressDCtx(dctx, s->out, s->nout, s->in, s->nin);

		if (ZSTD_isError(got) || got != s->nout) {
			struct err err = ERR_INIT;
			int ret = err_image(&err, "zstd: %s",
					    ZSTD_isError(got) ? ZSTD_getErrorName(got) : "a frame is shorter than it says");

			fail(r, ret, &err);
			break;
		}
		pthread_mutex_lock(&r->lock);
		s->state = READY;
		pthread_cond_broadcast(&r->changed);
		pthread_mutex_unlock(&r->lock);
	}
	ZSTD_freeDCtx(dctx);
	return NULL;
}

int frames_reader_new(int fd, const void *head, size_t nhead, unsigned threads, struct frames_reader **out, struct err *err)
{
	struct frames_reader *r = xzalloc(sizeof(*r));

	threads = MIN(MAX(threads, 1u), IMAGE_THREADS_MAX);
	*r = (struct frames_reader){ .fd = fd, .slots = 2 * threads + 2, .err = ERR_INIT, .have = nhead, .wake = { -1, -1 } };
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->buf = xmalloc(FRAME_MAX + 2 * INPUT);
	memcpy(r->buf, head, nhead);
	r->dctx = xowned(ZSTD_createDCtx());
	for (size_t i = 0; i < r->slots; i++) {
		r->ring[i].in = xmalloc(FRAME_MAX);
		r->ring[i].out = xmalloc(FRAME_MAX);
	}
	r->thread = xreallocarray(NULL, threads + 1, sizeof(*r->thread));
	if (pipe2(r->wake, O_CLOEXEC)) {
		int ret = err_sys(err, "pipe");

		frames_reader_free(r);
		return ret;
	}
	for (; r->threads < threads + 1; r->threads++) {
		int errnum = pthread_create(&r->thread[r->threads], NULL, r->threads ? unpack_work : read_work, r);

		if (!errnum)
			continue;
		if (r->threads > 1)
			break;
		frames_reader_free(r);
		return err_set(err, ERR_FAILED, errnum, "cannot make a thread to unpack");
	}
	*out = r;
	return 0;
}

/* The frame whose turn it is: 1, 0 at the end. */
static int wait_frame(struct frames_reader *r, struct slot **s, struct err *err)
{
	int ret;

	*s = &r->ring[r->taken % r->slots];
	pthread_mutex_lock(&r->lock);
	while (!r->ret && !(r->taken < r->filled && (*s)->state == READY) && !(r->ended && r->taken == r->filled))
		pthread_cond_wait(&r->changed, &r->lock);
	ret = r->taken < r->filled && (*s)->state == READY ? 1 : r->ret;
	if (ret < 0)
		*err = r->err;
	pthread_mutex_unlock(&r->lock);
	return ret;
}

static void frame_done(struct frames_reader *r, struct slot *s)
{
	pthread_mutex_lock(&r->lock);
	s->state = EMPTY;
	r->taken++;
	r->at = 0;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

int frames_reader_take(struct frames_reader *r, void *buf, size_t n, struct err *err)
{
	uint8_t *to = buf;

	while (n) {
		struct slot *s;
		int ret = wait_frame(r, &s, err);
		size_t part;

		if (ret <= 0)
			return ret ? ret : cut_short(err);
		part = MIN(n, s->nout - r->at);
		memcpy(to, s->out + r->at, part);
		to += part;
		n -= part;
		r->at += part;
		if (r->at == s->nout)
			frame_done(r, s);
	}
	return 0;
}

int frames_reader_end(struct frames_reader *r, struct err *err)
{
	for (;;) {
		struct slot *s;
		int ret = wait_frame(r, &s, err);

		if (ret <= 0)
			return ret;
		frame_done(r, s);
	}
}

void frames_reader_free(struct frames_reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (r->wake[1] >= 0)
		close(r->wake[1]);
	for (unsigned i = 0; i < r->threads; i++)
		pthread_join(r->thread[i], NULL);
	if (r->wake[0] >= 0)
		close(r->wake[0]);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	for (size_t i = 0; i < r->slots; i++) {
		free(r->ring[i].in);
		free(r->ring[i].out);
	}
	ZSTD_freeDCtx(r->dctx);
	free(r->thread);
	free(r->buf);
	free(r);
}
