/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums, the seekable format, manifests, tar, page sets. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/arch/stripes.h"
#include "common/base/io.h"
#include "common/image/chain.h"
#include "common/image/convert.h"
#include "common/image/manifest.h"
#include "common/image/tar.h"
#include "common/image/xxh64.h"

static int memory(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, p, n), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Values of the specification's own test bytes: a generator of squares. */
static void sums_are_those_of_the_specification(void **state)
{
	struct xxh64 x;
	uint8_t buf[222];
	uint32_t gen = 2654435761u;

	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] = (uint8_t)(gen >> 24);
		gen *= gen;
	}
	assert_true(xxh64("", 0, 0) == 0xef46db3751d8e999u);
	assert_true(xxh64("abc", 3, 0) == 0x44bc2cf5ad770999u);
	assert_true(xxh64("xxhash", 6, 20141025) == 0xb559b98d844e0635u);
	/* In any parts the same. */
	for (size_t cut = 0; cut <= sizeof(buf); cut++) {
		xxh64_start(&x, 0);
		xxh64_add(&x, buf, cut);
		xxh64_add(&x, buf + cut, sizeof(buf) - cut);
		assert_true(xxh64_end(&x) == xxh64(buf, sizeof(buf), 0));
	}
}

/* Side by side or one after the other. */
static void sums_of_blocks_are_those_of_each(void **state)
{
	static uint8_t buf[11 * 4096];
	uint64_t want = 0;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * i >> 7 ^ i);
	for (size_t n = 0; n <= 11; n++) {
		assert_true(xxh64_blocks(buf, 4096, n, 1000) == want);
		if (n < 11)
			want += xxh64(buf + n * 4096, 4096, 1000 + n);
	}
	for (size_t block = 32; block <= 1024; block += 32) {
		want = 0;
		for (size_t i = 0; i < 9; i++)
			want += xxh64(buf + 5 + i * block, block, UINT64_MAX - 3 + i);
		assert_true(xxh64_blocks(buf + 5, block, 9, UINT64_MAX - 3) == want);
	}
	print_message("side by side: %s\n", arch_has_stripes() ? "yes" : "not on this processor");
}

static void fill(uint8_t *p, size_t n)
{
	uint32_t v = 1;

	for (size_t i = 0; i < n; i++) {
		v = v * 1103515245u + 12345;
		p[i] = i % 4096 < 1000 ? (uint8_t)(v >> 16) : (uint8_t)(i / 4096);
	}
}

static void seekable_comes_back(void **state)
{
	static const size_t sizes[] = { 0, 1, SEEKABLE_FRAME - 1, SEEKABLE_FRAME, SEEKABLE_FRAME + 1, 5 * SEEKABLE_FRAME + 77 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];
		cleanup_free uint8_t *p = xmalloc(n + 1), *q = xmalloc(n + 1);
		struct seekable_opts opts = { .level = 3, .threads = 1 + (unsigned)i % 3 };
		struct image_file f;
		struct err err = ERR_INIT;
		uint64_t packed;
		int from, to = memfd_create("packed", MFD_CLOEXEC), plain;

		fill(p, n);
		from = memory(p, n);
		assert_int_equal(seekable_write(from, n, to, &opts, &packed, &err), 0);
		assert_int_equal(lseek(to, 0, SEEK_END), packed);
		assert_int_equal(image_file_take(to, &f, &err), 0);
		assert_non_null(f.table);
		assert_int_equal(f.size, n);
		for (size_t off = 0; off < n; off += 100003) {
			size_t part = MIN(n - off, (size_t)300000);

			assert_int_equal(image_file_pread(&f, q, part, off, &err), 0);
			assert_memory_equal(q, p + off, part);
		}
		assert_int_not_equal(image_file_pread(&f, q, 1, n, &err), 0);
		err = (struct err)ERR_INIT;
		assert_int_equal(image_file_plain(&f, &plain, &err), 0);
		assert_int_equal(pread_full(plain, q, n, 0), 0);
		assert_memory_equal(q, p, n);
		close(plain);
		image_file_close(&f);
		close(from);
	}
}

