/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/fault.h"
#include "common/base/io.h"
#include "common/image/draft.h"
#include "common/image/listing.h"
#include "common/image/manifest.h"
#include "common/image/tar.h"
#include "common/image/threads.h"

#define PART (256u << 10)
#define SYNC_EACH_MAX 64

int stream_rank(enum image_kind kind)
{
	switch (kind) {
	case IMG_INVENTORY: return 0;
	case IMG_PSTREE: return 1;
	case IMG_IDS: return 2;
	case IMG_CORE: return 3;
	case IMG_FILES: return 4;
	case IMG_FDINFO: return 5;
	case IMG_MM: return 6;
	case IMG_GHOST_FILE: return 20;
	case IMG_PAGEMAP:
	case IMG_SHMEM_PAGEMAP: return 30;
	case IMG_PAGES:
	case IMG_PAGES_OLD:
	case IMG_SHM_PAGES_OLD: return STREAM_RANK_PAGES;
	case IMG_KINDS: return 15;
	default: return 10;
	}
}

static int by_rank(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	int rx = stream_rank(x->kind), ry = stream_rank(y->kind);

	return rx != ry ? rx - ry : strverscmp(x->name, y->name);
}

/* In the order of the stream; the manifest comes apart. */
static int list_parts(int dirfd, struct listed **list, size_t *n, struct err *err)
{
	size_t kept = 0;
	int ret = listing_read(dirfd, list, n, err);

	for (size_t i = 0; i < *n; i++)
		if (strcmp((*list)[i].name, MANIFEST_NAME) != 0)
			(*list)[kept++] = (*list)[i];
	*n = kept;
	if (kept)
		qsort(*list, kept, sizeof(**list), by_rank);
	return ret;
}

/* Against the manifest that the directory has, or into the one that is made. */
static int account(struct manifest *made, const struct manifest *old, const struct listed *p, int dirfd, uint64_t size,
		   uint64_t *sums, struct err *err)
{
	cleanup_free uint64_t *mine = sums;
	const struct manifest_file *want;
	char name[64];

	if (!manifest_covers(p->kind))
		return 0;
	image_name(p->kind, p->id, name);
	if (strcmp(name, p->name)) { /* compressed: the manifest is about the content */
		cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
		int ret = image_file_open(dirfd, name, &f, err);

		free(take_ptr(mine));
		if (!ret)
			ret = manifest_sums(&f, image_threads_default(), &mine, err);
		if (ret)
			return ret;
		size = f.size;
	}
	if (!old) {
		manifest_add(made, name, size, take_ptr(mine));
		return 0;
	}
	want = manifest_find(old, name);
	if (!want || want->size != size || (want->sums && memcmp(want->sums, mine, want->nsums * sizeof(*mine)) != 0))
		return err_hint(err, err_image(err, want ? "it is not what the manifest says" : "the manifest does not name it"),
				"see cr-image check; cr-image seal accepts it");
	return 0;
}

static int pack_one(struct tar_writer *w, int dirfd, const struct listed *p, struct manifest *made, const struct manifest *old,
		    struct stream_result *res, struct err *err)
{
	cleanup(sums_pass_drop) struct sums_passing sums = { 0 };
	cleanup_free uint8_t *buf = xmalloc(PART);
	cleanup_fd int fd = openat(dirfd, p->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct tar_member m;
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open");
	m = (struct tar_member){ .size = (uint64_t)st.st_size, .mode = st.st_mode & 0777, .mtime = st.st_mtime };
	snprintf(m.name, sizeof(m.name), "%s", p->name);
	ret = tar_begin(w, &m, err);
	for (uint64_t off = 0; !ret && off < m.size; off += PART) {
		size_t n = (size_t)MIN(m.size - off, (uint64_t)PART);

		ret = pread_full(fd, buf, n, (off_t)off);
		if (ret)
			return err_set(err, ERR_FAILED, -ret, "cannot read");
		if (manifest_covers(p->kind))
			sums_pass(&sums, buf, n);
		ret = tar_put_file(w, fd, off, buf, n, err);
	}
	if (ret)
		return ret;
	res->files++;
	res->bytes += m.size;
	return account(made, old, p, dirfd, m.size, sums_pass_end(&sums), err);
}

static int pack_manifest(struct tar_writer *w, const struct manifest *m, struct err *err)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct tar_member t = { .name = MANIFEST_NAME, .mode = IMAGE_MODE };
	int ret;

