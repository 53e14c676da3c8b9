// SPDX-License-Identifier: GPL-2.0-or-later
/* Ghost images: holes, and images that lie about themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <unistd.h>

#include "common/file/file.h"
#include "ghost-file.pb-c.h"

struct fixture {
	char dir[64];
	struct arena *arena;
	struct image_store *store;
	struct model m;
	struct plan *plan;
	struct err err;
	FileEntry file;
	RegFileEntry reg;
	FownEntry fown;
	FileEntry *files[1];
	RemapFilePathEntry remap, *remaps[1];
	struct strbuf text;
};

static int setup(void **state)
{
	struct fixture *f = xzalloc(sizeof(*f));

	strcpy(f->dir, "/tmp/test-ghost-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(image_store_open(f->dir, &f->store, &f->err), 0);
	f->plan = plan_new();
	file_entry__init(&f->file);
	reg_file_entry__init(&f->reg);
	fown_entry__init(&f->fown);
	remap_file_path_entry__init(&f->remap);
	f->file.type = FD_TYPES__REG;
	f->file.id = f->reg.id = f->remap.orig_id = 5;
	f->file.reg = &f->reg;
	f->reg.fown = &f->fown;
	f->reg.name = (char *)(uintptr_t)"/dir/name";
	f->reg.flags = O_RDONLY;
	f->remap.remap_id = 0x1f;
	f->remap.has_remap_type = true;
	f->remap.remap_type = REMAP_TYPE__GHOST;
	f->files[0] = &f->file;
	f->remaps[0] = &f->remap;
	f->m.files = f->files;
	f->m.remaps = f->remaps;
	f->m.nfiles = f->m.nremaps = 1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	strbuf_release(&f->text);
	plan_free(f->plan);
	image_dir_free(f->m.dir);
	image_store_free(f->store);
	snprintf(cmd, sizeof(cmd), "rm -r %s", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static void put_head(struct fixture *f, uint32_t mode, bool chunks, uint64_t size)
{
	GhostFileEntry g = GHOST_FILE_ENTRY__INIT;

	g.mode = mode;
	g.has_chunks = g.chunks = chunks;
	g.has_size = chunks;
	g.size = size;
	image_store_put(f->store, IMG_GHOST_FILE, 0x1f, &g.base);
}

/* With one extended attribute. */
static void put_xattr(struct fixture *f, const char *name, size_t len)
{
	GhostFileEntry g = GHOST_FILE_ENTRY__INIT;
	GhostXattrEntry x = GHOST_XATTR_ENTRY__INIT, *all[] = { &x };

	x.name = (char *)(uintptr_t)name;
	x.value.len = len;
	x.value.data = xzalloc(len + 1);
	g.mode = S_IFREG | 0640;
	g.xattrs = all;
	g.n_xattrs = 1;
	image_store_put(f->store, IMG_GHOST_FILE, 0x1f, &g.base);
	image_store_payload(f->store, IMG_GHOST_FILE, 0x1f, "ghost", 5);
	free(x.value.data);
}

static void put_chunk(struct fixture *f, uint64_t off, uint64_t len, size_t real)
{
	GhostChunkEntry c = GHOST_CHUNK_ENTRY__INIT;
	char bytes[64] = "chunk";

	c.off = off;
	c.len = len;
	image_store_put(f->store, IMG_GHOST_FILE, 0x1f, &c.base);
	image_store_payload(f->store, IMG_GHOST_FILE, 0x1f, bytes, real);
}

static int planned(struct fixture *f)
{
	uint32_t slot;

	assert_int_equal(image_store_commit(f->store, &f->err), 0);
	assert_int_equal(image_dir_open(f->dir, &f->m.dir, &f->err), 0);
	return plan_file_slot(&f->m, f->plan, FD_TYPES__REG, 5, O_RDONLY, &slot, &f->err);
}

static size_t count(struct fixture *f, const char *word)
{
	size_t n = 0;

	strbuf_reset(&f->text);
	program_print(f->plan->controller, "", &f->text);
	for (const char *s = f->text.s; s && (s = strstr(s, word)); s++)
		n++;
	return n;
}

static void test_whole(void **state)
{
	struct fixture *f = *state;

	put_head(f, S_IFREG | 0640, false, 0);
	image_store_payload(f->store, IMG_GHOST_FILE, 0x1f, "ghost", 5);
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, "/dir/name.cr.1f.0.ghost"), 4); /* made, opened, renamed, removed */
	assert_int_equal(count(f, "pwrite64("), 1);
	assert_int_equal(count(f, "unlinkat("), 2);
}

static void test_chunks(void **state)
{
	struct fixture *f = *state;

	put_head(f, S_IFREG | 0640, true, 1 << 20);
	put_chunk(f, 0, 5, 5);
	put_chunk(f, 1 << 19, 64, 64);
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, "pwrite64("), 2);
	assert_int_equal(count(f, "ftruncate("), 1);
}

static void test_directory(void **state)
{
	struct fixture *f = *state;

	put_head(f, S_IFDIR | 0750, false, 0);
	f->reg.flags = O_RDONLY | O_DIRECTORY;
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, "mkdirat("), 1);
	assert_int_equal(count(f, "openat("), 1);
}

static void bad(struct fixture *f)
{
	assert_true(planned(f) < 0);
	assert_int_equal(f->err.kind, ERR_IMAGE);
}

static void test_behind_end(void **state)
{
	put_head(*state, S_IFREG | 0640, true, 100);
	put_chunk(*state, 90, 20, 20);
	bad(*state);
}

static void test_overflow(void **state)
{
	put_head(*state, S_IFREG | 0640, true, 100);
	put_chunk(*state, UINT64_MAX - 3, 8, 8);
	bad(*state);
}

static void test_cut(void **state)
{
	put_head(*state, S_IFREG | 0640, true, 1ull << 40);
	put_chunk(*state, 0, 1ull << 39, 16);
	bad(*state);
}

static void test_huge(void **state)
{
	put_head(*state, S_IFREG | 0640, true, UINT64_MAX);
	bad(*state);
}

static void test_type(void **state)
{
	put_head(*state, S_IFSOCK | 0640, false, 0);
	bad(*state);
}

static void test_xattr(void **state)
{
	struct fixture *f = *state;

	put_xattr(f, "user.some", XATTR_SIZE_MAX);
	assert_int_equal(planned(f), 0);
	assert_int_equal(count(f, "fsetxattr("), 1);
}

static void test_xattr_name(void **state)
{
	char name[XATTR_NAME_MAX + 2];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	memcpy(name, "user.", 5);
	put_xattr(*state, name, 1);
	bad(*state);
}

static void test_xattr_nameless(void **state)
{
	put_xattr(*state, "", 1);
	bad(*state);
}

static void test_xattr_value(void **state)
{
	put_xattr(*state, "user.some", XATTR_SIZE_MAX + 1);
	bad(*state);
}

static void test_absent(void **state)
{
	bad(*state);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole), T(test_chunks), T(test_directory), T(test_behind_end), T(test_overflow),
		T(test_cut), T(test_huge), T(test_type), T(test_absent),
		T(test_xattr), T(test_xattr_name), T(test_xattr_nameless), T(test_xattr_value),
	};

	return cmocka_run_group_tests_name("file_ghost", tests, NULL, NULL);
}
