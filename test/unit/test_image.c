/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reader and store: what is written reads back, what is damaged is refused, and a commit is all or nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/io.h"
#include "common/base/strbuf.h"
#include "common/image/image.h"
#include "fs.pb-c.h"
#include "inventory.pb-c.h"
#include "pipe-data.pb-c.h"
#include "pstree.pb-c.h"

struct place {
	char path[64];
};

static int make_place(void **state)
{
	struct place *p = xzalloc(sizeof(*p));

	snprintf(p->path, sizeof(p->path), "/tmp/test_image.XXXXXX");
	*state = p;
	return mkdtemp(p->path) ? 0 : -1;
}

static int drop_place(void **state)
{
	struct place *p = *state;
	DIR *d = opendir(p->path);
	int ret;

	for (struct dirent *e; d && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	ret = rmdir(p->path);
	free(p);
	return ret;
}

static unsigned count_files(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void put_file(const char *dir, const char *name, const void *p, size_t n)
{
	cleanup_free char *path = path_join(dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, p, n), 0);
	close(fd);
}

static void names(void **state)
{
	char name[64];
	unsigned long id;

	for (unsigned k = 0; k < IMG_KINDS; k++)
		for (unsigned long n = 0; n < 2; n++) {
			if (k == IMG_PAGES_OLD) /* has the names of IMG_PAGES */
				continue;
			image_name(k, n, name);
			assert_int_equal(image_kind_of_name(name, &id), k);
			if (strchr(image_kinds[k].pattern, '%'))
				assert_int_equal(id, n);
		}
	image_name(IMG_GHOST_FILE, 0x1ab, name);
	assert_string_equal(name, "ghost-file-1ab.img");
	image_name(IMG_CORE, 4294967295ul, name);
	assert_string_equal(name, "core-4294967295.img");
	image_name(IMG_STATS, 1, name);
	assert_string_equal(name, "stats-restore");
	assert_int_equal(image_kind_of_name("core-007.img", &id), IMG_KINDS);
	assert_int_equal(image_kind_of_name("core-.img", &id), IMG_KINDS);
	assert_int_equal(image_kind_of_name("core--1.img", &id), IMG_KINDS);
	assert_int_equal(image_kind_of_name("core-99999999999999999999999999.img", &id), IMG_KINDS);
	assert_int_equal(image_kind_of_name("notes.txt", &id), IMG_KINDS);
	assert_int_equal(image_kind_by_name("PSTREE"), IMG_PSTREE);
	assert_int_equal(image_kind_by_name("nothing"), IMG_KINDS);
	assert_string_equal(image_magic_name(IMG_SHMEM_PAGEMAP), "PAGEMAP");
}

static void put_two_tasks(struct image_store *st)
{
	PstreeEntry p = PSTREE_ENTRY__INIT;
	uint32_t threads[] = { 10, 11 };
	InventoryEntry inv = INVENTORY_ENTRY__INIT;
	PipeDataEntry data = PIPE_DATA_ENTRY__INIT;

	inv.img_version = 2;
	image_store_put(st, IMG_INVENTORY, 0, &inv.base);
	p.pid = p.pgid = p.sid = 10;
	p.threads = threads;
	p.n_threads = 2;
	image_store_put(st, IMG_PSTREE, 0, &p.base);
	p.pid = 12;
	p.ppid = 10;
	p.n_threads = 1;
	image_store_put(st, IMG_PSTREE, 0, &p.base);
	data.pipe_id = 7;
	data.bytes = 5;
	image_store_put(st, IMG_PIPES_DATA, 0, &data.base);
	image_store_payload(st, IMG_PIPES_DATA, 0, "hello", 5);
	data.bytes = 3;
	image_store_put(st, IMG_PIPES_DATA, 0, &data.base);
	image_store_payload(st, IMG_PIPES_DATA, 0, "bye", 3);
	image_store_touch(st, IMG_SECCOMP, 0);
}

static void write_and_read(void **state)
{
	const struct place *p = *state;
	cleanup_arena struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	struct image_store *st;
	struct image_dir *dir;
	cleanup_reader struct image_reader *rd = NULL;
	ProtobufCMessage **all, *one;
	char buf[8] = "";
	uint64_t size;
	bool absent;
	size_t n;
	int fd;

	assert_int_equal(image_store_open(p->path, &st, &err), 0);
	put_two_tasks(st);
	assert_int_equal(image_store_raw(st, IMG_PAGES, 1, &fd, &err), 0);
	assert_int_equal(pwrite_full(fd, "page", 4, 0), 0);
	assert_int_equal(count_files(p->path), 0);
	assert_int_equal(image_store_commit(st, &err), 0);
	image_store_free(st);
	assert_int_equal(count_files(p->path), 5);

	assert_int_equal(image_dir_open(p->path, &dir, &err), 0);
	assert_int_equal(image_read_one(dir, IMG_INVENTORY, 0, arena, &one, &err), 0);
	assert_int_equal(((InventoryEntry *)one)->img_version, 2);
	assert_int_equal(image_read_all(dir, IMG_PSTREE, 0, arena, &all, &n, &absent, &err), 0);
	assert_int_equal(n, 2);
	assert_false(absent);
	assert_int_equal(((PstreeEntry *)all[0])->threads[1], 11);
	assert_int_equal(((PstreeEntry *)all[1])->ppid, 10);
	assert_int_equal(image_read_all(dir, IMG_SECCOMP, 0, arena, &all, &n, &absent, &err), 0);
	assert_int_equal(n, 0);
	assert_false(absent);
	assert_int_equal(image_read_all(dir, IMG_FILE_LOCKS, 0, arena, &all, &n, &absent, &err), 0);
	assert_true(absent);

	/* The first payload is passed over, the second is read. */
	assert_int_equal(image_reader_open(dir, IMG_PIPES_DATA, 0, &rd, &err), 0);
	assert_int_equal(image_reader_next(rd, arena, &one, &err), 1);
	assert_int_equal(image_reader_payload_left(rd), 5);
	assert_int_equal(image_reader_next(rd, arena, &one, &err), 1);
	assert_int_equal(image_reader_payload(rd, buf, 3, &err), 0);
	assert_string_equal(buf, "bye");
	assert_true(image_reader_payload(rd, buf, 1, &err) < 0);
	err = (struct err)ERR_INIT;
	assert_int_equal(image_reader_next(rd, arena, &one, &err), 0);

	assert_int_equal(image_raw_open(dir, IMG_PAGES, 1, &fd, &size, &err), 0);
	assert_int_equal(size, 4);
	close(fd);
	assert_int_equal(image_raw_open(dir, IMG_PAGES, 2, &fd, &size, &err), -ENOENT);
	assert_int_equal(err.kind, ERR_IMAGE);
	err = (struct err)ERR_INIT;
	assert_true(image_read_one(dir, IMG_PSTREE, 0, arena, &one, &err) < 0);
	assert_non_null(strstr(err.reason, "another"));
	image_dir_free(dir);
}

static void dropped_store_leaves_nothing(void **state)
{
	const struct place *p = *state;
	struct err err = ERR_INIT;
	struct image_store *st;
	int fd;

	assert_int_equal(image_store_open(p->path, &st, &err), 0);
	put_two_tasks(st);
	assert_int_equal(image_store_raw(st, IMG_PAGES, 1, &fd, &err), 0);
	image_store_free(st);
	assert_int_equal(count_files(p->path), 0);
}

/* A second checkpoint in the same place replaces the first; one that fails at the end leaves no inventory behind. */
static void replace_and_fail(void **state)
{
	const struct place *p = *state;
	cleanup_free char *pstree = path_join(p->path, "pstree.img"), *inventory = path_join(p->path, "inventory.img");
	struct err err = ERR_INIT;
	struct image_store *st;
	struct stat before, after;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(image_store_open(p->path, &st, &err), 0);
		put_two_tasks(st);
		assert_int_equal(image_store_commit(st, &err), 0);
		image_store_free(st);
		assert_int_equal(count_files(p->path), 4);
		assert_int_equal(stat(pstree, i ? &after : &before), 0);
	}
	assert_true(before.st_ino != after.st_ino);
	assert_int_equal(after.st_mode & 0777, 0600);

	/* A directory in the way of one image. */
	assert_int_equal(unlink(pstree), 0);
	assert_int_equal(mkdir(pstree, 0700), 0);
	assert_int_equal(image_store_open(p->path, &st, &err), 0);
	put_two_tasks(st);
	assert_true(image_store_commit(st, &err) < 0);
	assert_non_null(strstr(err.object, "pstree.img"));
	image_store_free(st);
	assert_int_equal(rmdir(pstree), 0);
	/* The old set was being replaced, so its inventory must not vouch for what is left of it. */
	assert_int_equal(access(inventory, F_OK), -1);
}