	manifest_print(m, &b);
	t.size = b.len;
	ret = tar_begin(w, &t, err);
	return ret ? ret : tar_put(w, b.s, b.len, err);
}

static int missing(const struct manifest *old, const struct listed *list, size_t n, struct err *err)
{
	cleanup_manifest struct manifest *have = xzalloc(sizeof(*have));

	for (size_t i = 0; i < n; i++) {
		char name[64];

		if (!manifest_covers(list[i].kind))
			continue;
		image_name(list[i].kind, list[i].id, name);
		manifest_add(have, name, 0, NULL);
	}
	manifest_sort(have);
	for (size_t i = 0; i < old->n; i++)
		if (!manifest_find(have, old->files[i].name))
			return err_object(err, err_image(err, "the manifest names it, but it is missing"), "%s", old->files[i].name);
	return 0;
}

int stream_pack(const char *path, int to, struct stream_result *res, struct err *err)
{
	cleanup_fd int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_manifest struct manifest *old = NULL, *made = manifest_new("cr-image");
	cleanup_free struct listed *list = NULL;
	struct tar_writer w = { .fd = to };
	struct stat st;
	size_t n = 0;
	int ret;

	*res = (struct stream_result){ 0 };
	if (dirfd < 0)
		return err_object(err, err_sys(err, "cannot open the images directory"), "%s", path);
	if (!fstatat(dirfd, "parent", &st, AT_SYMLINK_NOFOLLOW))
		return err_hint(err, err_object(err, err_set(err, ERR_IMAGE, 0, "it needs the pages of its parent checkpoint"), "%s", path),
				"cr-image flatten makes a checkpoint of its own of it");
	ret = manifest_load(dirfd, &old, err);
	if (!ret)
		ret = list_parts(dirfd, &list, &n, err);
	if (!ret && (!n || list[0].kind != IMG_INVENTORY))
		ret = err_image(err, "there is no inventory.img: this is no checkpoint");
	if (!ret && old)
		ret = missing(old, list, n, err);
	for (size_t i = 0; i < n && !ret; i++) {
		ret = pack_one(&w, dirfd, &list[i], made, old, res, err);
		if (ret)
			err_object(err, ret, "%s", list[i].name);
	}
	manifest_sort(made);
	if (!ret)
		ret = pack_manifest(&w, old ?: made, err);
	if (!ret)
		ret = tar_end(&w, err);
	return ret ? err_object(err, ret, "%s", path) : 0;
}

/* ---- unpacking ---- */

struct unpacking {
	int dirfd;
	int folders[TAR_ROUNDS_MAX + 1]; /* descriptors, 0: none; the first is dirfd */
	struct manifest *seen[TAR_ROUNDS_MAX + 1]; /* of images that came plain, by folder */
	struct draft inventory;
	char inventory_name[80]; /* "inventory.img", or compressed */
	char **names;		 /* that were made */
	size_t n, cap;
	struct stream_result *res;
};

static void undo(struct unpacking *u, bool done)
{
	for (size_t i = 0; i < u->n; i++) {
		if (!done)
			unlinkat(u->dirfd, u->names[i], 0);
		free(u->names[i]);
	}
	free(u->names);
	draft_drop(&u->inventory);
	for (size_t i = 0; i < ARRAY_SIZE(u->seen); i++) {
		char folder[32];

		manifest_free(u->seen[i]);
		if (!i || !u->folders[i])
			continue;
		close(u->folders[i]);
		snprintf(folder, sizeof(folder), TAR_ROUND "%zu", i);
		if (!done)
			unlinkat(u->dirfd, folder, AT_REMOVEDIR);
	}
	if (u->dirfd >= 0)
		close(u->dirfd);
}

