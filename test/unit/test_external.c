// SPDX-License-Identifier: GPL-2.0-or-later
/* --external and --inherit-fd as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/file/external.h"

static void externals(void **state)
{
	cleanup_externals struct externals e = { 0 };
	struct err err = ERR_INIT;
	static const char *const good[] = { "tty[8803:1b]", "mnt[/a]:b:c", "mnt[]", "mnt[]:ms", "file[1f:20]:", "net[4026531840]:outer" };
	static const char *const bad[] = { "", "tty", "tty[", "tty]", "tty[1", "tty[1]x", "what[1]", "[1]", "TTY[1]" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(external_add(&e, good[i], &err), 0);
	assert_non_null(external_find(&e, "tty", "8803:1b"));
	assert_string_equal(external_find(&e, "tty", "8803:1b")->value, "");
	assert_string_equal(external_find(&e, "mnt", "/a")->value, "b:c");
	assert_string_equal(external_find(&e, "file", "1f:20")->value, "");
	assert_string_equal(external_find(&e, "net", "4026531840")->value, "outer");
	assert_null(external_find(&e, "tty", "8803:1"));
	assert_null(external_find(&e, "file", "8803:1b"));
	assert_null(external_find(NULL, "tty", "8803:1b"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err = (struct err)ERR_INIT;
		assert_true(external_add(&e, bad[i], &err) < 0);
		assert_int_equal(err.kind, ERR_USAGE);
	}
	assert_int_equal(e.n, ARRAY_SIZE(good));
}

static void descriptors(void **state)
{
	cleanup_externals struct externals e = { 0 };
	struct err err = ERR_INIT;
	static const char *const bad[] = { "",	    "3",	 "fd[]:x",	"fd[3]",	      "fd[3]:",
					   "fd[3:x", "fd[-1]:x", "fd[a]:x",	"fd[2147483648]:x",   "fd[ 3]:x",
					   "fd[99999999999999999999]:x", "fd[0]:tty[8803:1b]" };

	assert_int_equal(inherited_add(&e, "fd[0]:tty[8803:1b]", &err), 0);
	assert_int_equal(inherited_add(&e, "fd[0]:pipe:[77]", &err), 0);
	assert_int_equal(inherited_check(&e, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err = (struct err)ERR_INIT;
		assert_true(inherited_add(&e, bad[i], &err) < 0);
		assert_int_equal(err.kind, ERR_USAGE);
	}
	assert_int_equal(e.nfds, 2);
	int fd = fcntl(0, F_DUPFD, 500);
	assert_int_equal(fd, 500);
	err = (struct err)ERR_INIT;
	assert_int_equal(inherited_add(&e, "fd[500]:var/x", &err), 0);
	assert_int_equal(inherited_find(&e, "var/x"), 500);
	assert_int_equal(inherited_find(&e, "pipe:[77]"), 0);
	assert_int_equal(inherited_find(&e, "pipe:[7]"), -1);
	assert_int_equal(inherited_find(NULL, "pipe:[77]"), -1);
	assert_int_equal(inherited_check(&e, &err), 0);
	inherited_close(&e);
	assert_true(fcntl(500, F_GETFD) < 0);
	assert_true(fcntl(0, F_GETFD) >= 0);
	assert_true(inherited_check(&e, &err) < 0);
	assert_int_equal(err.kind, ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(externals), cmocka_unit_test(descriptors) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