static void many_images(void **state)
{
	const struct place *p = *state;
	FsEntry fs = FS_ENTRY__INIT;
	struct err err = ERR_INIT;
	struct image_store *st;

	assert_int_equal(image_store_open(p->path, &st, &err), 0);
	for (unsigned i = 1; i <= 1500; i++)
		image_store_put(st, IMG_FS, i, &fs.base);
	assert_int_equal(image_store_commit(st, &err), 0);
	image_store_free(st);
	assert_int_equal(count_files(p->path), 1500);
}

static int read_bytes(const char *dir, const char *name, const void *p, size_t n, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *path = path_join(dir, name);
	cleanup_reader struct image_reader *rd = NULL;
	ProtobufCMessage *msg;
	int ret, fd;

	*err = (struct err)ERR_INIT;
	put_file(dir, name, p, n);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ret = image_reader_fdopen(fd, path, IMG_KINDS, &rd, err);
	while (!ret && (ret = image_reader_next(rd, arena, &msg, err)) > 0)
		ret = 0;
	unlink(path);
	return ret;
}

#define MAGIC_FS "\x19\x43\x56\x54\x12\x39\x40\x51"
#define MAGIC_CGROUP "\x19\x43\x56\x54\x30\x33\x38\x59"
#define MAGIC_UTSNS "\x19\x43\x56\x54\x03\x32\x47\x54"
#define MAGIC_MSG "\x19\x43\x56\x54\x37\x37\x45\x55"
#define REFUSED(name, bytes, what)                                                    \
	do {                                                                          \
		assert_true(read_bytes(p->path, name, bytes, sizeof(bytes) - 1, &err) < 0); \
		assert_int_equal(err.kind, ERR_IMAGE);                                \
		if (!strstr(err.reason, what) && !strstr(err.object, what))           \
			fail_msg("%s: %s: no \"%s\"", err.object, err.reason, what);  \
	} while (0)

