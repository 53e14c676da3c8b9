/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a checkpoint: all or nothing. Entries stay in memory until the commit, which has three parts: first all
 * contents go into files without (visible) names, where a full disk harms nobody; then the names change, which needs no
 * space to speak of; inventory.img is taken away before the first change and comes back after the last one.
 */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/image.h"

/* Images hold the memory of other people's processes. */
#define IMAGE_MODE 0600
/* From so many files on, one syncfs(2) is cheaper than an fsync(2) for each. */
#define SYNC_EACH_MAX 64
/* Descriptors that the process may need besides the images'. */
#define SPARE_FDS 256

struct stored {
	enum image_kind kind;
	unsigned long id;
	struct strbuf bytes; /* magics and entries; nothing for a raw image */
	bool raw;
	int fd;	      /* content, -1 before and when it has a hidden name and needs no descriptor */
	char *hidden; /* temporary name, NULL for a file without a name */
	bool linked;  /* has its final name */
};

struct image_store {
	int dirfd;
	char *path;
	struct stored **images; /* in order of creation */
	size_t n, cap;
	void *by_key;	     /* tsearch tree of the same */
	struct stored *last; /* entries come in runs */
	uint64_t bytes;
	bool committed;
};

int image_store_open(const char *path, struct image_store **st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_object(err, err_sys(err, "cannot open the images directory"), "%s", path);
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		int ret = err_sys(err, "cannot write into the images directory");

		close(fd);
		return err_object(err, ret, "%s", path);
	}
	*st = xzalloc(sizeof(**st));
	(*st)->dirfd = fd;
	(*st)->path = xstrdup(path);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void add_word(struct strbuf *b, uint32_t v)
{
	const uint8_t le[4] = { v & 0xff, v >> 8 & 0xff, v >> 16 & 0xff, v >> 24 };

	strbuf_add(b, le, 4);
}

static struct stored *get(struct image_store *st, enum image_kind kind, unsigned long id)
{
	const struct image_kind_info *info = &image_kinds[kind];
	struct stored key = { .kind = kind, .id = id }, *new, **found;

	if (st->last && !compare(st->last, &key))
		return st->last;
	found = tfind(&key, &st->by_key, compare);
	if (found)
		return st->last = *found;
	new = xzalloc(sizeof(*new));
	*new = (struct stored){ .kind = kind, .id = id, .fd = -1 };
	if (info->first_magic)
		add_word(&new->bytes, info->first_magic);
	if (info->magic)
		add_word(&new->bytes, info->magic);
	array_reserve(&st->images, &st->cap, st->n, sizeof(*st->images));
	st->images[st->n++] = new;
	if (!tsearch(new, &st->by_key, compare)) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	return st->last = new;
}

void image_store_put(struct image_store *st, enum image_kind kind, unsigned long id, const ProtobufCMessage *msg)
{
	struct stored *s = get(st, kind, id);
	size_t len = protobuf_c_message_get_packed_size(msg), at = s->bytes.len + 4;
	cleanup_free uint8_t *big = NULL;
	uint8_t small[1024], *packed = small;

	if (len > sizeof(small))
		packed = big = xmalloc(len);
	protobuf_c_message_pack(msg, packed);
	add_word(&s->bytes, (uint32_t)len);
	strbuf_add(&s->bytes, packed, len);
	st->bytes += s->bytes.len - (at - 4);
}

void image_store_payload(struct image_store *st, enum image_kind kind, unsigned long id, const void *p, size_t n)
{
	strbuf_add(&get(st, kind, id)->bytes, p, n);
	st->bytes += n;
}

void image_store_touch(struct image_store *st, enum image_kind kind, unsigned long id)
{
	get(st, kind, id);
}

uint64_t image_store_bytes(const struct image_store *st)
{
	return st->bytes;
}

