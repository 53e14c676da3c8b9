// SPDX-License-Identifier: GPL-2.0-or-later
#include "common/image/give.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/image/listing.h"

void give_add(struct give *g, size_t dir, uint32_t pages_id, uint64_t off, uint64_t len)
{
	array_reserve(&g->v, &g->cap, g->n, sizeof(*g->v));
	g->v[g->n++] = (struct hole){ dir, pages_id, off, len };
}

void give_release(struct give *g)
{
	free(g->v);
	*g = (struct give){ 0 };
}

static int by_place(const void *va, const void *vb)
{
	const struct hole *a = va, *b = vb;

	if (a->dir != b->dir)
		return a->dir < b->dir ? -1 : 1;
	if (a->pages_id != b->pages_id)
		return a->pages_id < b->pages_id ? -1 : 1;
	return a->off < b->off ? -1 : a->off > b->off;
}

/* One pages file: its holes, and the sums that it will have. */
struct given_file {
	const struct hole *v;
	size_t n;
	char name[64];
	int fd; /* -1: there is only a compressed one */
	uint64_t *sums; /* NULL: not known before either */
};
struct given_dir {
	struct given_file *files;
	size_t n, cap, dir;
	struct manifest *manifest;
};

/*
 * The pieces with holes must be what the manifest says; what they will be follows without reading them again. The others were not looked
 * at, and keep their sums.
 */
static int verify_file(struct given_file *f, const struct manifest_file *want, struct err *err)
{
	static const uint8_t zeros[SUMS_BLOCK];
	cleanup_free uint8_t *buf = xmalloc(SUMS_PIECE);
	cleanup_free uint64_t *sums = xreallocarray(NULL, want->nsums, sizeof(*sums));
	size_t next = 0;

	memcpy(sums, want->sums, want->nsums * sizeof(*sums));
	for (size_t i = 0; i < want->nsums; i++) {
		uint64_t off = (uint64_t)i * SUMS_PIECE, end = MIN(off + SUMS_PIECE, want->size), is = 0, becomes = 0;

		while (next < f->n && f->v[next].off + f->v[next].len <= off)
			next++;
		if (next == f->n || f->v[next].off >= end)
			continue;
		if (pread_full(f->fd, buf, (size_t)(end - off), (off_t)off))
			return err_sys(err, "cannot read");
		for (uint64_t at = off; at < end; at += SUMS_BLOCK) {
			size_t len = (size_t)MIN(end - at, (uint64_t)SUMS_BLOCK);
			uint64_t sum = xxh64(buf + (at - off), len, at / SUMS_BLOCK);
			bool hole;

			while (next < f->n && f->v[next].off + f->v[next].len <= at)
				next++;
			hole = next < f->n && f->v[next].off <= at;
			is += sum;
			becomes += hole ? xxh64(zeros, len, at / SUMS_BLOCK) : sum;
		}
		if (is != want->sums[i])
			return err_image(err, "the content is not what the manifest says, from byte %llu to %llu",
					 (unsigned long long)off, (unsigned long long)end);
		sums[i] = becomes;
	}
	f->sums = take_ptr(sums);
	return 0;
}

/* One without sums vouches for nothing, but says whom the pages were given to. */
static int make_manifest(int dirfd, struct manifest **out, struct err *err)
{
	cleanup_free struct listed *list = NULL;
	struct manifest *m;
	size_t n;
	int ret = listing_read(dirfd, &list, &n, err);

	if (ret)
		return ret;
	m = *out = manifest_new("cr-utils");
	for (size_t i = 0; i < n && !ret; i++) {
		cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
		char name[64];

		if (!manifest_covers(list[i].kind))
			continue;
		image_name(list[i].kind, list[i].id, name);
		if (strcmp(name, list[i].name) && !faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW))
			continue; /* its other form counts */
		ret = image_file_open(dirfd, name, &f, err);
		if (!ret)
			manifest_add(m, name, f.size, NULL);
	}
	manifest_sort(m);
	return ret;
}

