/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a checkpoint: all or nothing. Entries stay in memory until the commit, which has three parts: first all
 * contents go into files without (visible) names, where a full disk harms nobody; then the names change, which needs no
 * space to speak of; inventory.img is taken away before the first change and comes back after the last one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/draft.h"
#include "common/image/manifest.h"
#include "common/image/store_inside.h"
#include "common/image/threads.h"

/* From so many files on, one syncfs(2) is cheaper than an fsync(2) for each. */
#define SYNC_EACH_MAX 64
/* From so many files on, two threads have something of each other. */
#define THREADS_FROM 32
/* Descriptors that the process may need besides the images'. */
#define SPARE_FDS 256

struct image_store *store_new(void)
{
	struct image_store *st = xzalloc(sizeof(*st));

	pthread_mutex_init(&st->lock, NULL);
	st->dirfd = -1;
	return st;
}

int image_store_open(const char *path, struct image_store **st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		int ret = err_object(err, err_sys(err, "cannot open the images directory"), "%s", path);
		return ret == -ENOENT ? err_hint(err, ret, "make it first: mkdir %s", path) : ret;
	}
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		int ret = err_sys(err, "cannot write into the images directory");

		close(fd);
		return err_object(err, ret, "%s", path);
	}
	*st = store_new();
	(*st)->dirfd = fd;
	(*st)->path = xstrdup(path);
	return 0;
}

struct image_store *image_store_nowhere(void)
{
	return store_new();
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

struct stored *store_get(struct image_store *st, enum image_kind kind, unsigned long id)
{
	const struct image_kind_info *info = &image_kinds[kind];
	struct stored key = { .kind = kind, .id = id }, *new, **found;

	if (st->last && !compare(st->last, &key))
		return st->last;
	found = tfind(&key, &st->by_key, compare);
	if (found)
		return st->last = *found;
	new = xzalloc(sizeof(*new));
	*new = (struct stored){ .kind = kind, .id = id, .index = st->n, .draft = DRAFT_INIT };
	if (info->first_magic)
		add_word(&new->bytes, info->first_magic);
	if (info->magic)
		add_word(&new->bytes, info->magic);
	array_reserve(&st->images, &st->cap, st->n, sizeof(*st->images));
	st->images[st->n++] = new;
	xowned(tsearch(new, &st->by_key, compare));
	return st->last = new;
}

void image_store_put(struct image_store *st, enum image_kind kind, unsigned long id, const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg), at;
	cleanup_free uint8_t *big = NULL;
	uint8_t small[1024], *packed = small;
	struct stored *s;

	if (len > sizeof(small))
		packed = big = xmalloc(len);
	protobuf_c_message_pack(msg, packed);
	pthread_mutex_lock(&st->lock);
	s = store_get(st, kind, id);
	at = s->bytes.len;
	add_word(&s->bytes, (uint32_t)len);
	strbuf_add(&s->bytes, packed, len);
	st->bytes += s->bytes.len - at;
	pthread_mutex_unlock(&st->lock);
}

void image_store_payload(struct image_store *st, enum image_kind kind, unsigned long id, const void *p, size_t n)
{
	pthread_mutex_lock(&st->lock);
	strbuf_add(&store_get(st, kind, id)->bytes, p, n);
	st->bytes += n;
	pthread_mutex_unlock(&st->lock);
}

void image_store_touch(struct image_store *st, enum image_kind kind, unsigned long id)
{
	pthread_mutex_lock(&st->lock);
	store_get(st, kind, id);
	pthread_mutex_unlock(&st->lock);
}

uint64_t image_store_bytes(const struct image_store *st)
{
	return st->bytes;
}

void stored_name(const struct stored *s, char name[80])
{
	char plain[64];

	image_name(s->manifest ? IMG_INVENTORY : s->kind, s->id, plain);
	snprintf(name, 80, "%s%s", s->manifest ? MANIFEST_NAME : plain, s->packed ? IMAGE_ZST : "");
}

static int create(struct image_store *st, struct stored *s, bool hide, struct err *err)
{
	char tag[64];
	int ret;

	snprintf(tag, sizeof(tag), "%d-%zu", getpid(), s->index);
	ret = draft_open(&s->draft, st->dirfd, tag, hide, err);
	return ret ? err_object(err, ret, "%s", st->path) : 0;
}

