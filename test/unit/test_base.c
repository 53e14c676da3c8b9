/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The helpers that everything stands on: errors, log, buffers, files, numbers, arenas. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/strbuf.h"

static char *printed(const struct err *e, bool json)
{
	char *s = NULL;
	size_t n;
	FILE *f = open_memstream(&s, &n);

	err_print(e, "cr-x", json, f);
	fclose(f);
	return s;
}

static void err_lines(void **state)
{
	struct err e = ERR_INIT;
	cleanup_free char *line = NULL, *json = NULL;
	json_object *j, *v;

	errno = EACCES;
	assert_int_equal(err_sys(&e, "cannot open %s", "x"), -EACCES);
	assert_int_equal(err_set(&e, ERR_IMAGE, ENOENT, "a later one"), -ENOENT); /* the first stays */
	assert_int_equal(err_object(&e, -EACCES, "entry %d", 3), -EACCES);
	err_object(&e, -EACCES, "files.img");
	err_object(&e, 0, "success adds nothing");
	err_task(&e, 7, "a\nb\x9b\xc2\x9b\xc3\xa4", 0);
	err_task(&e, 8, "other", 0);
	err_hint(&e, 0, "use -x");
	err_hint(&e, 0, "use -y");
	line = printed(&e, false);
	assert_string_equal(line, "cr-x: pid 7 (a\\012b\\233\\302\\233\xc3\xa4): files.img: entry 3: cannot open x: "
				  "Permission denied; use -x\n");
	json = printed(&e, true);
	j = json_tokener_parse(json);
	assert_non_null(j);
	assert_true(json_object_object_get_ex(j, "exit", &v) && json_object_get_int(v) == ERR_FAILED);
	assert_true(json_object_object_get_ex(j, "errno", &v) && !strcmp(json_object_get_string(v), "EACCES"));
	assert_true(json_object_object_get_ex(j, "comm", &v) &&
		    !strcmp(json_object_get_string(v), "a\nb\xef\xbf\xbd\xc2\x9b\xc3\xa4"));
	json_object_put(j);
}

