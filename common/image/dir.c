// SPDX-License-Identifier: GPL-2.0-or-later
/* Where images are: a directory, or a folder of a stream; and whether they are what its manifest says. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/image/manifest.h"
#include "common/image/source.h"
#include "common/image/tar.h"

struct image_dir {
	int fd; /* -1: it is a stream */
	char *path;
	struct manifest *manifest; /* NULL: there is none */
	struct source *source;
	unsigned round; /* of a stream: which of its folders; 0: none */
	bool borrows;	/* the source is another one's */
};

int image_dir_open_unsealed(const char *path, struct image_dir **dir, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*dir = NULL;
	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open the images directory"), "%s", path);
	*dir = xzalloc(sizeof(**dir));
	**dir = (struct image_dir){ .fd = fd, .path = xstrdup(path) };
	return 0;
}

int image_dir_open(const char *path, struct image_dir **dir, struct err *err)
{
	int ret = image_dir_open_unsealed(path, dir, err);

	if (ret)
		return ret;
	ret = manifest_load((*dir)->fd, &(*dir)->manifest, err);
	if (ret) {
		err_hint(err, ret, "see cr-image check; cr-image seal makes a new one");
		err_object(err, ret, "%s", path);
		image_dir_free(*dir);
		*dir = NULL;
	}
	return ret;
}

int image_dir_stream(int fd, struct image_dir **dir, struct err *err)
{
	struct source *source = NULL;
	int ret = source_open(fd, &source, err);

	*dir = NULL;
	if (ret)
		return err_object(err, ret, "standard input");
	*dir = xzalloc(sizeof(**dir));
	**dir = (struct image_dir){ .fd = -1, .path = xstrdup("the stream"), .source = source };
	return 0;
}

struct image_dir *image_dir_of_source(struct source *source, unsigned round)
{
	struct image_dir *dir = xzalloc(sizeof(*dir));

	*dir = (struct image_dir){ .fd = -1, .source = source, .round = round, .borrows = true };
	dir->path = round ? xasprintf("the stream: " TAR_ROUND "%u", round) : xstrdup("the stream");
	return dir;
}

int image_dir_stream_parent(const struct image_dir *dir, struct image_dir **parent)
{
	unsigned round = source_parent(dir->source, dir->round);

	*parent = round ? image_dir_of_source(dir->source, round) : NULL;
	return round != 0;
}

void image_dir_forget(struct image_dir *dir, const char *name)
{
	if (dir->source)
		source_forget(dir->source, dir->round, name);
}

struct source *image_dir_source(const struct image_dir *dir)
{
	return dir->source;
}

const struct manifest *image_dir_sealed(const struct image_dir *dir)
{
	return dir->manifest;
}

const struct manifest_file *image_dir_manifest(const struct image_dir *dir, enum image_kind kind, unsigned long id)
{
	char name[64];

	image_name(kind, id, name);
	return dir->manifest ? manifest_find(dir->manifest, name) : NULL;
}

void image_dir_free(struct image_dir *dir)
{
	if (!dir)
		return;
	manifest_free(dir->manifest);
	if (!dir->borrows)
		source_free(dir->source);
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->path);
	free(dir);
}

int image_dir_fd(const struct image_dir *dir)
{
	return dir->fd;
}

const char *image_dir_path(const struct image_dir *dir)
{
	return dir->path;
}

/* A content in memory; of one piece, as long as it is small. */
static bool sums_match(const struct manifest_file *want, const uint8_t *content)
{
	cleanup_free uint64_t *sums = want->nsums ? manifest_sums_of(content, (size_t)want->size) : NULL;

	return sums && !memcmp(sums, want->sums, want->nsums * sizeof(*sums));
}

/*
 * What the manifest says about an image: its size, and of all but raw ones (memory pages; their content is left to cr-image check,
 * because reading all of it twice is not cheap) the content too. content: all of it, when it is in memory already.
 */
static int against_manifest(const struct image_dir *dir, enum image_kind kind, const char *name, const struct image_file *f,
			    const uint8_t *content, struct err *err)
{
	const struct manifest_file *want;
	int ret;

	if (!dir->manifest || !manifest_covers(kind))
		return 0;
	want = manifest_find(dir->manifest, name);
	if (f->fd < 0)
		ret = want ? err_image(err, "the image is missing, but the manifest names it") : 0;
	else if (!want)
		ret = err_image(err, "the manifest does not name this image: it is not part of this checkpoint");
	else if (f->size == want->size && !image_kinds[kind].message)
		ret = 0;
	else if (content && f->size == want->size && sums_match(want, content))
		ret = 0;
	else
		ret = manifest_verify(want, f, 1, err);
	return ret ? err_hint(err, ret, "if it was changed on purpose, accept it with cr-image seal") : 0;
}

int image_dir_file(const struct image_dir *dir, const char *name, struct image_file *f, struct err *err)
{
	if (!dir->source)
		return image_file_open(dir->fd, name, f, err);
	source_find(dir->source, dir->round, name, f);
	return 0;
}

int image_dir_image(const struct image_dir *dir, enum image_kind kind, const char *name, size_t most, struct image_file *f,
		    uint8_t **small, struct err *err)
{
	cleanup_free uint8_t *content = NULL;
	int ret = image_dir_file(dir, name, f, err);

	if (!ret && small && f->fd >= 0 && f->size <= most && image_kinds[kind].message) {
		content = xmalloc(MAX((size_t)f->size, (size_t)1));
		ret = image_file_pread(f, content, (size_t)f->size, 0, err);
	}
	if (!ret)
		ret = against_manifest(dir, kind, name, f, content, err);
	if (!ret) {
		if (content)
			*small = take_ptr(content);
		return 0;
	}
	image_file_close(f);
	return err_object(err, ret, "%s/%s", dir->path, name);
}

int image_raw_file(struct image_dir *dir, enum image_kind kind, unsigned long id, struct image_file *f, struct err *err)
{
	char name[64];
	int ret;

	image_name(kind, id, name);
	ret = image_dir_image(dir, kind, name, 0, f, NULL, err);
	if (!ret && f->fd < 0)
		ret = err_object(err, err_set(err, ERR_IMAGE, ENOENT, "the image is missing"), "%s/%s", dir->path, name);
	return ret;
}

int image_raw_size(struct image_dir *dir, enum image_kind kind, unsigned long id, uint64_t *size, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	int ret = image_raw_file(dir, kind, id, &f, err);

	*size = f.size;
	return ret;
}

int image_raw_open(struct image_dir *dir, enum image_kind kind, unsigned long id, int *fd, uint64_t *size,
		   struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	char name[64];
	int ret = image_raw_file(dir, kind, id, &f, err);

	*fd = -1;
	if (ret)
		return ret;
	*size = f.size;
	image_name(kind, id, name);
	ret = image_file_plain(&f, fd, err);
	return ret ? err_object(err, ret, "%s/%s" IMAGE_ZST, dir->path, name) : 0;
}