/* A file for an image: without a name where the file system can do that, else under a hidden one. */
static int create(struct image_store *st, struct stored *s, size_t i, bool hide, struct err *err)
{
	cleanup_free char *hidden = NULL;

	if (!hide)
		s->fd = openat(st->dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, IMAGE_MODE);
	if (s->fd >= 0)
		return 0;
	if (!hide && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return err_object(err, err_sys(err, "cannot create a file"), "%s", st->path);
	hidden = xasprintf(".cr-%d-%zu.tmp", getpid(), i);
	unlinkat(st->dirfd, hidden, 0);
	s->fd = openat(st->dirfd, hidden, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, IMAGE_MODE);
	if (s->fd < 0)
		return err_object(err, err_sys(err, "cannot create %s", hidden), "%s", st->path);
	s->hidden = take_ptr(hidden);
	return 0;
}

int image_store_raw(struct image_store *st, enum image_kind kind, unsigned long id, int *fd, struct err *err)
{
	struct stored *s = get(st, kind, id);
	int ret = 0;

	if (s->fd < 0)
		ret = create(st, s, st->n, false, err);
	s->raw = true;
	*fd = s->fd;
	return ret;
}

static int failed(const struct stored *s, int ret, struct err *err)
{
	char name[64];

	image_name(s->kind, s->id, name);
	return err_object(err, ret, "%s", name);
}

/* Names a file: the inverse of unlink for unnamed ones (linkat through /proc), rename for hidden ones. Both replace. */
static int name_it(struct image_store *st, struct stored *s, struct err *err)
{
	char name[64], self[32], temp[96];

	image_name(s->kind, s->id, name);
	if (s->hidden) {
		if (renameat(st->dirfd, s->hidden, st->dirfd, name) < 0)
			return err_sys(err, "cannot rename %s", s->hidden);
		s->linked = true;
		return 0;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd);
	if (!linkat(AT_FDCWD, self, st->dirfd, name, AT_SYMLINK_FOLLOW)) {
		s->linked = true;
		return 0;
	}
	if (errno != EEXIST)
		return err_sys(err, "cannot name the file");
	snprintf(temp, sizeof(temp), ".cr-%d-%s", getpid(), name);
	unlinkat(st->dirfd, temp, 0);
	if (linkat(AT_FDCWD, self, st->dirfd, temp, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(err, "cannot name the file");
	if (renameat(st->dirfd, temp, st->dirfd, name) < 0) {
		int ret = err_sys(err, "cannot replace the old file");

		unlinkat(st->dirfd, temp, 0);
		return ret;
	}
	s->linked = true;
	return 0;
}

/* Whether all files can be open at once, which unnamed ones must. Raises the soft limit for it; *was gets the old one. */
static bool make_room(size_t n, struct rlimit *was)
{
	struct rlimit want;

	if (getrlimit(RLIMIT_NOFILE, was) < 0)
		return false;
	want = (struct rlimit){ n + SPARE_FDS, was->rlim_max };
	return want.rlim_cur <= was->rlim_cur || !setrlimit(RLIMIT_NOFILE, &want);
}

/* Part one of a commit: contents. Files that are too many to stay open get hidden names and are closed. */
static int write_all(struct image_store *st, bool hide, struct err *err)
{
	for (size_t i = 0; i < st->n; i++) {
		struct stored *s = st->images[i];
		int ret = 0, errnum;

		if (s->fd < 0)
			ret = create(st, s, i, hide, err);
		if (ret)
			return failed(s, ret, err);
		errnum = fault("image-write");
		if (!errnum && !s->raw)
			errnum = -write_full(s->fd, s->bytes.s, s->bytes.len);
		if (!errnum && st->n <= SYNC_EACH_MAX && fsync(s->fd) < 0 && errno != EINVAL)
			errnum = errno;
		if (errnum)
			return failed(s, err_set(err, ERR_FAILED, errnum, "cannot write"), err);
		strbuf_release(&s->bytes);
		if (hide && s->hidden) {
			close(s->fd);
			s->fd = -1;
		}
	}
	if (st->n > SYNC_EACH_MAX && syncfs(st->dirfd) < 0)
		return err_object(err, err_sys(err, "cannot write to the disk"), "%s", st->path);
	return 0;
}

/* Parts two and three: names, and at last the inventory. */
static int name_all(struct image_store *st, struct err *err)
{
	struct stored *inventory = NULL;
	int ret, errnum;

	if (unlinkat(st->dirfd, image_kinds[IMG_INVENTORY].pattern, 0) < 0 && errno != ENOENT)
		return err_object(err, err_sys(err, "cannot replace the old inventory.img"), "%s", st->path);
	for (size_t i = 0; i < st->n; i++) {
		struct stored *s = st->images[i];

		if (s->kind == IMG_INVENTORY) {
			inventory = s;
			continue;
		}
		errnum = fault("image-link");
		ret = errnum ? err_set(err, ERR_FAILED, errnum, "cannot name the file") : name_it(st, s, err);
		if (ret)
			return failed(s, ret, err);
	}
	if (!inventory)
		return 0;
	/* The names of the others reach the disk before the one that vouches for them. */
	if (fsync(st->dirfd) < 0 && errno != EINVAL)
		return err_object(err, err_sys(err, "cannot write to the disk"), "%s", st->path);
	errnum = fault("image-inventory");
	ret = errnum ? err_set(err, ERR_FAILED, errnum, "cannot name the file") : name_it(st, inventory, err);
	return ret ? failed(inventory, ret, err) : 0;
}

static void undo(struct image_store *st)
{
	char name[64];

	for (size_t i = st->n; i--;) {
		struct stored *s = st->images[i];

		if (s->linked) {
			image_name(s->kind, s->id, name);
			unlinkat(st->dirfd, name, 0);
		} else if (s->hidden) {
			unlinkat(st->dirfd, s->hidden, 0);
		}
	}
}

int image_store_commit(struct image_store *st, struct err *err)
{
	struct rlimit was;
	bool room = make_room(st->n, &was);
	int ret = write_all(st, !room, err);

	if (!ret)
		ret = name_all(st, err);
	if (room)
		setrlimit(RLIMIT_NOFILE, &was);
	if (!ret && fsync(st->dirfd) < 0 && errno != EINVAL)
		ret = err_object(err, err_sys(err, "cannot write to the disk"), "%s", st->path);
	st->committed = !ret;
	return ret;
}

static void keep_node(void *node)
{
}

void image_store_free(struct image_store *st)
{
	if (!st)
		return;
	if (!st->committed)
		undo(st);
	tdestroy(st->by_key, keep_node);
	for (size_t i = 0; i < st->n; i++) {
		struct stored *s = st->images[i];

		if (s->fd >= 0)
			close(s->fd);
		free(s->hidden);
		strbuf_release(&s->bytes);
		free(s);
	}
	free(st->images);
	free(st->path);
	close(st->dirfd);
	free(st);
}