/* Whatever is put in, the line stays within bounds and one line. */
static void err_long(void **state)
{
	struct err e = ERR_INIT;
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	cleanup_free char *line = NULL;

	while (b.len < 5000)
		strbuf_puts(&b, "\n");
	err_set(&e, ERR_USAGE, 0, "%s", b.s);
	for (int i = 0; i < 50; i++)
		err_object(&e, 0, "%s", b.s);
	err_hint(&e, 0, "%s", b.s);
	err_task(&e, 1, b.s, 0);
	line = printed(&e, false);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void clean_text(void **state)
{
	static const struct { const char *in, *clean, *json, *utf8; } cases[] = {
		{ "", "", "", "" },
		{ "a\\\"b", "a\\\"b", "a\\\\\\\"b", "a\\\"b" },
		{ "\x1b[0m\x7f", "\\033[0m\\177", "\\u001b[0m\\u007f", "\x1b[0m\x7f" },
		{ "\xe2\x82\xac", "\xe2\x82\xac", "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
		{ "\xc0\xaf", "\\300\\257", "\\ufffd\\ufffd", "\xef\xbf\xbd\xef\xbf\xbd" }, /* overlong */
		{ "\xed\xa0\x80", "\\355\\240\\200", "\\ufffd\\ufffd\\ufffd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\\364\\220\\200\\200", "\\ufffd\\ufffd\\ufffd\\ufffd",
		  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* above U+10FFFF */
		{ "\xe2\x82", "\\342\\202", "\\ufffd\\ufffd", "\xef\xbf\xbd\xef\xbf\xbd" }, /* cut off */
		{ "\xff", "\\377", "\\ufffd", "\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_strbuf struct strbuf c = STRBUF_INIT, j = STRBUF_INIT, u = STRBUF_INIT;

		strbuf_puts(&c, "");
		strbuf_puts(&j, "");
		strbuf_puts(&u, "");
		strbuf_put_clean(&c, cases[i].in);
		strbuf_put_json(&j, cases[i].in);
		strbuf_put_utf8(&u, cases[i].in);
		assert_string_equal(c.s, cases[i].clean);
		assert_string_equal(j.s, cases[i].json);
		assert_string_equal(u.s, cases[i].utf8);
	}
}

static void buffers(void **state)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	for (int i = 0; i < 10000; i++)
		strbuf_printf(&b, "%d,", i % 10);
	assert_int_equal(b.len, 20000);
	assert_int_equal(strlen(b.s), 20000);
	strbuf_reset(&b);
	assert_string_equal(b.s, "");
	strbuf_printf(&b, "%s", "");
	strbuf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.s, "a\0b", 4);
}

static void numbers(void **state)
{
	static const struct { const char *s; int base, ret; uint64_t v; } u[] = {
		{ "0", 10, 0, 0 }, { "18446744073709551615", 10, 0, UINT64_MAX }, { "ff", 16, 0, 255 }, { "0x10", 0, 0, 16 },
		{ "18446744073709551616", 10, -ERANGE, 0 }, { "", 10, -EINVAL, 0 }, { "-1", 10, -EINVAL, 0 },
		{ "+1", 10, -EINVAL, 0 }, { " 1", 10, -EINVAL, 0 }, { "1 ", 10, -EINVAL, 0 }, { "1x", 10, -EINVAL, 0 },
		{ "0x", 0, -EINVAL, 0 }, { "8", 8, -EINVAL, 0 },
	};
	static const struct { const char *s; int ret; int64_t v; } s[] = {
		{ "-9223372036854775808", 0, INT64_MIN }, { "9223372036854775807", 0, INT64_MAX }, { "-0", 0, 0 },
		{ "9223372036854775808", -ERANGE, 0 }, { "-", -EINVAL, 0 }, { "--1", -EINVAL, 0 }, { "- 1", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(u); i++) {
		uint64_t v = 0;

		assert_int_equal(parse_u64(u[i].s, u[i].base, &v), u[i].ret);
		assert_true(v == u[i].v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		int64_t v = 0;

		assert_int_equal(parse_i64(s[i].s, 10, &v), s[i].ret);
		assert_true(v == s[i].v);
	}
}

static void arenas(void **state)
{
	cleanup_arena struct arena *a = arena_new();
	unsigned char *last = NULL;
	size_t sizes[] = { 0, 1, 15, 16, 17, 1000, 16385, 65535, 65536, 65537, 1 << 20 };

	for (size_t round = 0; round < 50; round++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned char *p = arena_alloc(a, sizes[i]);

			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t k = 0; k < sizes[i]; k += 7)
				assert_int_equal(p[k], 0);
			memset(p, 0xa5, sizes[i]);
			if (!sizes[i])
				continue;
			assert_ptr_not_equal(p, last);
			last = p;
		}
	assert_string_equal(arena_printf(a, "%s-%d", "x", 5), "x-5");
	assert_string_equal(arena_strdup(a, "abc"), "abc");
	arena_free(NULL);
}

static char dir[] = "/tmp/cr-base.XXXXXX";

static void whole_files(void **state)
{
	cleanup_free char *path = path_join(dir, "f"), *abs = path_join(dir, "/abs"), *text = NULL, *link = path_join(dir, "l");
	struct new_file f = NEW_FILE_INIT, g = NEW_FILE_INIT;
	struct stat st;
	size_t n;

	assert_string_equal(abs, "/abs");
	assert_int_equal(read_file_at(AT_FDCWD, path, 10, &text, &n), -ENOENT);
	assert_int_equal(new_file_begin(&f, path), 0);
	assert_int_equal(access(path, F_OK), -1); /* not there before the commit */
	assert_int_equal(new_file_commit(&f, "12345", 5), 0);
	new_file_release(&f);
	assert_int_equal(read_file_at(AT_FDCWD, path, 4, &text, &n), -EFBIG);
	assert_int_equal(read_file_at(AT_FDCWD, path, 5, &text, &n), 0);
	assert_int_equal(n, 5);
	assert_string_equal(text, "12345");
	/* A link at the path is replaced; what it points to is not written. */
	assert_int_equal(symlink("f", link), 0);
	assert_int_equal(new_file_begin(&g, link), 0);
	assert_int_equal(new_file_commit(&g, "x", 1), 0);
	new_file_release(&g);
	assert_true(lstat(link, &st) == 0 && S_ISREG(st.st_mode));
	assert_true(stat(path, &st) == 0 && st.st_size == 5);
	/* Not committed: nothing is left (rmdir at the end proves it). */
	assert_int_equal(new_file_begin(&f, path), 0);
	new_file_release(&f);
	assert_int_equal(new_file_begin(&f, "/nonexistent/dir/f"), -ENOENT);
	new_file_release(&f);
	unlink(path);
	unlink(link);
}

static void logs(void **state)
{
	cleanup_free char *path = path_join(dir, "log"), *fifo = path_join(dir, "fifo"), *link = path_join(dir, "link");
	cleanup_free char *text = NULL;
	struct err err = ERR_INIT, err2 = ERR_INIT, err3 = ERR_INIT;
	struct log log;
	json_object *j, *v = NULL;

	assert_int_equal(log_open(&log, "cr-x", path, LOG_INFO, true, &err), 0);
	log_info(&log, "a\"%s\n", "\xff");
	log_debug(&log, "not %s", "this");
	log_close(&log);
	assert_int_equal(read_file_at(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	j = json_tokener_parse(text);
	assert_true(j && json_object_object_get_ex(j, "text", &v));
	assert_string_equal(json_object_get_string(v), "a\"\xef\xbf\xbd\n");
	json_object_put(j);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(log_open(&log, "cr-x", fifo, 2, false, &err2), -ENXIO); /* and does not wait */
	assert_int_equal(symlink("log", link), 0);
	assert_int_equal(log_open(&log, "cr-x", link, 2, false, &err3), -ELOOP);
	assert_string_equal(err3.object, link);
	unlink(path);
	unlink(fifo);
	unlink(link);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(err_lines), cmocka_unit_test(err_long), cmocka_unit_test(clean_text),
		cmocka_unit_test(buffers),   cmocka_unit_test(numbers),	 cmocka_unit_test(arenas),
		cmocka_unit_test(whole_files), cmocka_unit_test(logs),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