static void hostile(void **state)
{
	const struct place *p = *state;
	struct err err;

	assert_int_equal(read_bytes(p->path, "fs-1.img", MAGIC_FS "\x04\0\0\0\x08\x01\x10\x02", 16, &err), 0);
	assert_int_equal(read_bytes(p->path, "any", MAGIC_FS "\x04\0\0\0\x08\x01\x10\x02", 16, &err), 0);
	assert_int_equal(read_bytes(p->path, "fs-1.img", MAGIC_FS, 8, &err), 0);
	REFUSED("fs-1.img", "", "not an image");
	REFUSED("any", "\x19\x43\x56\x54", "not an image");
	REFUSED("any", "\x19\x43\x56\x54zzzz", "not an image");
	REFUSED("fs-1.img", MAGIC_FS "\x04\0", "cut short");
	REFUSED("fs-1.img", MAGIC_FS "\x04\0\0\0\x08", "byte 8");
	REFUSED("fs-1.img", MAGIC_FS "\xff\xff\xff\xff", "at most");
	REFUSED("fs-1.img", MAGIC_FS "\xff\xff\xff\x03", "cut short");
	REFUSED("fs-1.img", MAGIC_FS "\x02\0\0\0\x08\x01", "required");
	REFUSED("fs-1.img", MAGIC_FS "\x04\0\0\0\x08\x01\x10\x02\x02\0\0\0\x08\x01", "entry 2");
	REFUSED("utsns-1.img", MAGIC_UTSNS "\x08\0\0\0\x0a\x03\x61\0\x62\x12\x01\x61", "NUL");
	REFUSED("utsns-1.img", MAGIC_UTSNS "\x04\0\0\0\x0a\x7f\x61\x62", "longer than its message");
	REFUSED("fs-1.img", MAGIC_FS "\x01\0\0\0\x0b", "wire type");
	REFUSED("pipes-data.img", "\x19\x43\x56\x54\x09\x37\x45\x56\x05\0\0\0\x08\x01\x10\xff\x01", "raw bytes");
	/* A queue of two messages, the second of which is not there. */
	REFUSED("ipcns-msg-1.img",
		MAGIC_MSG "\x14\0\0\0\x0a\x0e\x08\0\x10\0\x18\0\x20\0\x28\0\x30\0\x38\0\x10\x00\x18\x02"
			  "\x04\0\0\0\x08\x01\x10\x01zzzzzzzz",
		"cut short");
}

