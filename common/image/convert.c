/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/image/draft.h"

struct conversion {
	int dirfd;
	const char *name;
	char packed_name[80];
	const struct convert_opts *opts;
	struct convert_result *res;
	struct image_file plain, packed;
	struct draft draft;
	struct stat st; /* of the file that is there */
};

static void close_all(struct conversion *c)
{
	image_file_close(&c->plain);
	image_file_close(&c->packed);
	draft_drop(&c->draft);
}

static void progress(void *arg, uint64_t done)
{
	struct conversion *c = arg;

	c->opts->progress(c->opts->arg, c->name, done, c->plain.size);
}

/* A file of exactly this name, no link: what is replaced must be what was read. */
static int open_here(struct conversion *c, const char *name, struct image_file *f, bool plain, struct err *err)
{
	int fd = openat(c->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return errno == ENOENT ? 0 :
		       errno == ELOOP  ? err_set(err, ERR_FAILED, ELOOP, "a symbolic link is not replaced") :
					 err_sys(err, "cannot open");
	if (!plain)
		return image_file_take(fd, f, err);
	*f = (struct image_file){ .fd = fd };
	if (fstat(fd, &c->st) < 0)
		return err_sys(err, "fstat");
	if (!S_ISREG(c->st.st_mode))
		return err_image(err, "is not a regular file");
	f->size = f->stored = (uint64_t)c->st.st_size;
	return 0;
}

static int open_both(struct conversion *c, struct err *err)
{
	int ret = open_here(c, c->name, &c->plain, true, err), fd;

	if (!ret)
		ret = open_here(c, c->packed_name, &c->packed, false, err);
	if (ret || c->plain.fd >= 0)
		return ret;
	if (c->packed.fd < 0)
		return err_set(err, ERR_IMAGE, ENOENT, "the image is missing");
	/* The descriptor may be that of a copy in memory by now: the file's own attributes come from its name. */
	fd = openat(c->dirfd, c->packed_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &c->st) < 0)
		ret = err_sys(err, "fstat");
	if (fd >= 0)
		close(fd);
	return ret;
}

static int compare(struct conversion *c, const struct image_file *a, const struct image_file *b, bool *same, struct err *err)
{
	uint64_t at;
	int ret = image_file_same(a, b, c->opts->threads, &at, err);

	*same = ret > 0;
	return MIN(ret, 0);
}

/* A run that was killed has left both forms, which are the same then. Takes the one away that is not wanted. */
static int settle(struct conversion *c, const char *unwanted, struct err *err)
{
	bool same;
	int ret = compare(c, &c->plain, &c->packed, &same, err);

	if (ret)
		return ret;
	if (!same)
		return err_hint(err, err_image(err, "%s and %s differ", c->name, c->packed_name),
				"remove the one that does not belong to this checkpoint");
	if (unlinkat(c->dirfd, unwanted, 0) < 0)
		return err_sys(err, "cannot remove %s", unwanted);
	c->res->changed = true;
	c->res->plain = c->plain.size;
	c->res->packed = c->packed.stored;
	return 0;
}

/* The draft is written: proves it, names it, and takes the old form away. */
static int replace(struct conversion *c, const struct image_file *old, const char *old_name, const char *new_name,
		   struct err *err)
{
	cleanup_image_file struct image_file new = IMAGE_FILE_INIT;
	struct stat now;
	bool same;
	int ret = 0, fd;