static int open_target(struct unpacking *u, const char *path, struct err *err)
{
	static const char *const there[] = { "inventory.img", "inventory.img" IMAGE_ZST };

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make the directory");
	u->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (u->dirfd < 0)
		return err_sys(err, "cannot open the directory");
	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		if (!faccessat(u->dirfd, there[i], F_OK, AT_SYMLINK_NOFOLLOW))
			return err_set(err, ERR_FAILED, EEXIST, "a checkpoint is there already");
	return 0;
}

/* The folder of a member is made when its first one comes. */
static int open_folder(struct unpacking *u, unsigned round, struct err *err)
{
	char name[32];

	if (!u->seen[round])
		u->seen[round] = xzalloc(sizeof(*u->seen[round]));
	if (!round)
		u->folders[0] = u->dirfd;
	if (u->folders[round])
		return 0;
	snprintf(name, sizeof(name), TAR_ROUND "%u", round);
	if (mkdirat(u->dirfd, name, 0700) < 0)
		return err_sys(err, "cannot make the directory of an older checkpoint");
	u->folders[round] = openat(u->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (u->folders[round] >= 0)
		return 0;
	u->folders[round] = 0;
	return err_sys(err, "cannot open the directory of an older checkpoint");
}

static void remember(struct unpacking *u, const struct tar_member *m)
{
	array_reserve(&u->names, &u->cap, u->n, sizeof(*u->names));
	u->names[u->n++] = xstrdup(m->name);
}

static int copy_member(struct unpacking *u, struct tar_reader *r, const struct tar_member *m, int fd, bool sum, struct err *err)
{
	const char *name = m->name;
	unsigned round = (unsigned)tar_round(&name);
	cleanup(sums_pass_drop) struct sums_passing sums = { 0 };
	cleanup_free uint8_t *buf = xmalloc(PART);
	const struct timespec times[2] = { { m->mtime, 0 }, { m->mtime, 0 } };

	for (;;) {
		size_t got;
		int ret = tar_read(r, buf, PART, &got, err);

		if (!ret && got) {
			ret = write_full(fd, buf, got);
			if (ret)
				return err_set(err, ERR_FAILED, -ret, "cannot write");
		}
		if (ret)
			return ret;
		if (!got)
			break;
		if (sum)
			sums_pass(&sums, buf, got);
	}
	/* Nobody but us has less to lose: what others may read is up to the owner of the directory. */
	if (fchmod(fd, (m->mode & 0777) | 0600) < 0 || futimens(fd, times) < 0)
		return err_sys(err, "cannot set the attributes");
	if (sum)
		manifest_add(u->seen[round], name, m->size, sums_pass_end(&sums));
	return 0;
}

static int unpack_one(struct unpacking *u, struct tar_reader *r, const struct tar_member *m, struct err *err)
{
	cleanup_draft struct draft draft = DRAFT_INIT;
	unsigned long id;
	const char *name = m->name;
	unsigned round = (unsigned)tar_round(&name);
	enum image_kind kind = image_kind_of_name(name, &id);
	bool plain = strlen(name) < 4 || strcmp(name + strlen(name) - 4, IMAGE_ZST) != 0;
	int ret = open_folder(u, round, err);

	if (!ret && m->link[0]) {
		if (symlinkat(m->link, u->folders[round], name) < 0)
			return err_sys(err, "cannot make the link to an older checkpoint");
		remember(u, m);
		return 0;
	}
	if (!ret)
		ret = draft_open(&draft, u->folders[round], "unpack", false, err);
	if (!ret)
		ret = copy_member(u, r, m, draft.fd, plain && manifest_covers(kind), err);
	if (ret)
		return ret;
	u->res->files++;
	u->res->bytes += m->size;
	/* Of many files, one syncfs at the end is cheaper than an fsync for each. */
	if (u->res->files <= SYNC_EACH_MAX && fsync(draft.fd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write");
	if (kind == IMG_INVENTORY && !round) {
		if (u->inventory.fd >= 0)
			return err_image(err, "it is there twice");
		u->inventory = draft;
		draft = (struct draft)DRAFT_INIT;
		snprintf(u->inventory_name, sizeof(u->inventory_name), "%.79s", m->name);
		return 0;
	}
	for (size_t i = 0; kind == IMG_KINDS && i < u->n; i++)
		if (!strcmp(u->names[i], m->name))
			return err_image(err, "it is there twice");
	ret = draft_name(&draft, name, err);
	if (!ret)
		remember(u, m);
	return ret;
}

/* The end record, when the stream has one: sums were made as the members went by; compressed ones are read again. */
static int verify(struct unpacking *u, unsigned round, struct err *err)
{
	cleanup_manifest struct manifest *m = NULL;
	struct manifest *seen = u->seen[round];
	int ret = manifest_load(u->folders[round], &m, err);

	manifest_sort(seen);
	for (size_t i = 1; i < seen->n && !ret; i++)
		if (!strcmp(seen->files[i].name, seen->files[i - 1].name))
			ret = err_object(err, err_image(err, "it is there twice"), "%s", seen->files[i].name);
	for (size_t i = 0; !ret && m && i < m->n; i++) {
		const struct manifest_file *want = &m->files[i], *have = manifest_find(seen, want->name);
		cleanup_image_file struct image_file f = IMAGE_FILE_INIT;

		if (have && (have->size != want->size ||
			     (want->sums && memcmp(have->sums, want->sums, want->nsums * sizeof(*want->sums)) != 0)))
			ret = err_image(err, "it is not what the manifest at the end of the stream says");
		if (!have && !round && !strncmp(u->inventory_name, want->name, strlen(want->name)))
			continue; /* compressed, and without a name yet */
		if (!have && !ret)
			ret = image_file_open(u->folders[round], want->name, &f, err);
		if (!have && !ret)
			ret = f.fd < 0 ? err_image(err, "the manifest names it, but it is not in the stream") :
					 manifest_verify(want, &f, image_threads_default(), err);
		if (ret)
			err_object(err, ret, "%s", want->name);
	}
	return ret;
}

static int finish(struct unpacking *u, struct err *err)
{
	int ret = 0;

	if (u->inventory.fd < 0)
		return err_image(err, "there is no inventory.img in the archive: this is no checkpoint");
	for (unsigned i = 0; i < ARRAY_SIZE(u->seen) && !ret; i++)
		if (u->seen[i])
			ret = verify(u, i, err);
	for (size_t i = 1; i < ARRAY_SIZE(u->folders) && !ret; i++)
		if (u->folders[i] && fsync(u->folders[i]) < 0 && errno != EINVAL)
			ret = err_sys(err, "cannot write to the disk");
	if (ret)
		return ret;
	fault("cr-image:unpacked");
	if (u->res->files > SYNC_EACH_MAX && syncfs(u->dirfd) < 0)
		return err_sys(err, "cannot write to the disk");
	if (fsync(u->dirfd) < 0 && errno != EINVAL)
		return err_sys(err, "cannot write to the disk");
	ret = draft_name(&u->inventory, u->inventory_name, err);
	if (!ret && fsync(u->dirfd) < 0 && errno != EINVAL)
		ret = err_sys(err, "cannot write to the disk");
	return ret;
}

int stream_unpack(int from, const char *path, struct stream_result *res, struct err *err)
{
	struct unpacking u = { .dirfd = -1, .inventory = DRAFT_INIT, .res = res };
	struct tar_reader r = { .fd = from };
	int ret = open_target(&u, path, err);

	*res = (struct stream_result){ 0 };
	if (ret)
		err_object(err, ret, "%s", path);
	else
		ret = tar_unpack(&r, err);
	while (!ret) {
		struct tar_member m;
		int more = tar_next(&r, &m, err);

		if (more <= 0) {
			ret = more;
			break;
		}
		ret = unpack_one(&u, &r, &m, err);
		if (ret)
			err_object(err, ret, "%s", m.name);
	}
	if (!ret)
		ret = finish(&u, err);
	undo(&u, !ret);
	/* Now that it is kept: a dumper waits until all is taken, the padding at the end too, before it ends the tasks. */
	if (!ret)
		ret = tar_drain(&r, err);
	tar_close(&r);
	return ret;
}