void image_store_parent(struct image_store *st, const char *path)
{
	free(st->parent);
	st->parent = xstrdup(path);
}

void image_store_bind(struct image_store *st, const char *run, const struct checkpoint_id *parent)
{
	snprintf(st->self.run, sizeof(st->self.run), "%s", run);
	if (parent)
		st->parent_id = *parent;
}

void image_store_identify(const struct image_store *st, struct checkpoint_id *id)
{
	*id = st->self;
}

void image_store_seal(struct image_store *st, const char *tool, bool sum_raw)
{
	st->tool = tool;
	st->sum_raw = sum_raw;
}

int image_store_raw(struct image_store *st, enum image_kind kind, unsigned long id, int *fd, struct err *err)
{
	struct stored *s;
	int ret = 0;

	pthread_mutex_lock(&st->lock);
	s = store_get(st, kind, id);
	pthread_mutex_unlock(&st->lock);
	if (s->draft.fd < 0)
		ret = create(st, s, false, err);
	s->raw = true;
	*fd = s->draft.fd;
	return ret;
}

void image_store_raw_done(struct image_store *st, enum image_kind kind, unsigned long id, uint64_t size, uint64_t *sums, bool packed)
{
	struct stored *s;

	pthread_mutex_lock(&st->lock);
	s = store_get(st, kind, id);
	pthread_mutex_unlock(&st->lock);
	free(s->sums);
	s->size = size;
	s->sums = sums;
	s->packed = packed;
	s->summed = true;
}

static int failed(const struct stored *s, int ret, struct err *err)
{
	char name[80];

	stored_name(s, name);
	return err_object(err, ret, "%s", name);
}

/* A compressed image of an earlier checkpoint must not stand beside the new one. */
static void drop_compressed(struct image_store *st, const char *name)
{
	char packed[96];

	if (!st->had_compressed)
		return;
	snprintf(packed, sizeof(packed), "%s" IMAGE_ZST, name);
	unlinkat(st->dirfd, packed, 0);
}

static int name_it(struct image_store *st, struct stored *s, struct err *err)
{
	char name[80], plain[64];
	int ret;

	stored_name(s, name);
	if (s->packed) {
		image_name(s->kind, s->id, plain);
		unlinkat(st->dirfd, plain, 0); /* an earlier checkpoint's: it would count before ours */
	}
	ret = draft_name(&s->draft, name, err);
	if (ret)
		return ret;
	s->linked = true;
	if (!s->packed)
		drop_compressed(st, name);
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

static int write_one(struct image_store *st, struct stored *s, bool hide, struct err *err)
{
	int ret = 0, errnum;

	if (s->draft.fd < 0)
		ret = create(st, s, hide, err);
	if (ret)
		return failed(s, ret, err);
	errnum = fault("image-write");
	if (!errnum && !s->raw)
		errnum = -write_full(s->draft.fd, s->bytes.s, s->bytes.len);
	if (!errnum && st->n <= SYNC_EACH_MAX && fsync(s->draft.fd) < 0 && errno != EINVAL)
		errnum = errno;
	return errnum ? failed(s, err_set(err, ERR_FAILED, errnum, "cannot write"), err) : 0;
}

/* What the manifest says of an image. Its file is open. */
static int sum(const struct image_store *st, struct stored *s, struct err *err)
{
	struct image_file f = { .fd = s->draft.fd, .shared = true };
	struct stat file;

	if (s->summed)
		return 0;
	if (s->raw) {
		if (fstat(s->draft.fd, &file) < 0)
			return failed(s, err_sys(err, "fstat"), err);
		s->size = f.size = (uint64_t)file.st_size;
		if (st->sum_raw && manifest_sums(&f, image_threads_default(), &s->sums, err))
			return failed(s, -EIO, err);
	} else {
		s->size = s->bytes.len;
		s->sums = manifest_sums_of(s->bytes.s, s->bytes.len);
	}
	s->summed = true;
	return 0;
}

struct stored *store_append_manifest(struct image_store *st)
{
	cleanup_manifest struct manifest *m = manifest_new(st->tool);
	struct stored *s = xzalloc(sizeof(*s));

	for (size_t i = 0; i < st->n; i++) {
		struct stored *image = st->images[i];
		char name[64];

		if (!manifest_covers(image->kind))
			continue;
		image_name(image->kind, image->id, name);
		manifest_add(m, name, image->size, take_ptr(image->sums));
	}
	*s = (struct stored){ .kind = IMG_KINDS, .index = st->n, .manifest = true, .draft = DRAFT_INIT };
	manifest_sort(m);
	m->self = st->self;
	m->self.has_state = true;
	m->self.state = manifest_state(m);
	m->parent = st->parent_id;
	st->self = m->self;
	manifest_print(m, &s->bytes);
	array_reserve(&st->images, &st->cap, st->n, sizeof(*st->images));
	return st->images[st->n++] = s;
}

/* Images that threads take from each other. */
struct crowd {
	struct image_store *st;
	int (*one)(struct crowd *c, struct stored *s, struct err *err);
	size_t next;
	bool hide, stop;
};

static int work(void *arg, struct err *err)
{
	struct crowd *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		size_t i = __atomic_fetch_add(&c->next, 1, __ATOMIC_RELAXED);
		int ret;

		if (i >= c->st->n)
			break;
		ret = c->one(c, c->st->images[i], err);
		if (!ret)
			continue;
		__atomic_store_n(&c->stop, true, __ATOMIC_RELAXED);
		return ret;
	}
	return 0;
}