	if (fsync(c->draft.fd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write");
	fd = fcntl(c->draft.fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_sys(err, "dup");
	if (new_name == c->packed_name)
		ret = image_file_take(fd, &new, err);
	else
		new = (struct image_file){ .fd = fd, .size = old->size, .stored = old->size };
	if (!ret)
		ret = compare(c, old, &new, &same, err);
	if (ret)
		return ret;
	if (!same)
		return err_set(err, ERR_FAILED, EIO, "what was written is not what was read");
	if (fstatat(c->dirfd, old_name, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != c->st.st_ino ||
	    now.st_size != c->st.st_size || now.st_mtim.tv_sec != c->st.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != c->st.st_mtim.tv_nsec)
		return err_set(err, ERR_FAILED, EBUSY, "somebody else changes it");
	draft_like(&c->draft, &c->st);
	fault("cr-image:written");
	ret = draft_name(&c->draft, new_name, err);
	if (ret)
		return ret;
	fault("cr-image:named");
	/* The new name is on the disk before the old one goes. */
	if (fsync(c->dirfd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write to the disk");
	if (unlinkat(c->dirfd, old_name, 0) < 0)
		return err_sys(err, "cannot remove %s", old_name);
	c->res->changed = true;
	return 0;
}

static int pack(struct conversion *c, struct err *err)
{
	const struct seekable_opts opts = { .level = c->opts->level, .threads = c->opts->threads,
					    .progress = c->opts->progress ? progress : NULL, .arg = c };
	int ret;

	if (c->packed.fd >= 0 && c->plain.fd >= 0)
		return settle(c, c->name, err);
	if (c->packed.fd >= 0) {
		c->res->plain = c->packed.size;
		c->res->packed = c->packed.stored;
		return 0;
	}
	c->res->plain = c->res->packed = c->plain.size;
	ret = draft_open(&c->draft, c->dirfd, "convert", false, err);
	if (!ret)
		ret = seekable_write(c->plain.fd, c->plain.size, c->draft.fd, &opts, &c->res->packed, err);
	if (ret || (c->res->packed >= c->plain.size && !c->opts->always))
		return ret;
	return replace(c, &c->plain, c->name, c->packed_name, err);
}

static int unpack(struct conversion *c, struct err *err)
{
	int ret;

	if (c->packed.fd >= 0 && c->plain.fd >= 0)
		return settle(c, c->packed_name, err);
	if (c->plain.fd >= 0) {
		c->res->plain = c->res->packed = c->plain.size;
		return 0;
	}
	c->res->plain = c->packed.size;
	c->res->packed = c->packed.stored;
	ret = draft_open(&c->draft, c->dirfd, "convert", false, err);
	if (ret)
		return ret;
	if (c->packed.table) {
		ret = seekable_unpack(c->packed.table, c->draft.fd, c->opts->threads, err);
	} else {
		cleanup_free uint8_t *buf = xmalloc(SEEKABLE_FRAME);

		for (uint64_t off = 0; !ret && off < c->packed.size; off += SEEKABLE_FRAME) {
			size_t n = (size_t)MIN((uint64_t)SEEKABLE_FRAME, c->packed.size - off);

			ret = image_file_pread(&c->packed, buf, n, off, err);
			if (!ret && write_full(c->draft.fd, buf, n))
				ret = err_sys(err, "cannot write");
		}
	}
	return ret ? ret : replace(c, &c->packed, c->packed_name, c->name, err);
}

static int convert(int dirfd, const char *name, const struct convert_opts *opts, struct convert_result *res,
		   int (*f)(struct conversion *c, struct err *err), struct err *err)
{
	cleanup(close_all) struct conversion c = {
		.dirfd = dirfd, .name = name, .opts = opts, .res = res,
		.plain = IMAGE_FILE_INIT, .packed = IMAGE_FILE_INIT, .draft = DRAFT_INIT,
	};
	int ret;

	*res = (struct convert_result){ 0 };
	snprintf(c.packed_name, sizeof(c.packed_name), "%s" IMAGE_ZST, name);
	ret = open_both(&c, err);
	if (!ret)
		ret = f(&c, err);
	return ret ? err_object(err, ret, "%s", name) : 0;
}

int image_compress(int dirfd, const char *name, const struct convert_opts *opts, struct convert_result *res, struct err *err)
{
	return convert(dirfd, name, opts, res, pack, err);
}

int image_decompress(int dirfd, const char *name, const struct convert_opts *opts, struct convert_result *res, struct err *err)
{
	return convert(dirfd, name, opts, res, unpack, err);
}
