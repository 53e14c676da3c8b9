/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "common/image/check_inside.h"
#include "common/image/manifest.h"

/* Inventory and tree first: the others are judged by them. */
static int rank(enum image_kind kind)
{
	return kind == IMG_INVENTORY ? 0 : kind == IMG_PSTREE ? 1 : 2;
}

static int by_rank(const void *a, const void *b)
{
	const struct check_image *x = a, *y = b;

	if (rank(x->kind) != rank(y->kind))
		return rank(x->kind) - rank(y->kind);
	return strverscmp(x->name, y->name);
}

static int list_images(struct check *c, struct err *err)
{
	DIR *dir;
	struct dirent *e;
	size_t n = 0;
	int ret;

	ret = open_listing(image_dir_fd(c->dir), &dir, err);
	if (ret)
		return ret;
	while ((e = readdir(dir))) {
		struct check_image img = { 0 };

		img.kind = image_kind_of_name(e->d_name, &img.id);
		if (img.kind == IMG_KINDS)
			continue;
		image_name(img.kind, img.id, img.name);
		array_reserve(&c->images, &c->images_cap, c->nimages, sizeof(*c->images));
		c->images[c->nimages++] = img;
	}
	closedir(dir);
	if (!c->nimages)
		return err_set(err, ERR_IMAGE, ENOENT, "no image is in this directory");
	qsort(c->images, c->nimages, sizeof(*c->images), by_rank);
	for (size_t i = 0; i < c->nimages; i++) {
		if (n && !strcmp(c->images[n - 1].name, c->images[i].name))
			c->images[n - 1].both = true;
		else
			c->images[n++] = c->images[i];
	}
	c->nimages = n;
	return 0;
}

/* What went wrong with an image as a whole. */
static void say_err(struct check *c, const char *file, struct err *err)
{
	const char *what = err->object, *name = strrchr(what, '/');
	size_t len = strlen(file);

	/* The object begins with the image, which the finding names already. */
	if (name)
		what = name + 1;
	if (!strncmp(what, file, len)) {
		what += len;
		while (*what == ':' || *what == ' ')
			what++;
	}
	check_say(c, file, 0, "%s%s%s%s%s", what, *what ? ": " : "", err->reason, err->errnum ? ": " : "",
		  err->errnum ? strerror(err->errnum) : "");
	*err = (struct err)ERR_INIT;
}

/* All entries. A damaged one ends the image: nothing tells where the next one would begin. */
static void read_entries(struct check *c, const struct check_image *img)
{
	cleanup_reader struct image_reader *rd = NULL;
	cleanup_arena struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	int ret = image_reader_open(c->dir, img->kind, img->id, &rd, &err);

	for (c->entry = 1; !ret; c->entry++, arena_reset(arena)) {
		ProtobufCMessage *msg;
		int more = image_reader_next(rd, arena, &msg, &err);

		if (more > 0) {
			if (img->kind == IMG_INVENTORY && !c->inventory) {
				c->arena = arena;
				arena = arena_new();
				c->inventory = (InventoryEntry *)msg;
			}
			check_entry(c, img, msg);
		}
		if (more <= 0) {
			ret = more;
			break;
		}
	}
	c->entry = 0;
	if (ret < 0)
		say_err(c, img->name, &err);
	else if (img->kind == IMG_INVENTORY && !c->inventory)
		check_say(c, img->name, 0, "the image has no entry");
}

/* The bytes: the checksums of the manifest, or at least those of compressed frames. */
static void read_content(struct check *c, const struct check_image *img, const struct manifest *m)
{
	cleanup_image_file struct image_file f = IMAGE_FILE_INIT;
	const struct manifest_file *want = m ? manifest_find(m, img->name) : NULL;
	struct err err = ERR_INIT;
	int ret = image_file_open(image_dir_fd(c->dir), img->name, &f, &err);

	if (!ret)
		c->res->bytes += f.size;
	if (!ret && m && !want && manifest_covers(img->kind))
		check_say(c, img->name, 0, "the manifest does not name it");
	if (!ret && want)
		ret = manifest_verify(want, &f, c->threads, &err);
	if (manifest_covers(img->kind))
		c->res->unsummed += !want || !want->sums;
	if (!ret && f.table && (!want || !want->sums)) {
		uint64_t *sums = NULL;

		ret = manifest_sums(&f, c->threads, &sums, &err);
		free(sums);
	}
	if (ret)
		say_err(c, img->name, &err);
}