static int prepare(struct given_dir *d, const struct image_dir *dir, struct err *err)
{
	int dirfd = image_dir_fd(dir), ret = manifest_load(dirfd, &d->manifest, err);

	for (size_t i = 0; i < d->n && !ret; i++) {
		struct given_file *f = &d->files[i];
		const struct manifest_file *want = d->manifest ? manifest_find(d->manifest, f->name) : NULL;

		f->fd = openat(dirfd, f->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (f->fd < 0 && errno == ENOENT)
			continue;
		if (f->fd < 0)
			ret = err_sys(err, "cannot open older pages for writing");
		else if (want && want->sums)
			ret = verify_file(f, want, err);
		if (ret)
			err_object(err, ret, "%s", f->name);
	}
	if (!ret && !d->manifest)
		ret = make_manifest(dirfd, &d->manifest, err);
	return ret ? err_object(err, ret, "%s", image_dir_path(dir)) : 0;
}

static int store(struct given_dir *d, int dirfd, bool sums, struct err *err)
{
	for (size_t i = 0; i < d->n; i++)
		for (size_t k = 0; k < d->manifest->n; k++) {
			struct manifest_file *f = &d->manifest->files[k];

			if (d->files[i].fd < 0 || strcmp(f->name, d->files[i].name) != 0)
				continue;
			free(f->sums);
			f->sums = sums ? take_ptr(d->files[i].sums) : NULL;
			f->nsums = f->sums ? sums_pieces(f->size) : 0;
		}
	int ret = manifest_store(dirfd, d->manifest, err);

	if (!ret && fsync(dirfd) < 0 && errno != EINVAL)
		ret = err_sys(err, "cannot write to the disk");
	return ret;
}

/* First what is true in any case, at last what is true when all is done. */
static int punch(struct given_dir *d, const struct image_dir *dir, const char *to, struct err *err)
{
	int dirfd = image_dir_fd(dir), ret;
	bool any = false;

	for (size_t i = 0; i < d->n; i++)
		any |= d->files[i].fd >= 0;
	if (!any)
		return 0;
	manifest_give(d->manifest, to);
	ret = store(d, dirfd, false, err);
	fault("give:noted");
	for (size_t i = 0; i < d->n && !ret; i++)
		for (size_t k = 0; k < d->files[i].n && !ret && d->files[i].fd >= 0; k++) {
			const struct hole *h = &d->files[i].v[k];

			if (fallocate(d->files[i].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)h->off, (off_t)h->len) < 0)
				ret = err_object(err, err_sys(err, "cannot give back the room of older pages"), "%s",
						 d->files[i].name);
		}
	fault("give:given");
	if (!ret)
		ret = store(d, dirfd, true, err);
	return ret ? err_object(err, ret, "%s", image_dir_path(dir)) : 0;
}

static void add_file(struct given_dir *d, const struct hole *v, size_t n)
{
	struct given_file *f;

	array_reserve(&d->files, &d->cap, d->n, sizeof(*d->files));
	f = &d->files[d->n++];
	*f = (struct given_file){ .v = v, .n = n, .fd = -1 };
	image_name(IMG_PAGES, v->pages_id, f->name);
}

int give_back(const struct give *g, const struct chain *c, const char *to, struct err *err)
{
	cleanup_free struct given_dir *dirs = xzalloc(c->n * sizeof(*dirs));
	int ret = 0;

	if (g->n)
		qsort(g->v, g->n, sizeof(*g->v), by_place);
	for (size_t i = 0, k; i < g->n; i = k) {
		for (k = i; k < g->n && g->v[k].dir == g->v[i].dir && g->v[k].pages_id == g->v[i].pages_id; k++)
			;
		add_file(&dirs[g->v[i].dir], &g->v[i], k - i);
	}
	for (size_t i = 0; i < c->n && !ret; i++)
		if (dirs[i].n)
			ret = prepare(&dirs[i], c->dirs[i], err);
	for (size_t i = 0; i < c->n && !ret; i++)
		if (dirs[i].n)
			ret = punch(&dirs[i], c->dirs[i], to, err);
	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < dirs[i].n; k++) {
			if (dirs[i].files[k].fd >= 0)
				close(dirs[i].files[k].fd);
			free(dirs[i].files[k].sums);
		}
		free(dirs[i].files);
		manifest_free(dirs[i].manifest);
	}
	return ret;
}
