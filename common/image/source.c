/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/io.h"
#include "common/image/chain.h"
#include "common/image/frames.h"
#include "common/image/manifest.h"
#include "common/image/tar.h"
#include "common/image/threads.h"

#define PART (256u << 10)
/* What all images together may have that are kept in memory, but for pages. */
#define KEPT_MAX (4ull << 30)

struct kept {
	unsigned round; /* its folder; 0: none */
	char name[64]; /* the plain one */
	bool pages;
	struct image_file file; /* fd -1: it went by */
	uint64_t size;
	uint64_t *sums;
};

struct source {
	struct tar_reader tar;
	struct tar_member at; /* where it stands, if standing */
	bool standing, ended, verified, packed;
	bool ours; /* it has the mark of those that need an end record */
	unsigned long id;
	struct kept *v;
	size_t n, cap;
	uint64_t bytes; /* kept, without pages: in mem */
	int mem;
	struct manifest *manifests[TAR_ROUNDS_MAX + 1]; /* by folder */
	uint8_t parents[TAR_ROUNDS_MAX + 1]; /* folder of the one before; 0: there is none */
	unsigned round, last_round; /* where it stands; the largest that came */
	bool settled[TAR_ROUNDS_MAX + 1];
};

static struct kept *find(const struct source *s, unsigned round, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].round == round && !strcmp(s->v[i].name, name))
			return &s->v[i];
	return NULL;
}

unsigned source_parent(const struct source *s, unsigned round)
{
	return s->parents[round];
}

bool source_find(const struct source *s, unsigned round, const char *name, struct image_file *f)
{
	const struct kept *k = find(s, round, name);

	*f = (struct image_file)IMAGE_FILE_INIT;
	if (!k || k->file.fd < 0)
		return false;
	image_file_share(&k->file, f);
	return true;
}

void source_forget(struct source *s, unsigned round, const char *name)
{
	struct kept *k = find(s, round, name);

	if (k && k->pages)
		image_file_close(&k->file);
}

bool source_more(const struct source *s)
{
	return s->standing;
}

bool source_rounds(const struct source *s)
{
	return s->last_round;
}

int source_keep_rounds(struct source *s, struct err *err)
{
	int ret = 0;

	while (!ret && s->standing && s->last_round)
		ret = source_spool(s, err);
	return ret;
}

static int add(struct source *s, const struct tar_member *m, struct kept **k, struct err *err)
{
	const char *name = m->name;
	unsigned round = (unsigned)tar_round(&name);
	size_t len = strlen(name), zst = strlen(IMAGE_ZST);

	s->packed = len > zst && !strcmp(name + len - zst, IMAGE_ZST);
	if (len - (s->packed ? zst : 0) >= sizeof(s->v->name))
		return err_image(err, "the name is too long");
	array_reserve(&s->v, &s->cap, s->n, sizeof(*s->v));
	*k = &s->v[s->n];
	**k = (struct kept){ .file = IMAGE_FILE_INIT, .round = round };
	memcpy((*k)->name, name, len - (s->packed ? zst : 0));
	if (find(s, round, (*k)->name))
		return err_image(err, "it is there twice");
	s->n++;
	return 0;
}

/* What comes is written into fd; *size of it, and what it has as sums when these are wanted. */
static int copy(struct source *s, int fd, uint64_t limit, struct sums_passing *sums, struct err *err)
{
	cleanup_free uint8_t *buf = xmalloc(PART);
	uint64_t done = 0;

	for (;;) {
		size_t got;
		int ret = tar_read(&s->tar, buf, PART, &got, err);

		if (ret || !got)
			return ret;
		done += got;
		if (done > limit)
			return err_image(err, "more than %llu MiB of images are no memory pages", KEPT_MAX >> 20);
		ret = write_full(fd, buf, got);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "no memory to keep it");
		sums_pass(sums, buf, got);
	}
}

/* Pages get a file in memory of their own, */
static int keep_pages(struct source *s, const struct tar_member *m, struct err *err)
{
	cleanup(sums_pass_drop) struct sums_passing sums = { 0 };
	cleanup_fd int fd = memfd_create("pages", MFD_CLOEXEC);
	struct kept *k;
	int ret;

	if (fd < 0)
		return err_sys(err, "memfd_create");
	ret = add(s, m, &k, err);
	if (!ret)
		ret = copy(s, fd, UINT64_MAX, &sums, err);
	if (ret)
		return ret;
	k->pages = true;
	if (s->packed) {
		ret = image_file_take(take_fd(&fd), &k->file, err);
		if (!ret)
			ret = manifest_sums(&k->file, image_threads_default(), &k->sums, err);
		k->size = k->file.size;
		return ret;
	}
	k->size = sums.size;
	k->file = (struct image_file){ .fd = take_fd(&fd), .size = sums.size, .stored = sums.size };
	k->sums = sums_pass_end(&sums);
	return 0;
}