/* Every byte of a small file changed, and every length: refused, or the same content. Never another one. */
static void seekable_damage_is_noticed(void **state)
{
	const struct seekable_opts opts = { .level = 3, .threads = 1 };
	uint8_t p[3000], whole[4096];
	struct err err = ERR_INIT;
	uint64_t packed;
	int from, to = memfd_create("packed", MFD_CLOEXEC);
	size_t refused = 0;

	fill(p, sizeof(p));
	from = memory(p, sizeof(p));
	assert_int_equal(seekable_write(from, sizeof(p), to, &opts, &packed, &err), 0);
	assert_true(packed < sizeof(whole));
	assert_int_equal(pread_full(to, whole, (size_t)packed, 0), 0);
	for (size_t i = 0; i < 2 * packed; i++) {
		size_t n = i < packed ? (size_t)packed : (size_t)(i - packed);
		struct image_file f;
		int fd, ret;

		if (i < packed)
			whole[i] ^= 0x20;
		fd = memory(whole, n);
		err = (struct err)ERR_INIT;
		ret = image_file_take(fd, &f, &err);
		if (!ret) {
			/* Without the table it is still zstd's; a wrong first word makes it plain. */
			if (f.table || f.size == sizeof(p)) {
				cleanup_free uint8_t *got = xmalloc((size_t)f.size + 1);

				ret = image_file_pread(&f, got, (size_t)f.size, 0, &err);
				if (!ret) {
					assert_int_equal(f.size, sizeof(p));
					assert_memory_equal(got, p, sizeof(p));
				}
			} else {
				assert_int_equal(f.size, n);
				assert_false(n >= 4 && zstd_magic(whole, 4));
			}
			image_file_close(&f);
		}
		refused += ret != 0;
		if (ret)
			assert_true(err.kind != ERR_NONE);
		if (i < packed)
			whole[i] ^= 0x20;
	}
	assert_true(refused > packed);
	close(from);
	close(to);
}

static void hostile_tables_cost_nothing(void **state)
{
	/* A table of 2^27 frames in a file of some bytes; frames that are too large; a table that is too long for the file. */
	static const uint8_t files[][40] = {
		{ 0x28, 0xb5, 0x2f, 0xfd, [31] = 0xff, 0xff, 0xff, 0x07, 0, 0xb1, 0xea, 0x92, 0x8f },
		{ 0x5e, 0x2a, 0x4d, 0x18, [23] = 0xff, 0xff, 0xff, 0xff, [31] = 1, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f },
		{ 0x28, 0xb5, 0x2f, 0xfd, [31] = 4, 0, 0, 0, 0x7c, 0xb1, 0xea, 0x92, 0x8f },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct err err = ERR_INIT;
		struct seekable *s = NULL;
		int fd = memory(files[i], sizeof(files[i]));

		assert_true(seekable_open(fd, sizeof(files[i]), &s, &err) < 0);
		assert_int_equal(err.kind, ERR_IMAGE);
		assert_null(s);
		close(fd);
	}
}

static void manifest_there_and_back(void **state)
{
	cleanup_manifest struct manifest *m = manifest_new("test"), *back = NULL;
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT;

	manifest_add(m, "pages-1.img", 10ull << 30, NULL);
	manifest_add(m, "core-7.img", 3, manifest_sums_of("abc", 3));
	manifest_sort(m);
	manifest_print(m, &b);
	assert_int_equal(manifest_parse(b.s, b.len, &back, &err), 0);
	assert_int_equal(back->n, 2);
	assert_string_equal(back->kernel, m->kernel);
	assert_true(manifest_find(back, "core-7.img")->sums[0] == xxh64("abc", 3, 0));
	assert_null(manifest_find(back, "pages-1.img")->sums);
	assert_int_equal(manifest_find(back, "pages-1.img")->size, 10ull << 30);
	assert_null(manifest_find(back, "core-8.img"));
	for (size_t cut = 0; cut + 2 < b.len; cut++) {
		struct manifest *part = NULL;

		err = (struct err)ERR_INIT;
		assert_int_not_equal(manifest_parse(b.s, cut, &part, &err), 0);
		assert_null(part);
	}
}