static int for_all(struct crowd *c, struct err *err)
{
	int far = c->st->n < THREADS_FROM || c->hide ? -1 : fcntl(c->st->dirfd, F_DUPFD_CLOEXEC, (int)c->st->n + SPARE_FDS / 2);

	/* A table of descriptors that grows while threads share it makes each time wait for a grace period (fs/file.c,
	 * expand_fdtable()): so it grows now. */
	if (far >= 0)
		close(far);
	return image_threads(c->st->n < THREADS_FROM ? 1 : MIN(image_threads_default(), 4u), work, c, err);
}

static int fill(struct crowd *c, struct stored *s, struct err *err)
{
	int ret = write_one(c->st, s, c->hide, err);

	if (!ret && c->st->tool && !s->manifest && manifest_covers(s->kind))
		ret = sum(c->st, s, err);
	if (ret)
		return ret;
	strbuf_release(&s->bytes);
	if (c->hide && s->draft.hidden) {
		close(s->draft.fd);
		s->draft.fd = -1;
	}
	return 0;
}

/* Part one of a commit: contents. Files that are too many to stay open get hidden names and are closed. */
static int write_all(struct image_store *st, bool hide, struct err *err)
{
	struct crowd c = { .st = st, .one = fill, .hide = hide };
	int ret = for_all(&c, err);

	if (!ret && st->tool) {
		store_append_manifest(st);
		ret = fill(&c, st->images[st->n - 1], err);
	}
	if (!ret && st->n > SYNC_EACH_MAX && syncfs(st->dirfd) < 0)
		return err_object(err, err_sys(err, "cannot write to the disk"), "%s", st->path);
	return ret;
}

static bool has_image(struct image_store *st, const char *name)
{
	struct stored key = { 0 };

	key.kind = image_kind_of_name(name, &key.id);
	return tfind(&key, &st->by_key, compare) != NULL;
}

/* The checkpoint that was here: its inventory and manifest go first, so that at no time they vouch for images of another one. Images
 * that only it had would be read as part of the new one, and go too. */
static int retire_old(struct image_store *st, struct err *err)
{
	cleanup_manifest struct manifest *old = NULL;
	struct err ignored = ERR_INIT; /* a damaged manifest names nothing */
	const char *const first[] = { image_kinds[IMG_INVENTORY].pattern, MANIFEST_NAME };

	manifest_load(st->dirfd, &old, &ignored);
	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		if (unlinkat(st->dirfd, first[i], 0) < 0 && errno != ENOENT)
			return err_object(err, err_sys(err, "cannot replace the old %s", first[i]), "%s", st->path);
		drop_compressed(st, first[i]);
	}
	for (size_t i = 0; old && i < old->n; i++) {
		if (has_image(st, old->files[i].name))
			continue;
		unlinkat(st->dirfd, old->files[i].name, 0);
		drop_compressed(st, old->files[i].name);
	}
	return 0;
}