static int unpack_kept(struct source *s, int from, struct sums_passing *sums, struct err *err)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	cleanup_free uint8_t *buf = xmalloc(PART);
	int ret = image_file_take(from, &f, err);

	for (uint64_t at = 0; !ret && at < f.size; at += PART) {
		size_t n = (size_t)MIN(f.size - at, (uint64_t)PART);

		if (s->bytes + at + n > KEPT_MAX)
			return err_image(err, "more than %llu MiB of images are no memory pages", KEPT_MAX >> 20);
		ret = image_file_pread(&f, buf, n, at, err);
		if (!ret && write_full(s->mem, buf, n))
			ret = err_set(err, ERR_FAILED, ENOMEM, "no memory to keep it");
		sums_pass(sums, buf, n);
	}
	return ret;
}

/* all others have one together, unpacked: there may be many. */
static int keep_image(struct source *s, const struct tar_member *m, struct err *err)
{
	cleanup(sums_pass_drop) struct sums_passing sums = { 0 }, packed = { 0 };
	struct kept *k;
	int ret = add(s, m, &k, err);

	if (!ret && s->mem < 0) {
		s->mem = memfd_create("images", MFD_CLOEXEC);
		ret = s->mem < 0 ? err_sys(err, "memfd_create") : 0;
	}
	if (!ret && s->packed) {
		int fd = memfd_create("image", MFD_CLOEXEC);

		ret = fd < 0 ? err_sys(err, "memfd_create") : copy(s, fd, KEPT_MAX - s->bytes, &packed, err);
		if (!ret)
			ret = unpack_kept(s, fd, &sums, err);
		else if (fd >= 0)
			close(fd);
	} else if (!ret) {
		ret = copy(s, s->mem, KEPT_MAX - s->bytes, &sums, err);
	}
	sums_pass_drop(&packed);
	if (ret)
		return ret;
	k->size = sums.size;
	k->file = (struct image_file){ .fd = s->mem, .base = s->bytes, .size = sums.size, .stored = m->size, .shared = true };
	s->bytes += sums.size;
	k->sums = sums_pass_end(&sums);
	return 0;
}

static int keep_manifest(struct source *s, const struct tar_member *m, struct manifest **manifest, struct err *err)
{
	cleanup_free char *text = NULL;
	size_t at = 0, got = 0, cap = 0;

	if (*manifest)
		return err_image(err, "it is there twice");
	for (;;) {
		int ret;

		array_reserve(&text, &cap, at + PART, 1);
		ret = tar_read(&s->tar, text + at, PART, &got, err);
		if (ret)
			return ret;
		if (!got)
			break;
		at += got;
	}
	return manifest_parse(text, (size_t)m->size, manifest, err);
}

static int keep_link(struct source *s, unsigned round, struct err *err)
{
	cleanup_free char *to = xasprintf("%s/", s->at.link + (strncmp(s->at.link, "../", 3) ? 0 : 3));
	const char *name = to;

	int parent = tar_round(&name);

	if (s->parents[round])
		return err_image(err, "it is there twice");
	/* settle() takes from the older one what the newer one has. */
	for (size_t i = 0; i < ARRAY_SIZE(s->parents); i++)
		if (s->parents[i] == parent)
			return err_image(err, "two checkpoints of the stream need the pages of %s", s->at.link);
	s->parents[round] = (uint8_t)parent;
	return 0;
}

/* Of a file in memory. */
static int forget_part(void *arg, size_t in, const struct chain_set *set, uint64_t off, uint64_t len, struct err *err)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", set->pages[in].fd);
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0)
		return err_sys(err, "cannot give back the room of older pages");
	return 0;
}

/* A folder has come: pages of those before it that it has anew are not kept. Only memory depends on it: what is damaged, others find. */
static void settle(struct source *s, unsigned round)
{
	struct chain c = { .n = 0 };
	struct err err = ERR_INIT;

	if (s->settled[round] || !s->parents[round])
		return;
	s->settled[round] = true;
	if (!chain_open(image_dir_of_source(s, round), &c, false, &err))
		for (size_t i = 0; i < s->n; i++) {
			unsigned long id;
			enum image_kind kind = image_kind_of_name(s->v[i].name, &id);

			err = (struct err)ERR_INIT;
			if (s->v[i].round == round && (kind == IMG_PAGEMAP || kind == IMG_SHMEM_PAGEMAP))
				chain_spare(&c, kind, id, forget_part, NULL, &err);
		}
	chain_close(&c);
}