/* Whatever blanks it has, and whether the list is read as it is printed or as JSON: it says the same. */
static void manifest_in_any_form(void **state)
{
	static const char list[] = "    \"core-7.img\": {\"size\": 3, \"xxh64\": [\"0123456789abcdef\"]}";
	static const char *const second[] = {
		"", ",\n    \"mm-7.img\": {\"size\": 0}", ",\n    \"core-7.img\": {\"size\": 4}", ",\n \"mm-7.img\": {\"size\": 0}",
		",\n    \"mm-7.img\": {\"size\":\t0}", ",\n    \"mm-7.img\": {\"size\": 0, \"more\": [1]}", ",\n    \"mm\\u002d7.img\": {\"size\": 0}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		cleanup_manifest struct manifest *m = NULL;
		cleanup_strbuf struct strbuf b = STRBUF_INIT;
		struct err err = ERR_INIT;

		strbuf_printf(&b, "{\n  \"version\": 2,\n  \"run\": \"a-run\",\n  \"piece\": 4194304,\n  \"images\": {\n%s%s\n  }\n}\n", list, second[i]);
		assert_int_equal(manifest_parse(b.s, b.len, &m, &err), 0);
		assert_string_equal(m->self.run, "a-run");
		assert_int_equal(m->n, i == 0 || i == 2 ? 1 : 2);
		assert_int_equal(manifest_find(m, "core-7.img")->size, i == 2 ? 4 : 3); /* the last one of a name counts */
		if (i != 2)
			assert_true(manifest_find(m, "core-7.img")->sums[0] == 0x0123456789abcdefull);
		assert_true(m->n == 1 || manifest_find(m, "mm-7.img"));
	}
}

static void hostile_manifests_are_refused(void **state)
{
#define HEAD "{\"version\": 2, \"piece\": 4194304, \"images\": {"
	static const char *const texts[] = {
		"", "[]", "{}", "{\"version\": 3}", "{\"version\": 2, \"piece\": 5, \"images\": {}}",
		HEAD "\"../core-1.img\": {\"size\": 1}}}", HEAD "\"/etc/passwd\": {\"size\": 1}}}", HEAD "\"stats-dump\": {\"size\": 1}}}",
		HEAD "\"core-1.img.zst\": {\"size\": 1}}}", HEAD "\"core-1.img\": {\"size\": -1}}}",
		HEAD "\"core-1.img\": {\"size\": 9223372036854775807}}}", HEAD "\"core-1.img\": {}}}",
		HEAD "\"core-1.img\": {\"size\": 1, \"xxh64\": []}}}", HEAD "\"core-1.img\": {\"size\": 1, \"xxh64\": [\"12\"]}}}",
		HEAD "\"core-1.img\": {\"size\": 1, \"xxh64\": [\"-123456789abcdef\"]}}}",
		HEAD "\"core-1.img\": {\"size\": 1099511627776, \"xxh64\": [\"0123456789abcdef\"]}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct manifest *m = NULL;
		struct err err = ERR_INIT;

		assert_int_not_equal(manifest_parse(texts[i], strlen(texts[i]), &m, &err), 0);
		assert_int_equal(err.kind, ERR_IMAGE);
	}
}

