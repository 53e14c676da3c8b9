/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration files: their syntax, and which layer wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/strbuf.h"
#include "common/opt/rpc.h"

static int text(const char *s, size_t len, struct opts **o, struct err *err)
{
	return opt_resolve_text(opt_tool_of(TOOL_DUMP), "f", s, len, o, err);
}

static void syntax(void **state)
{
	static const struct { const char *text; enum opt_id id; const char *value; } cases[] = {
		{ "", OPT_IMAGES_DIR, "." },
		{ "\n\n\r\n \t\n", OPT_IMAGES_DIR, "." },
		{ "images-dir a", OPT_IMAGES_DIR, "a" },
		{ "images-dir a\n", OPT_IMAGES_DIR, "a" },
		{ "images-dir a\r\n", OPT_IMAGES_DIR, "a" },
		{ "\xef\xbb\xbfimages-dir a", OPT_IMAGES_DIR, "a" },
		{ "\t images-dir\t\ta \t", OPT_IMAGES_DIR, "a" },
		{ "images-dir=a", OPT_IMAGES_DIR, "a" },
		{ "images-dir \"a b\"", OPT_IMAGES_DIR, "a b" },
		{ "images-dir \"a \\\"b\\\" c\"", OPT_IMAGES_DIR, "a \"b\" c" },
		{ "images-dir \"a\\b\\\\c\"", OPT_IMAGES_DIR, "a\\b\\\\c" },
		{ "images-dir a\\b", OPT_IMAGES_DIR, "a\\b" },
		{ "images-dir \"a # b\" # c", OPT_IMAGES_DIR, "a # b" },
		{ "images-dir \"a\"# c", OPT_IMAGES_DIR, "a" },
		{ "images-dir a # c", OPT_IMAGES_DIR, "a" },
		{ "images-dir a#b", OPT_IMAGES_DIR, "a#b" },
		{ "images-dir a\"b", OPT_IMAGES_DIR, "a\"b" },
		{ "# images-dir a\nimages-dir b", OPT_IMAGES_DIR, "b" },
		{ "images-dir a\nimages-dir b", OPT_IMAGES_DIR, "b" },
		{ "images-dir \xc3\xa4/\xff", OPT_IMAGES_DIR, "\xc3\xa4/\xff" },
		{ "leave-running", OPT_LEAVE_RUNNING, "yes" },
		{ "leave-running # really", OPT_LEAVE_RUNNING, "yes" },
		{ "leave-running\nno-leave-running", OPT_LEAVE_RUNNING, "no" },
		{ "no-leave-running\nleave-running", OPT_LEAVE_RUNNING, "yes" },
		{ "verbosity 4", OPT_VERBOSITY, "4" },
		{ "verbosity", OPT_VERBOSITY, "3" },
		{ "ghost-limit 4K", OPT_GHOST_LIMIT, "4K" },
		{ "restore-detached\ntree 5", OPT_TREE, "5" }, /* of cr-restore: no business of cr-dump */
		{ "tcp-established\nport 80\nmanage-cgroups full\ncpu-cap", OPT_TIMEOUT, "10" },
		{ "manage-cgroups", OPT_MANAGE_CGROUPS, "soft" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_opts struct opts *o = NULL;
		cleanup_free char *value = NULL;
		struct err err = ERR_INIT;

		if (text(cases[i].text, strlen(cases[i].text), &o, &err))
			fail_msg("case %zu: %s: %s", i, err.object, err.reason);
		value = opt_value_text(o, cases[i].id);
		if (!value || strcmp(value, cases[i].value) != 0)
			fail_msg("case %zu: %s, not %s", i, value ? value : "unset", cases[i].value);
	}
}

static void errors(void **state)
{
	static const struct { const char *text, *where, *reason; } cases[] = {
		{ "leave-runing", "f:1:1", "leave-runing: unknown option" },
		{ "\n  tree x", "f:2:8", "tree: 'x' is not a number" },
		{ "\xef\xbb\xbftree x", "f:1:6", "not a number" },
		{ "tree", "f:1:1", "needs a value" },
		{ "tree # 5", "f:1:1", "needs a value" },
		{ "tree 1 2", "f:1:8", "tree: a second value" },
		{ "--tree 1", "f:1:1", "without dashes" },
		{ "no-tree", "f:1:1", "tree takes a value" },
		{ "leave-running yes", "f:1:15", "takes no value" },
		{ "images-dir \"a", "f:1:12", "not closed" },
		{ "images-dir \"a\\\"", "f:1:12", "not closed" },
		{ "images-dir \"a\"b", "f:1:15", "follows the closing quote" },
		{ "images-dir \"\"", "f:1:12", "is empty" },
		{ "config x", "f:1:1", "command line only" },
		{ "help", "f:1:1", "command line only" },
		{ "=", "f:1:1", "not the name" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "f:1:1", "not the name" },
		{ "network-lock none", "f:1:14", "none of" }, /* values are checked though nobody acts on them */
		{ "restore-detached yes", "f:1:18", "takes no value" },
		{ "ghost-limit 99999999999999999G", "f:1:13", "out of range" },
		{ "a\x01" "b", "f:1:1", "unknown option" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;

		if (text(cases[i].text, strlen(cases[i].text), &o, &err) >= 0)
			fail_msg("case %zu is accepted", i);
		assert_int_equal(err.kind, ERR_USAGE);
		if (strcmp(err.object, cases[i].where) != 0 || !strstr(err.reason, cases[i].reason))
			fail_msg("case %zu: %s: %s", i, err.object, err.reason);
	}
}

static void hostile(void **state)
{
	static const char nul[] = "leave-running\nimages-dir a\0b\n";
	cleanup_opts struct opts *o = NULL, *many = NULL, *twice = NULL;
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT, err2 = ERR_INIT, err3 = ERR_INIT, err4 = ERR_INIT;
	size_t n;

	assert_true(text(nul, sizeof(nul) - 1, &o, &err) < 0);
	assert_string_equal(err.object, "f:2:13");

	strbuf_puts(&b, "# ");
	while (b.len < (64 << 10))
		strbuf_puts(&b, "x");
	assert_int_equal(text(b.s, b.len, &o, &err2), 0);
	opt_free(take_ptr(o));
	strbuf_puts(&b, "x");
	assert_true(text(b.s, b.len, &o, &err2) < 0);
	assert_string_equal(err2.object, "f:1:65537");

	strbuf_reset(&b);
	while (b.len <= (1 << 20))
		strbuf_puts(&b, "#\n");
	assert_true(text(b.s, b.len, &o, &err3) < 0);

	/* As many values of a list as a file can hold: refused at a number, or counted once. */
	strbuf_reset(&b);
	for (int i = 0; i < 1025; i++)
		strbuf_printf(&b, "external unix[%d]\n", i);
	assert_true(text(b.s, b.len, &many, &err4) < 0);
	assert_string_equal(err4.object, "f:1025:10");
	strbuf_reset(&b);
	while (b.len < (1 << 20) - 64)
		strbuf_puts(&b, "external unix[1]\nexternal unix[2]\n");
	assert_int_equal(text(b.s, b.len, &twice, &err), 0);
	opt_list(twice, OPT_EXTERNAL, &n);
	assert_int_equal(n, 2);
}

static void notes(void **state)
{
	static const char s[] = "lazy-pages\nlazy-pages\nrestore-detached\nleave-running\n";
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	const char *const *v;
	size_t n;

	assert_int_equal(text(s, strlen(s), &o, &err), 0);
	v = opt_notes(o, &n);
	assert_int_equal(n, 1);
	assert_string_equal(v[0], "f:1:1: lazy-pages is known, but this cr-dump does not act on it");
	assert_false(opt_is_set(o, OPT_RESTORE_DETACHED));
}

/* ---- layers: each pair, so that the order is proved and not one chain of it ---- */

static char dir[] = "/tmp/cr-opt.XXXXXX";

static char *put(const char *name, const char *content)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	return path;
}

static int run(int argc, const char **argv, const struct opt_env *env, struct opts **o, struct err *err)
{
	return opt_resolve(opt_tool_of(TOOL_DUMP), argc, (char **)argv, env, o, err);
}

enum { SYSTEM, HOME, ENV, NAMED, ARGV, REQUEST, REQUEST_FILE, LAYERS };

static void layer_pairs(void **state)
{
	char *paths[LAYERS] = { NULL };
	cleanup_free char *criu = xasprintf("%s/.criu", dir);

	mkdir(criu, 0700);
	paths[SYSTEM] = put("system", "images-dir layer0\nverbosity 1\n");
	paths[HOME] = put(".criu/default.conf", "images-dir layer1\n");
	paths[ENV] = put("env", "images-dir layer2\n");
	paths[NAMED] = put("named", "images-dir layer3\n");
	paths[REQUEST_FILE] = put("request", "images-dir layer6\n");
	for (unsigned set = 0; set < 1u << LAYERS; set++) {
		struct opt_env env = { set & 1 ? paths[SYSTEM] : "/nonexistent/x", set & 2 ? dir : "/nonexistent",
				       set & 4 ? paths[ENV] : NULL };
		const char *argv[8] = { "cr-dump" };
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;
		const struct opt_use *u;
		char want[16] = ".";
		cleanup_free char *json = xasprintf("{\"opts\": {%s%s%s%s%s}}", set & 32 ? "\"images_dir\": \"layer5\"" : "",
						    (set & 96) == 96 ? ", " : "", set & 64 ? "\"config_file\": \"" : "",
						    set & 64 ? paths[REQUEST_FILE] : "", set & 64 ? "\"" : "");
		cleanup_rpc struct opt_rpc *rpc = NULL;
		size_t n, counted = 0;
		int argc = 1;

		if (set & 96)
			assert_int_equal(opt_rpc_parse("request", json, strlen(json), &rpc, &err), 0);
		env.rpc = rpc;

		if (set & 8) {
			argv[argc++] = "--config";
			argv[argc++] = paths[NAMED];
		}
		if (set & 16) {
			argv[argc++] = "-D";
			argv[argc++] = "layer4";
		}
		for (int l = 0; l < LAYERS; l++) {
			if (!(set & 1u << l) || (l <= HOME && (set & 8)))
				continue;
			snprintf(want, sizeof(want), "layer%d", l);
			counted++;
		}
		if (run(argc, argv, &env, &o, &err))
			fail_msg("set %u: %s %s", set, err.object, err.reason);
		assert_string_equal(opt_str(o, OPT_IMAGES_DIR), want);
		u = opt_uses(o, OPT_IMAGES_DIR, &n);
		assert_int_equal(n, counted);
		for (size_t i = 1; i < n; i++)
			assert_true(u[i].origin.layer > u[i - 1].origin.layer);
	}
	for (int i = 0; i < LAYERS; i++) {
		if (!paths[i])
			continue;
		unlink(paths[i]);
		free(paths[i]);
	}
	rmdir(criu);
}

/* Lists add up in the order of the layers, each value once; a switch is turned by whoever comes last. */
static void layers_of_lists(void **state)
{
	static const char request[] = "{\"external\": [\"rpc\", \"all\"], \"leave_running\": true}";
	cleanup_free char *criu = xasprintf("%s/.criu", dir), *system = put("system", "external all\nexternal system\nleave-running");
	cleanup_free char *home = NULL, *env_file = put("env", "external env\nexternal all\nexternal system\nno-leave-running\n");
	static const char *const want[] = { "all", "system", "home", "env", "rpc" };
	struct opt_env env = { system, dir, env_file, NULL };
	const char *argv[] = { "cr-dump", "--no-leave-running", NULL };
	cleanup_rpc struct opt_rpc *rpc = NULL;
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	const char *const *v;
	size_t n;

	mkdir(criu, 0700);
	home = put(".criu/default.conf", "external home\nexternal all\n");
	assert_int_equal(opt_rpc_parse("request", request, strlen(request), &rpc, &err), 0);
	env.rpc = rpc;
	assert_int_equal(run(2, argv, &env, &o, &err), 0);
	v = opt_list(o, OPT_EXTERNAL, &n);
	assert_int_equal(n, ARRAY_SIZE(want));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(v[i], want[i]);
	opt_uses(o, OPT_EXTERNAL, &n);
	assert_int_equal(n, 9);
	assert_true(opt_bool(o, OPT_LEAVE_RUNNING));
	opt_uses(o, OPT_LEAVE_RUNNING, &n);
	assert_int_equal(n, 4);
	unlink(system);
	unlink(home);
	unlink(env_file);
	rmdir(criu);
}

static void bad_files(void **state)
{
	cleanup_free char *fifo = xasprintf("%s/fifo", dir), *big = xasprintf("%s/big", dir), *same = put("same", "external a\n");
	const char *const bad[] = { "/nonexistent/file", dir, fifo, big, "/dev/zero" };
	const char *plain[] = { "cr-dump", NULL };
	struct opt_env env = { NULL, NULL, NULL };
	cleanup_opts struct opts *o = NULL, *null = NULL;
	struct err err = ERR_INIT;
	size_t n;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	fclose(fopen(big, "w"));
	assert_int_equal(truncate(big, (1 << 20) + 1), 0);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		const char *argv[] = { "cr-dump", "--config", bad[i / 2], NULL };
		struct err e = ERR_INIT;

		env.config_file = i % 2 ? bad[i / 2] : NULL; /* by the variable, too */
		assert_true(run(i % 2 ? 1 : 3, argv, &env, &o, &e) < 0);
		assert_int_equal(e.kind, ERR_USAGE);
		assert_string_equal(e.object, bad[i / 2]);
		assert_null(o);
	}
	/* A default file that is there but unreadable as one is an error as well. */
	env = (struct opt_env){ fifo, NULL, NULL };
	assert_true(run(1, plain, &env, &o, &err) < 0);
	/* /dev/null is the usual word for "none". */
	env = (struct opt_env){ NULL, NULL, "/dev/null" };
	assert_int_equal(run(1, plain, &env, &null, &err), 0);
	/* One file in two layers counts in the later one as well, and a list has its values once all the same. */
	env.config_file = same;
	assert_int_equal(run(3, (const char *[]){ "cr-dump", "--config", same, NULL }, &env, &o, &err), 0);
	opt_list(o, OPT_EXTERNAL, &n);
	assert_int_equal(n, 1);
	opt_free(take_ptr(o));
	env = (struct opt_env){ same, NULL, same, NULL };
	assert_int_equal(run(1, plain, &env, &o, &err), 0);
	assert_int_equal(opt_uses(o, OPT_EXTERNAL, &n)[n - 1].origin.layer, OPT_L_ENV);
	opt_list(o, OPT_EXTERNAL, &n);
	assert_int_equal(n, 1);
	unlink(fifo);
	unlink(big);
	unlink(same);
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
		cmocka_unit_test(syntax), cmocka_unit_test(errors),	 cmocka_unit_test(hostile),
		cmocka_unit_test(notes),  cmocka_unit_test(layer_pairs), cmocka_unit_test(bad_files),
		cmocka_unit_test(layers_of_lists),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