static void check_forms(struct check *c, const struct check_image *img)
{
	cleanup_image_file struct image_file plain = IMAGE_FILE_INIT, packed = IMAGE_FILE_INIT;
	struct err err = ERR_INIT;
	char name[80];
	uint64_t at;
	int ret = image_file_open(image_dir_fd(c->dir), img->name, &plain, &err);

	snprintf(name, sizeof(name), "%s" IMAGE_ZST, img->name);
	if (!ret) {
		int fd = open_beneath(image_dir_fd(c->dir), name);

		ret = fd < 0 ? err_sys(&err, "cannot open") : image_file_take(fd, &packed, &err);
	}
	if (!ret)
		ret = image_file_same(&plain, &packed, c->threads, &at, &err);
	if (ret < 0)
		say_err(c, name, &err);
	else if (!ret)
		check_say(c, name, 0, "differs from %s beside it, which counts", img->name);
}

static void check_manifest(struct check *c, const struct manifest *m)
{
	struct err given = ERR_INIT;

	if (chain_refuse_given(m, &given))
		say_err(c, MANIFEST_NAME, &given);
	for (size_t i = 0; i < m->n; i++) {
		unsigned long id;
		enum image_kind kind = image_kind_of_name(m->files[i].name, &id);

		if (!check_has_image(c, kind, id))
			check_say(c, m->files[i].name, 0, "the manifest names it, but it is missing");
	}
}

static bool has_kind(const struct check *c, enum image_kind kind)
{
	for (size_t i = 0; i < c->nimages; i++)
		if (c->images[i].kind == kind)
			return true;
	return false;
}

static int check_all(struct check *c, struct err *err)
{
	cleanup_manifest struct manifest *m = NULL;
	struct err damage = ERR_INIT;
	int ret = list_images(c, err);

	if (ret)
		return ret;
	c->res->images = c->nimages;
	if (manifest_load(image_dir_fd(c->dir), &m, &damage)) {
		c->res->manifest = true;
		say_err(c, MANIFEST_NAME, &damage);
	}
	c->res->manifest |= m != NULL;
	c->res->tree = has_kind(c, IMG_PSTREE);
	c->has_files = has_kind(c, IMG_FILES);
	if (!has_kind(c, IMG_INVENTORY))
		check_say(c, "inventory.img", 0, "is missing: the checkpoint is not complete");
	/* What a pre-dump leaves has no tree: it is only a parent of others. */
	if (!has_kind(c, IMG_PSTREE) && (has_kind(c, IMG_CORE) || has_kind(c, IMG_MM) || !has_kind(c, IMG_PAGEMAP)))
		check_say(c, "pstree.img", 0, "is missing: there is no process tree");
	for (size_t i = 0; i < c->nimages; i++) {
		const struct check_image *img = &c->images[i];

		c->image = (uint32_t)i;
		c->entry = 0;
		check_def(c, SPACE_IMAGE + (unsigned)img->kind, img->id);
		if (img->both)
			check_forms(c, img);
		read_content(c, img, m);
		if (image_kinds[img->kind].message)
			read_entries(c, img);
	}
	check_references(c);
	if (m)
		check_manifest(c, m);
	return check_page_sets(c, err);
}

int image_check(const char *path, unsigned threads, check_fn fn, void *arg, struct check_result *res, struct err *err)
{
	struct check c = { .fn = fn, .arg = arg, .res = res, .threads = threads };
	int ret = image_dir_open_unsealed(path, &c.dir, err);

	*res = (struct check_result){ 0 };
	if (ret)
		return ret;
	ret = check_all(&c, err);
	if (ret)
		err_object(err, ret, "%s", path);
	for (size_t i = 0; i < c.nmms; i++)
		free(c.mms[i].vmas);
	for (size_t i = 0; i < c.npages; i++)
		page_set_release(&c.pages[i].set);
	free(c.images);
	free(c.defs.v);
	free(c.refs.v);
	free(c.mms);
	free(c.pages);
	arena_free(c.arena);
	image_dir_free(c.dir);
	return ret;
}