static void tar_there_and_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 511, 512, 513, 70000 };
	cleanup_free uint8_t *p = xmalloc(70000), *q = xmalloc(70000);
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct tar_writer w = { .fd = fd };
	struct tar_reader r = { .fd = fd };
	struct tar_member m;
	struct err err = ERR_INIT;

	fill(p, 70000);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct tar_member one = { .size = sizes[i], .mode = 0640, .mtime = 1000 + (int)i };

		snprintf(one.name, sizeof(one.name), "core-%zu%s.img", i, i == 5 ? "-with-a-name-that-is-so-long-that-no-field-of-an-"
			 "ordinary-header-of-tar-can-hold-it-as-a-whole-at-all" : "");
		assert_int_equal(tar_begin(&w, &one, &err), 0);
		assert_int_equal(tar_put(&w, p, sizes[i], &err), 0);
	}
	assert_int_equal(tar_end(&w, &err), 0);
	assert_int_equal(w.bytes % 10240, 0);
	lseek(fd, 0, SEEK_SET);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t got;

		assert_int_equal(tar_next(&r, &m, &err), 1);
		assert_int_equal(m.size, sizes[i]);
		assert_int_equal(m.mode, 0640);
		assert_int_equal(m.mtime, 1000 + (int)i);
		assert_true((strlen(m.name) > 100) == (i == 5));
		if (i % 2) { /* the others are passed over */
			assert_int_equal(tar_read(&r, q, 70000, &got, &err), 0);
			assert_int_equal(got, sizes[i]);
			assert_memory_equal(q, p, got);
		}
	}
	assert_int_equal(tar_next(&r, &m, &err), 0);
	close(fd);
}

static void page_sets_are_checked(void **state)
{
	struct page_set set = { 0 };
	PagemapEntry e = PAGEMAP_ENTRY__INIT;

	e.vaddr = 0x10000;
	e.has_nr_pages = true;
	e.nr_pages = 4;
	assert_null(page_set_add(&set, &e)); /* no flags: present */
	e.vaddr = 0x13000;
	assert_non_null(page_set_add(&set, &e)); /* overlaps */
	e.vaddr = 0x14000;
	e.has_flags = true;
	e.flags = RUN_PARENT;
	assert_null(page_set_add(&set, &e));
	e.vaddr = 0x20001;
	assert_non_null(page_set_add(&set, &e));
	e.vaddr = 0x20000;
	e.nr_pages = UINT64_MAX / 4096;
	assert_non_null(page_set_add(&set, &e));
	e.nr_pages = 0;
	assert_non_null(page_set_add(&set, &e));
	e.nr_pages = 1;
	e.flags = 64;
	assert_non_null(page_set_add(&set, &e));
	assert_int_equal(set.present, 4 * 4096);
	assert_null(page_set_find(&set, 0xf000));
	assert_ptr_equal(page_set_find(&set, 0x13fff), &set.runs[0]);
	assert_ptr_equal(page_set_find(&set, 0x14000), &set.runs[1]);
	assert_null(page_set_find(&set, 0x18000));
	page_set_release(&set);
}

/* A writer waits until its reader has the padding, too. */
static void tar_is_read_to_its_end(void **state)
{
	for (unsigned blocks = 0; blocks < 45; blocks++) {
		struct tar_member one = { .size = blocks * 512ull, .mode = 0600 }, m;
		struct err err = ERR_INIT;
		int fd = memory("", 0);
		struct tar_writer w = { .fd = fd };
		struct tar_reader r = { .fd = fd };
		static const char bytes[45 * 512];

		snprintf(one.name, sizeof(one.name), "member");
		assert_int_equal(tar_begin(&w, &one, &err), 0);
		assert_int_equal(tar_put(&w, bytes, one.size, &err), 0);
		assert_int_equal(tar_end(&w, &err), 0);
		off_t end = lseek(fd, 0, SEEK_CUR);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(tar_next(&r, &m, &err), 1);
		assert_int_equal(tar_next(&r, &m, &err), 0);
		assert_int_equal(tar_drain(&r, &err), 0);
		assert_int_equal(lseek(fd, 0, SEEK_CUR), end);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_those_of_the_specification), cmocka_unit_test(sums_of_blocks_are_those_of_each),
		cmocka_unit_test(seekable_comes_back),
		cmocka_unit_test(seekable_damage_is_noticed),	       cmocka_unit_test(hostile_tables_cost_nothing),
		cmocka_unit_test(manifest_there_and_back),	       cmocka_unit_test(manifest_in_any_form), cmocka_unit_test(hostile_manifests_are_refused),
		cmocka_unit_test(tar_there_and_back), cmocka_unit_test(tar_is_read_to_its_end),		       cmocka_unit_test(page_sets_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