/* Goes on to the next pages that can wait, or the end. */
static int advance(struct source *s, struct err *err)
{
	s->standing = false;
	while (!s->ended) {
		const char *name = s->at.name; /* each time anew */
		enum image_kind kind;
		unsigned round;
		int ret = tar_next(&s->tar, &s->at, err);

		if (ret < 0)
			return ret;
		if (!ret) {
			s->ended = true;
			for (unsigned i = 0; i <= s->last_round; i++)
				settle(s, i);
			break;
		}
		ret = 0;
		round = (unsigned)tar_round(&name);
		if (round != s->round)
			settle(s, s->round);
		s->round = round;
		kind = image_kind_of_name(name, &s->id);
		s->last_round = MAX(s->last_round, round);
		s->ours |= s->at.last_part;
		if (s->at.link[0]) {
			ret = keep_link(s, round, err);
		} else if (!strcmp(name, MANIFEST_NAME)) {
			ret = keep_manifest(s, &s->at, &s->manifests[round], err);
		} else if (kind == IMG_PAGES && s->at.last_part && !round &&
			   (s->last_round || strcmp(name + strlen(name) - 4, IMAGE_ZST) != 0)) {
			s->standing = true;
			return 0;
		} else if (manifest_covers(kind)) {
			ret = kind == IMG_PAGES ? keep_pages(s, &s->at, err) : keep_image(s, &s->at, err);
		}
		if (ret)
			return err_object(err, ret, "%s", s->at.name);
	}
	return 0;
}

int source_open(int fd, struct source **out, struct err *err)
{
	struct source *s = xzalloc(sizeof(*s));
	int ret;

	s->tar.fd = fd;
	s->mem = -1;
	ret = tar_unpack(&s->tar, err);
	if (!ret)
		ret = advance(s, err);
	if (ret) {
		source_free(s);
		return ret;
	}
	*out = s;
	return 0;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		image_file_close(&s->v[i].file);
		free(s->v[i].sums);
	}
	free(s->v);
	if (s->mem >= 0)
		close(s->mem);
	for (size_t i = 0; i <= s->last_round; i++)
		manifest_free(s->manifests[i]);
	tar_close(&s->tar);
	free(s);
}

int source_next(struct source *s, unsigned long *id, uint64_t *size, struct err *err)
{
	*id = s->id;
	*size = s->at.size;
	return s->standing;
}

int source_read(struct source *s, void *buf, size_t n, struct err *err)
{
	size_t got;
	int ret = tar_read(&s->tar, buf, n, &got, err);

	if (!ret && got != n)
		ret = err_image(err, "it has fewer bytes than its pagemap says");
	return ret ? err_object(err, ret, "%s", s->at.name) : 0;
}

int source_done(struct source *s, uint64_t *sums, struct err *err)
{
	struct kept *k;
	int ret = add(s, &s->at, &k, err);

	if (ret) {
		free(sums);
		return err_object(err, ret, "%s", s->at.name);
	}
	k->pages = true;
	k->size = s->at.size;
	k->sums = sums;
	return advance(s, err);
}

int source_spool(struct source *s, struct err *err)
{
	int ret = keep_pages(s, &s->at, err);

	if (ret)
		return err_object(err, ret, "%s", s->at.name);
	return advance(s, err);
}

/* The images of one folder. */
static int verify(const struct source *s, unsigned round, struct err *err)
{
	const struct manifest *m = s->manifests[round];

	if (m && !round && chain_refuse_given(m, err))
		return -EINVAL;
	if (!m)
		return s->ours ? err_image(err, "the stream has no end record: it is not whole") : 0;
	for (size_t i = 0; i < m->n; i++) {
		const struct manifest_file *want = &m->files[i];
		const struct kept *k = find(s, round, want->name);

		if (!k)
			return err_object(err, err_image(err, "the end record names it, but it is not in the stream"), "%s", want->name);
		if (k->size != want->size)
			return err_object(err, err_image(err, "%llu bytes, but the end record says %llu", (unsigned long long)k->size,
							 (unsigned long long)want->size), "%s", want->name);
		for (size_t p = 0; p < want->nsums; p++)
			if (!k->sums || k->sums[p] != want->sums[p])
				return err_object(err, err_image(err, "the content is not what the end record says, from byte %llu to %llu",
								 (unsigned long long)p * SUMS_PIECE,
								 (unsigned long long)MIN((p + 1ull) * SUMS_PIECE, k->size)),
						  "%s", want->name);
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].round == round && !manifest_find(m, s->v[i].name))
			return err_object(err, err_image(err, "the end record does not name it"), "%s", s->v[i].name);
	return 0;
}

int source_end(struct source *s, struct err *err)
{
	int ret = 0;

	if (s->verified)
		return 0;
	while (!ret && s->standing)
		ret = source_spool(s, err); /* nobody needs it, but it counts */
	if (!ret)
		ret = advance(s, err);
	for (unsigned i = 0; i <= s->last_round && !ret; i++)
		ret = verify(s, i, err);
	if (!ret) /* a dumper ends its tasks when nothing is left: not those of whom we refuse what came */
		ret = tar_drain(&s->tar, err);
	s->verified = !ret;
	return ret;
}
