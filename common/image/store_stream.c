/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A checkpoint that goes into a pipe: images in the order of readers, pages as they come, the manifest as the end record. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "common/image/frames.h"
#include "common/image/store_inside.h"
#include "common/image/stream.h"

#define DRAIN_MS 2

int image_store_stream(int fd, int level, unsigned threads, struct image_store **st, struct err *err)
{
	struct image_store *new = store_new();
	int ret = 0;

	new->dirfd = -1;
	new->path = xstrdup("the stream");
	new->tar = xzalloc(sizeof(*new->tar));
	new->tar->fd = fd;
	if (level)
		ret = frames_writer_new(fd, level, threads, &new->frames, err);
	new->tar->frames = new->frames;
	if (ret) {
		image_store_free(new);
		return ret;
	}
	*st = new;
	return 0;
}

struct image_store *image_store_stream_part(struct image_store *of, const char *folder)
{
	struct image_store *new = store_new();

	new->dirfd = -1;
	new->path = xstrdup("the stream");
	new->tar = of->tar;
	new->frames = of->frames;
	new->folder = folder;
	new->borrowed = true;
	return new;
}

bool image_store_is_stream(const struct image_store *st)
{
	return st->tar != NULL;
}

/* The one line that says what became of the reader. */
static int lost(int ret, struct err *err)
{
	if (ret != -EPIPE)
		return ret;
	*err = (struct err)ERR_INIT;
	return err_set(err, ERR_FAILED, EPIPE, "whoever reads the stream has gone away before its end");
}

static int begin(struct image_store *st, struct stored *s, uint64_t size, struct err *err)
{
	struct tar_member m = { .size = size, .mode = IMAGE_MODE, .mtime = time(NULL) };
	char name[80];

	stored_name(s, name);
	snprintf(m.name, sizeof(m.name), "%s%s%s", st->folder ? st->folder : "", st->folder ? "/" : "", name);
	m.last_part = s->raw && !st->folder;
	return lost(tar_begin(st->tar, &m, err), err);
}

static int send_whole(struct image_store *st, struct stored *s, struct err *err)
{
	int ret = begin(st, s, s->bytes.len, err);

	if (!ret)
		ret = lost(tar_put(st->tar, s->bytes.s, s->bytes.len, err), err);
	if (ret)
		return ret;
	s->size = s->bytes.len;
	if (!s->manifest && manifest_covers(s->kind))
		s->sums = manifest_sums_of(s->bytes.s, s->bytes.len);
	s->summed = true;
	s->linked = true;
	strbuf_release(&s->bytes);
	return 0;
}

static int by_rank(const void *va, const void *vb)
{
	const struct stored *a = *(const struct stored *const *)va, *b = *(const struct stored *const *)vb;
	int x = stream_rank(a->kind), y = stream_rank(b->kind);

	if (x != y)
		return x - y;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* Before anything else: a reader knows then that there is an older checkpoint to be kept. */
static int send_link(struct image_store *st, struct err *err)
{
	struct tar_member m = { .mode = 0777, .mtime = time(NULL) };

	if (!st->parent)
		return 0;
	snprintf(m.name, sizeof(m.name), "%s%sparent", st->folder ? st->folder : "", st->folder ? "/" : "");
	snprintf(m.link, sizeof(m.link), "%s", st->parent);
	return lost(tar_begin(st->tar, &m, err), err);
}

int image_store_send_images(struct image_store *st, struct err *err)
{
	int ret = send_link(st, err);

	qsort(st->images, st->n, sizeof(*st->images), by_rank);
	for (size_t i = 0; i < st->n && !ret; i++)
		if (manifest_covers(st->images[i]->kind))
			ret = send_whole(st, st->images[i], err);
	return ret;
}

int image_store_send_raw(struct image_store *st, enum image_kind kind, unsigned long id, uint64_t size, struct err *err)
{
	st->sending = store_get(st, kind, id);
	st->sending->raw = st->sending->linked = true;
	return begin(st, st->sending, size, err);
}

int image_store_send(struct image_store *st, const void *p, size_t n, struct err *err)
{
	return lost(tar_put(st->tar, p, n, err), err);
}

int store_stream_end(struct image_store *st, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < st->n && !ret; i++)
		if (!st->images[i]->linked)
			ret = send_whole(st, st->images[i], err);
	if (!ret)
		ret = send_whole(st, store_append_manifest(st), err);
	if (!ret && !st->folder)
		ret = lost(tar_end(st->tar, err), err);
	if (!ret && !st->folder && st->frames)
		ret = lost(frames_writer_end(st->frames, NULL, err), err);
	st->committed = true; /* there are no files to be taken back */
	return ret;
}

int image_store_drained(struct image_store *st, struct err *err)
{
	const struct timespec pause = { 0, DRAIN_MS * 1000000 };
	struct stat file;

	if (fstat(st->tar->fd, &file) < 0 || !S_ISFIFO(file.st_mode))
		return 0;
	for (;;) {
		struct pollfd p = { .fd = st->tar->fd };
		int left = 0;

		if (ioctl(st->tar->fd, FIONREAD, &left) < 0 || !left)
			return 0;
		if (poll(&p, 1, 0) > 0 && p.revents & POLLERR)
			return lost(-EPIPE, err);
		nanosleep(&pause, NULL);
	}
}

void store_stream_free(struct image_store *st)
{
	if (st->borrowed)
		return;
	frames_writer_free(st->frames);
	free(st->tar);
}