static int look_for_compressed(struct image_store *st, struct err *err)
{
	const size_t zst = strlen(IMAGE_ZST);
	const struct dirent *e;
	DIR *dir;
	int ret = open_listing(st->dirfd, &dir, err);

	if (ret)
		return err_object(err, ret, "%s", st->path);
	while ((e = readdir(dir))) {
		size_t len = strlen(e->d_name);

		st->had_compressed |= len > zst && !strcmp(e->d_name + len - zst, IMAGE_ZST);
	}
	closedir(dir);
	return 0;
}

/* An older checkpoint's link is not ours. A directory of that name stays: nothing of ours made it. */
static int link_parent(struct image_store *st, struct err *err)
{
	unlinkat(st->dirfd, "parent", 0);
	if (!st->parent)
		return 0;
	if (symlinkat(st->parent, st->dirfd, "parent") < 0)
		return err_object(err, err_sys(err, "cannot make the link to the parent checkpoint"), "%s/parent", st->path);
	st->linked_parent = true;
	return 0;
}

static int give_name(struct crowd *c, struct stored *s, struct err *err)
{
	int ret, errnum;

	if (s->kind == IMG_INVENTORY)
		return 0;
	errnum = fault("image-link");
	ret = errnum ? err_set(err, ERR_FAILED, errnum, "cannot name the file") : name_it(c->st, s, err);
	return ret ? failed(s, ret, err) : 0;
}

/* Parts two and three: names, and at last the inventory. */
static int name_all(struct image_store *st, struct err *err)
{
	struct stored key = { .kind = IMG_INVENTORY }, **inventory = tfind(&key, &st->by_key, compare);
	struct crowd c = { .st = st, .one = give_name };
	int ret = look_for_compressed(st, err), errnum;

	if (!ret)
		ret = retire_old(st, err);
	if (!ret)
		ret = link_parent(st, err);
	if (!ret)
		ret = for_all(&c, err);
	if (ret || !inventory)
		return ret;
	/* The names of the others reach the disk before the one that vouches for them. */
	if (fsync(st->dirfd) < 0 && errno != EINVAL)
		return err_object(err, err_sys(err, "cannot write to the disk"), "%s", st->path);
	errnum = fault("image-inventory");
	ret = errnum ? err_set(err, ERR_FAILED, errnum, "cannot name the file") : name_it(st, *inventory, err);
	return ret ? failed(*inventory, ret, err) : 0;
}

static void undo(struct image_store *st)
{
	char name[80];

	if (st->linked_parent)
		unlinkat(st->dirfd, "parent", 0);
	for (size_t i = st->n; i--;) {
		if (!st->images[i]->linked)
			continue; /* gone with its draft */
		stored_name(st->images[i], name);
		unlinkat(st->dirfd, name, 0);
	}
}

void image_store_before_names(struct image_store *st, int (*fn)(void *arg, struct err *err), void *arg)
{
	st->before_names = fn;
	st->before_names_arg = arg;
}

static int before_names(struct image_store *st, struct err *err)
{
	return st->before_names ? st->before_names(st->before_names_arg, err) : 0;
}

int image_store_commit(struct image_store *st, struct err *err)
{
	struct rlimit was;
	bool room;
	int ret;

	if (st->tar) {
		ret = before_names(st, err);
		return ret ? ret : store_stream_end(st, err);
	}
	room = make_room(st->n + 1, &was);
	ret = write_all(st, !room, err);
	if (!ret)
		ret = before_names(st, err);
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

		draft_drop(&s->draft);
		strbuf_release(&s->bytes);
		free(s->sums);
		free(s);
	}
	free(st->images);
	free(st->path);
	free(st->parent);
	pthread_mutex_destroy(&st->lock);
	if (st->dirfd >= 0)
		close(st->dirfd);
	store_stream_free(st);
	free(st);
}
