// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What binds a checkpoint to the one that it leaves pages to. Its manifest says which one that was, and in which state; a directory
 * where another one is by now, or an edited one, is refused by name instead of being read as if it were the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/image/chain.h"
#include "inventory.pb-c.h"

/* m: its manifest, or NULL. Older ones do not say who they are. */
static int identify(struct image_dir *dir, const struct manifest *m, struct checkpoint_id *id, struct err *err)
{
	cleanup_arena struct arena *arena = NULL;
	ProtobufCMessage **msgs;
	bool absent;
	size_t n;
	int ret;

	*id = m ? m->self : (struct checkpoint_id){ 0 };
	if (id->run[0])
		return 0;
	arena = arena_new();
	ret = image_read_all(dir, IMG_INVENTORY, 0, arena, &msgs, &n, &absent, err);
	if (!ret && n && ((InventoryEntry *)msgs[0])->dump_criu_run_id)
		snprintf(id->run, sizeof(id->run), "%s", ((InventoryEntry *)msgs[0])->dump_criu_run_id);
	return ret;
}

int chain_identify(struct image_dir *dir, struct checkpoint_id *id, struct err *err)
{
	cleanup_manifest struct manifest *m = NULL;
	int ret = manifest_load(image_dir_fd(dir), &m, err);

	*id = (struct checkpoint_id){ 0 };
	return ret ? err_object(err, ret, "%s", image_dir_path(dir)) : identify(dir, m, id, err);
}

int chain_identify_parent(int dirfd, struct checkpoint_id *id, struct err *err)
{
	cleanup_fd int fd = openat(dirfd, "parent", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct image_dir *dir;
	char path[64];
	int ret;

	*id = (struct checkpoint_id){ 0 };
	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = image_dir_open_unsealed(path, &dir, err);
	if (ret)
		return ret;
	ret = chain_identify(dir, id, err);
	image_dir_free(dir);
	return ret ? err_object(err, ret, "parent") : 0;
}

int chain_refuse_given(const struct manifest *m, struct err *err)
{
	if (!m || !m->ngiven)
		return 0;
	if (!strcmp(m->given[m->ngiven - 1], MANIFEST_RESTORED))
		return err_image(err, "its pages were given back when it, or one after it, was restored with --auto-dedup");
	return err_hint(err, err_image(err, "it is not whole any more: --auto-dedup gave pages of it back when run %s had them anew",
				       m->given[m->ngiven - 1]),
			"restore that later checkpoint");
}

/* Pages that were given to somebody who is not on this way are missing. */
static int verify_given(const struct manifest *m, const struct checkpoint_id *before, size_t n, struct err *err)
{
	for (size_t i = 0; m && i < m->ngiven; i++) {
		size_t k = 0;

		while (k < n && strcmp(before[k].run, m->given[i]) != 0)
			k++;
		if (k == n)
			return chain_refuse_given(m, err);
	}
	return 0;
}

static int verify_parent(const struct checkpoint_id *want, const struct checkpoint_id *have, const char *path, struct err *err)
{
	bool same;

	if (want->has_state && have->has_state)
		same = want->state == have->state;
	else
		same = !want->run[0] || !strcmp(want->run, have->run);
	if (same)
		return 0;
	return err_hint(err, err_image(err, "its parent, %s, is not what it was made upon (%s%s)", path,
				       want->run[0] && !strcmp(want->run, have->run) ? "pages have changed since run " : "run ", want->run),
			"if the parent was changed on purpose, accept it by cr-image seal of the directory named first");
}

int chain_verify(const struct chain *c, struct err *err)
{
	cleanup_free struct checkpoint_id *ids = xzalloc(c->n * sizeof(*ids));
	struct checkpoint_id want = { 0 };
	int ret = 0;

	for (size_t i = 0; i < c->n && !ret && !image_dir_source(c->dirs[i]); i++) {
		cleanup_manifest struct manifest *m = NULL;
		const char *path = image_dir_path(c->dirs[i]);

		ret = manifest_load(image_dir_fd(c->dirs[i]), &m, err);
		if (!ret)
			ret = verify_given(m, ids, i, err);
		if (ret)
			return err_object(err, ret, "%s", path);
		ret = identify(c->dirs[i], m, &ids[i], err);
		if (ret)
			return ret;
		if (i)
			ret = err_object(err, verify_parent(&want, &ids[i], path, err), "%s", image_dir_path(c->dirs[i - 1]));
		want = m ? m->parent : (struct checkpoint_id){ 0 };
	}
	return ret;
}