/* Wraps what b holds into a field of a message: tag, length, and the bytes, behind `before`. */
static void wrap(struct strbuf *b, uint8_t tag, const char *before, size_t nbefore)
{
	cleanup_strbuf struct strbuf inner = *b;
	uint8_t head[8] = { tag };
	size_t n = 1;

	*b = (struct strbuf)STRBUF_INIT;
	for (size_t v = inner.len; n == 1 || v; v >>= 7)
		head[n++] = (uint8_t)(v & 0x7f) | (v >> 7 ? 0x80 : 0);
	strbuf_add(b, before, nbefore);
	strbuf_add(b, head, n);
	strbuf_add(b, inner.s, inner.len);
}

/* Directories within directories, as only an attacker has them: refused before recursion eats the stack. */
static int read_nested(const char *dir, unsigned levels, struct err *err)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT, file = STRBUF_INIT;
	uint32_t len;

	strbuf_add(&b, "\x0a\0", 2); /* cgroup_dir_entry: dir_name */
	while (--levels)
		wrap(&b, 0x12, "\x0a\0", 2); /* ... and children */
	wrap(&b, 0x12, "", 0); /* cg_controller_entry: dirs */
	wrap(&b, 0x12, "", 0); /* cgroup_entry: controllers */
	len = (uint32_t)b.len;
	strbuf_add(&file, MAGIC_CGROUP, 8);
	strbuf_add(&file, &len, 4);
	strbuf_add(&file, b.s, b.len);
	return read_bytes(dir, "cgroup.img", file.s, file.len, err);
}

static void nesting(void **state)
{
	const struct place *p = *state;
	struct err err;

	assert_int_equal(read_nested(p->path, 20, &err), 0);
	assert_true(read_nested(p->path, 5000, &err) < 0);
	assert_non_null(strstr(err.reason, "too deep"));
}

static void links_and_pipes(void **state)
{
	const struct place *p = *state;
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free char *fs = path_join(p->path, "fs-1.img"), *ids = path_join(p->path, "fs-2.img"),
			  *fifo = path_join(p->path, "fs-3.img");
	struct err err = ERR_INIT;
	struct image_dir *dir;
	ProtobufCMessage *msg;

	put_file(p->path, "fs-9.img", MAGIC_FS "\x04\0\0\0\x08\x01\x10\x02", 16);
	assert_int_equal(symlink("fs-9.img", fs), 0);
	assert_int_equal(symlink("/etc/passwd", ids), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(image_dir_open(p->path, &dir, &err), 0);
	assert_int_equal(image_read_one(dir, IMG_FS, 1, arena, &msg, &err), 0);
	assert_true(image_read_one(dir, IMG_FS, 2, arena, &msg, &err) < 0);
	assert_non_null(strstr(err.reason, "leads out"));
	err = (struct err)ERR_INIT;
	assert_true(image_read_one(dir, IMG_FS, 3, arena, &msg, &err) < 0);
	assert_non_null(strstr(err.reason, "regular"));
	image_dir_free(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test_setup_teardown(write_and_read, make_place, drop_place),
		cmocka_unit_test_setup_teardown(dropped_store_leaves_nothing, make_place, drop_place),
		cmocka_unit_test_setup_teardown(replace_and_fail, make_place, drop_place),
		cmocka_unit_test_setup_teardown(many_images, make_place, drop_place),
		cmocka_unit_test_setup_teardown(hostile, make_place, drop_place),
		cmocka_unit_test_setup_teardown(nesting, make_place, drop_place),
		cmocka_unit_test_setup_teardown(links_and_pipes, make_place, drop_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
