/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/seekable.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "common/base/io.h"
#include "common/image/image.h"
#include "common/image/seekable_table.h"
#include "common/image/threads.h"
#include "common/image/xxh64.h"

struct seekable {
	int fd;
	size_t n;
	uint64_t *at;	  /* n + 1: where frames start in the file */
	uint64_t *content; /* n + 1: where their content starts */
	uint32_t *sums;	  /* of the content, or NULL */
	size_t frame_max, packed_max;
};

struct seekable_cursor {
	const struct seekable *s;
	ZSTD_DCtx *dctx;
	uint8_t *packed, *frame;
	size_t have; /* index of the frame in memory, n for none */
};

static uint32_t get_word(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

bool zstd_magic(const void *p, size_t n)
{
	uint32_t word = n < 4 ? 0 : get_word(p);

	return word == ZSTD_MAGICNUMBER || (word & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

void seekable_free(struct seekable *s)
{
	if (!s)
		return;
	free(s->at);
	free(s->content);
	free(s->sums);
	free(s);
}

static void freep(struct seekable **s)
{
	seekable_free(*s);
}

uint64_t seekable_size(const struct seekable *s)
{
	return s->content[s->n];
}

/* The entries, in parts: the table of a large file is not small. */
static int read_entries(struct seekable *s, uint64_t from, size_t entry, struct err *err)
{
	enum { PART = 4096 };
	cleanup_free uint8_t *buf = xmalloc(PART * entry);
	uint64_t at = 0, content = 0;

	for (size_t i = 0; i < s->n; i++) {
		const uint8_t *e = buf + i % PART * entry;
		uint32_t packed, frame;

		if (i % PART == 0) {
			int ret = pread_full(s->fd, buf, MIN((size_t)PART, s->n - i) * entry, (off_t)(from + i * entry));

			if (ret)
				return err_set(err, ERR_FAILED, -ret, "cannot read the seek table");
		}
		packed = get_word(e);
		frame = get_word(e + 4);
		if (frame > SEEKABLE_FRAME_MAX || packed > ZSTD_COMPRESSBOUND(SEEKABLE_FRAME_MAX))
			return err_image(err, "frame %zu of the seek table has %u bytes in %u; at most %u are possible", i, frame, packed,
					 SEEKABLE_FRAME_MAX);
		s->at[i] = at;
		s->content[i] = content;
		if (s->sums)
			s->sums[i] = get_word(e + 8);
		at += packed;
		content += frame;
		s->frame_max = MAX(s->frame_max, (size_t)frame);
		s->packed_max = MAX(s->packed_max, (size_t)packed);
	}
	s->at[s->n] = at;
	s->content[s->n] = content;
	if (at + 8 != from)
		return err_image(err, "the frames of the seek table have %llu bytes, the file has %llu before the table",
				 (unsigned long long)at, (unsigned long long)(from - 8));
	if (content > IMAGE_PAYLOAD_MAX)
		return err_image(err, "%llu bytes of content are too many", (unsigned long long)content);
	return 0;
}

int seekable_open(int fd, uint64_t file_size, struct seekable **out, struct err *err)
{
	cleanup(freep) struct seekable *s = NULL;
	uint8_t foot[TABLE_FOOT], head[8];
	uint64_t from, len;
	size_t entry;
	uint32_t n;
	int ret;

	if (file_size < sizeof(head) + sizeof(foot))
		return 0;
	ret = pread_full(fd, foot, sizeof(foot), (off_t)(file_size - sizeof(foot)));
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read");
	if (get_word(foot + 5) != TABLE_MAGIC)
		return 0;
	n = get_word(foot);
	if (foot[4] & 0x7c)
		return err_image(err, "the seek table is of an unknown kind (descriptor 0x%02x)", foot[4]);
	entry = foot[4] & TABLE_SUMS ? 12 : 8;
	len = (uint64_t)n * entry + sizeof(foot);
	if (n > TABLE_FRAMES_MAX || len + sizeof(head) > file_size)
		return err_image(err, "a seek table of %u frames does not fit into %llu bytes", n, (unsigned long long)file_size);
	from = file_size - len;
	ret = pread_full(fd, head, sizeof(head), (off_t)(from - sizeof(head)));
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read");
	if (get_word(head) != TABLE_SKIP || get_word(head + 4) != len)
		return err_image(err, "the seek table does not start where its end says");
	s = xzalloc(sizeof(*s));
	s->fd = fd;
	s->n = n;
	s->at = xreallocarray(NULL, (size_t)n + 1, sizeof(*s->at));
	s->content = xreallocarray(NULL, (size_t)n + 1, sizeof(*s->content));
	if (foot[4] & TABLE_SUMS)
		s->sums = xreallocarray(NULL, (size_t)n + 1, sizeof(*s->sums));
	ret = read_entries(s, from, entry, err);
	if (ret)
		return ret;
	*out = take_ptr(s);
	return 1;
}

struct seekable_cursor *seekable_cursor_new(const struct seekable *s)
{
	struct seekable_cursor *c = xzalloc(sizeof(*c));

	c->s = s;
	c->have = s->n;
	c->dctx = xowned(ZSTD_createDCtx());
	return c;
}

void seekable_cursor_free(struct seekable_cursor *c)
{
	if (!c)
		return;
	ZSTD_freeDCtx(c->dctx);
	free(c->packed);
	free(c->frame);
	free(c);
}

static void cursor_freep(struct seekable_cursor **c)
{
	seekable_cursor_free(*c);
}

/* Content of frame i into to, with its checksums proved. */
static int unpack_frame(struct seekable_cursor *c, size_t i, uint8_t *to, struct err *err)
{
	const struct seekable *s = c->s;
	size_t packed = (size_t)(s->at[i + 1] - s->at[i]), want = (size_t)(s->content[i + 1] - s->content[i]), got;
	int ret;

	if (!c->packed)
		c->packed = xmalloc(s->packed_max + 1);
	ret = pread_full(s->fd, c->packed, packed, (off_t)s->at[i]);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read");
	got = ZSTD_decompressDCtx(c->dctx, to, want, c->packed, packed);
	if (ZSTD_isError(got))
		return err_image(err, "compressed frame %zu, byte %llu: %s", i, (unsigned long long)s->at[i], ZSTD_getErrorName(got));
	if (got != want)
		return err_image(err, "compressed frame %zu, byte %llu: %zu bytes come out, the seek table says %zu", i,
				 (unsigned long long)s->at[i], got, want);
	if (s->sums && (uint32_t)xxh64(to, want, 0) != s->sums[i])
		return err_image(err, "compressed frame %zu, byte %llu: the checksum is wrong", i, (unsigned long long)s->at[i]);
	return 0;
}

/* The frame that holds a byte of the content. */
static size_t find_frame(const struct seekable *s, uint64_t off)
{
	size_t lo = 0, hi = s->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->content[mid] <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

int seekable_pread(struct seekable_cursor *c, void *buf, size_t n, uint64_t off, struct err *err)
{
	const struct seekable *s = c->s;
	uint8_t *to = buf;

	if (off > seekable_size(s) || n > seekable_size(s) - off)
		return err_image(err, "the file is cut short");
	while (n) {
		size_t i = find_frame(s, off), in, part;

		if (i != c->have) {
			int ret;

			if (!c->frame)
				c->frame = xmalloc(s->frame_max + 1);
			c->have = s->n;
			ret = unpack_frame(c, i, c->frame, err);
			if (ret)
				return ret;
			c->have = i;
		}
		in = (size_t)(off - s->content[i]);
		part = MIN(n, (size_t)(s->content[i + 1] - off));
		memcpy(to, c->frame + in, part);
		to += part;
		off += part;
		n -= part;
	}
	return 0;
}

struct unpacking {
	const struct seekable *s;
	int to;
	size_t next;
	bool failed;
};

static int unpack_work(void *arg, struct err *err)
{
	struct unpacking *u = arg;
	cleanup(cursor_freep) struct seekable_cursor *c = seekable_cursor_new(u->s);
	cleanup_free uint8_t *frame = xmalloc(u->s->frame_max + 1);
	int ret = 0;

	while (!ret && !__atomic_load_n(&u->failed, __ATOMIC_RELAXED)) {
		size_t i = __atomic_fetch_add(&u->next, 1, __ATOMIC_RELAXED);

		if (i >= u->s->n)
			return 0;
		ret = unpack_frame(c, i, frame, err);
		if (ret)
			break;
		ret = pwrite_full(u->to, frame, (size_t)(u->s->content[i + 1] - u->s->content[i]), (off_t)u->s->content[i]);
		if (ret)
			ret = err_set(err, ERR_FAILED, -ret, "cannot write what comes out of a compressed image");
	}
	if (ret)
		__atomic_store_n(&u->failed, true, __ATOMIC_RELAXED);
	return ret;
}

int seekable_unpack(const struct seekable *s, int to, unsigned threads, struct err *err)
{
	struct unpacking u = { .s = s, .to = to };

	return image_threads((unsigned)MIN((size_t)threads, s->n), unpack_work, &u, err);
}

int zstd_to_memory(int fd, uint64_t max, uint64_t *size, struct err *err)
{
	size_t in_size = ZSTD_DStreamInSize(), out_size = ZSTD_DStreamOutSize(), more = 0;
	cleanup_free uint8_t *in = xmalloc(in_size), *out = xmalloc(out_size);
	cleanup_fd int mem = memfd_create("image", MFD_CLOEXEC);
	ZSTD_DCtx *dctx = ZSTD_createDCtx();
	uint64_t from = 0;
	int ret = 0;

	*size = 0;
	if (mem < 0 || !dctx)
		ret = err_sys(err, "no memory for a compressed image");
	while (!ret) {
		ssize_t n = pread(fd, in, in_size, (off_t)from);
		ZSTD_inBuffer ib = { in, (size_t)n, 0 };

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ret = err_sys(err, "cannot read");
		if (n <= 0)
			break;
		from += (uint64_t)n;
		while (!ret && ib.pos < ib.size) {
			ZSTD_outBuffer ob = { out, out_size, 0 };

			more = ZSTD_decompressStream(dctx, &ob, &ib);
			if (ZSTD_isError(more))
				ret = err_image(err, "zstd, before byte %llu: %s", (unsigned long long)from, ZSTD_getErrorName(more));
			else if (ob.pos > max - *size)
				ret = err_hint(err, err_image(err, "more than %llu MiB come out of it", (unsigned long long)(max >> 20)),
					       "without a seek table it must fit into memory: compress it with cr-image compress");
			else if (write_full(mem, out, ob.pos))
				ret = err_set(err, ERR_FAILED, ENOMEM, "no memory for a compressed image");
			*size += ob.pos;
		}
	}
	ZSTD_freeDCtx(dctx);
	if (!ret && more)
		ret = err_image(err, "the compressed file is cut short at byte %llu", (unsigned long long)from);
	return ret ? ret : take_fd(&mem);
}
