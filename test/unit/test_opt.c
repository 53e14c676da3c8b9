/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table itself, and the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/opt/opt.h"

#define ARGV_MAX 16

static int resolve(const char *tool, const char *const *args, struct opts **o, struct err *err)
{
	static const struct opt_env none = { NULL, NULL, NULL };
	char *argv[ARGV_MAX + 2] = { (char *)tool };
	int n = 1;

	while (args[n - 1]) {
		argv[n] = (char *)args[n - 1];
		assert_true(++n <= ARGV_MAX);
	}
	return opt_resolve(opt_tool_named(tool), n, argv, &none, o, err);
}
#define resolve_(tool, o, err, ...) resolve(tool, (const char *const[]){ __VA_ARGS__, NULL }, o, err)

/* Every row: names unlike each other, letters of one binary unlike each other, defaults that their own row accepts. */
static void table(void **state)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_def *d = &opt_defs[i];

		assert_non_null(d->name);
		assert_true(d->help && d->help[0] && d->help[strlen(d->help) - 1] != '.');
		assert_int_equal(d->acts & ~d->takes, 0);
		assert_true((d->type == OPT_T_BOOL) == (d->arg == NULL));
		assert_true((d->type == OPT_T_ENUM) == (d->values != NULL));
		assert_true(d->max >= d->min || !d->max);
		assert_ptr_equal(opt_find(d->name, NULL) == i ? d : NULL, d);
		for (unsigned k = 0; k < i; k++) {
			assert_string_not_equal(d->name, opt_defs[k].name);
			if (!d->letter || d->letter != opt_defs[k].letter)
				continue;
			for (const struct opt_tool *t = opt_tools; t->name; t++)
				assert_false((d->takes & t->tools) && (opt_defs[k].takes & t->tools));
		}
	}
}

/* Options that scripts and files for CRIU use; none may be unknown. */
static void known_names(void **state)
{
	static const char *const names[] = {
		"tree", "images-dir", "work-dir", "leave-running", "leave-stopped", "restore-detached", "restore-sibling",
		"log-file", "verbosity", "pidfile", "timeout", "exec-cmd", "display-stats", "ghost-limit", "shell-job",
		"skip-file-rwx-check", "file-validation", "config", "no-default-config", "version", "help", "tcp-established",
		"tcp-close", "ext-unix-sk", "link-remap", "file-locks", "external", "inherit-fd", "manage-cgroups",
		"freeze-cgroup", "cgroup-root", "cgroup-props", "cgroup-props-file", "cgroup-dump-controller", "cgroup-yard",
		"evasive-devices", "force-irmap", "irmap-scan-path", "root", "veth-pair", "join-ns", "empty-ns", "lsm-profile",
		"lsm-mount-context", "weak-sysctls", "lazy-pages", "page-server", "address", "port", "ps-socket", "daemon",
		"status-fd", "tls", "tls-cacert", "tls-cacrl", "tls-cert", "tls-key", "tls-no-cn-verify", "track-mem",
		"prev-images-dir", "auto-dedup", "pre-dump-mode", "stream", "libdir", "action-script", "enable-fs", "skip-mnt",
		"ext-mount-map", "cpu-cap", "log-pid", "close", "network-lock", "skip-in-flight", "mntns-compat-mode",
		"unprivileged", "ghost-fiemap", "feature", "extra", "experimental", "all", "enable-external-sharing",
		"enable-external-masters", "allow-uprobes", "deprecated", "ms",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (opt_find(names[i], NULL) == OPT_COUNT_)
			fail_msg("%s is not in the table", names[i]);
}

static void forms(void **state)
{
	static const struct { const char *args[6]; enum opt_id id; const char *value; } cases[] = {
		{ { "--tree", "7" }, OPT_TREE, "7" },	     { { "--tree=7" }, OPT_TREE, "7" },
		{ { "-t7" }, OPT_TREE, "7" },		     { { "-t", "7" }, OPT_TREE, "7" },
		{ { "-Rt7" }, OPT_TREE, "7" },		     { { "-Rt7" }, OPT_LEAVE_RUNNING, "yes" },
		{ { "-R", "--no-leave-running" }, OPT_LEAVE_RUNNING, "no" },
		{ { "--no-leave-running", "-R" }, OPT_LEAVE_RUNNING, "yes" },
		{ { "-v" }, OPT_VERBOSITY, "3" },	     { { "-vv" }, OPT_VERBOSITY, "4" },
		{ { "-vvvvvv" }, OPT_VERBOSITY, "4" },	     { { "-v0" }, OPT_VERBOSITY, "0" },
		{ { "-v1", "-v" }, OPT_VERBOSITY, "2" },     { { "-v4R" }, OPT_LEAVE_RUNNING, "yes" },
		{ { "--verbosity=1" }, OPT_VERBOSITY, "1" }, { { "--verbosity" }, OPT_VERBOSITY, "3" },
		{ { "-D", "a", "-D", "b" }, OPT_IMAGES_DIR, "b" },
		{ { "-D", "-x" }, OPT_IMAGES_DIR, "-x" },    { { "--images-dir=a=b" }, OPT_IMAGES_DIR, "a=b" },
		{ { "-R" }, OPT_IMAGES_DIR, "." },	     { { "-R" }, OPT_TIMEOUT, "10" },
		{ { "--log-format=json" }, OPT_LOG_FORMAT, "json" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;
		cleanup_free char *value = NULL;

		if (resolve("cr-dump", cases[i].args, &o, &err))
			fail_msg("case %zu: %s", i, err.reason);
		value = opt_value_text(o, cases[i].id);
		assert_string_equal(value, cases[i].value);
	}
}

static void sizes(void **state)
{
	static const struct { const char *text; uint64_t size; } good[] = {
		{ "0", 0 }, { "1", 1 }, { "4k", 4096 }, { "4K", 4096 }, { "1M", 1 << 20 }, { "3g", 3ull << 30 },
		{ "9223372036854775807", INT64_MAX }, { "8589934591G", 8589934591ull << 30 },
	};
	static const char *const bad[] = { "", "K", "-1", "+1", "1T", "1KK", "1 K", "1.5M", "0x10", "8589934592G",
					   "9223372036854775808", "99999999999999999999999999999999999999999999" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(resolve_("cr-dump", &o, &err, "--ghost-limit", good[i].text), 0);
		assert_true(opt_size(o, OPT_GHOST_LIMIT) == good[i].size);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;

		assert_true(resolve_("cr-dump", &o, &err, "--ghost-limit", bad[i]) < 0);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_null(o);
	}
}

static void refusals(void **state)
{
	static const struct { const char *tool, *args[5], *reason, *hint; } cases[] = {
		{ "cr-dump", { "--tre", "1" }, "unknown option --tre", "--tree" },
		{ "cr-dump", { "--leave-runing" }, "unknown option --leave-runing", "--leave-running" },
		{ "cr-dump", { "--no-leave-runing" }, "unknown option --no-leave-runing", "--leave-running" },
		{ "cr-dump", { "--xyzzy-plugh" }, "unknown option --xyzzy-plugh", "--help" },
		{ "cr-dump", { "--no-tree" }, "takes a value", "" },
		{ "cr-dump", { "--leave-running=yes" }, "--leave-running takes no value", "--no-leave-running" },
		{ "cr-dump", { "--tree" }, "--tree needs a value", "" },
		{ "cr-dump", { "-t" }, "needs a value", "" },
		{ "cr-dump", { "-t", "x" }, "--tree: 'x' is not a number", "" },
		{ "cr-dump", { "-t", "0" }, "out of range", "" },
		{ "cr-dump", { "-t", "-5" }, "out of range", "" },
		{ "cr-dump", { "-t", "99999999999999999999" }, "out of range", "" },
		{ "cr-dump", { "-t", " 1" }, "not a number", "" },
		{ "cr-dump", { "-t", "12x" }, "not a number", "" },
		{ "cr-dump", { "--images-dir=" }, "is empty", "" },
		{ "cr-dump", { "-Z" }, "unknown option -Z", "--help" },
		{ "cr-dump", { "-d" }, "unknown option -d", "cr-restore" },
		{ "cr-dump", { "--plan" }, "cr-dump has no option --plan", "cr-restore" },
		{ "cr-dump", { "--lazy-pages" }, "does not act on it", "" },
		{ "cr-restore", { "--daemon" }, "does not act on it", "" },
		{ "cr-dump", { "extra" }, "unexpected argument 'extra'", "--help" },
		{ "cr-dump", { "--", "-R" }, "unexpected argument '-R'", "--help" },
		{ "cr-dump", { "-" }, "unexpected argument '-'", "--help" },
		{ "cr-dump", { "-v9" }, "out of range", "" },
		{ "cr-dump", { "--log-format=xml" }, "none of text|json", "" },
		{ "cr-image", { "--json" }, "a command is missing", "--help" },
		{ "cr-image", { "shwo" }, "unknown command 'shwo'", "show" },
		{ "cr-image", { "info" }, "is missing", "--help" },
		{ "cr-image", { "info", "x", "--pretty" }, "cr-image info has no option --pretty", "subcommand" },
		{ "cr-image", { "decode", "a", "b" }, "unexpected argument 'b'", "--help" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;

		if (resolve(cases[i].tool, cases[i].args, &o, &err) >= 0)
			fail_msg("case %zu is accepted", i);
		assert_int_equal(err.kind, ERR_USAGE);
		if (!strstr(err.reason, cases[i].reason) || !strstr(err.hint, cases[i].hint))
			fail_msg("case %zu: %s; %s", i, err.reason, err.hint);
	}
}

static void operands(void **state)
{
	cleanup_opts struct opts *o = NULL, *image = NULL;
	struct err err = ERR_INIT;
	char **v;
	int n;

	assert_int_equal(resolve_("cr-restore", &o, &err, "--exec-cmd", "-d", "--", "sh", "-c", "exit 3", "--"), 0);
	v = opt_operands(o, &n);
	assert_int_equal(n, 4);
	assert_string_equal(v[1], "-c");
	assert_string_equal(v[3], "--");
	assert_null(v[4]);
	assert_true(opt_bool(o, OPT_RESTORE_DETACHED));

	/* A subcommand is no operand; options stand anywhere. */
	assert_int_equal(resolve_("cr-image", &image, &err, "decode", "-o", "out", "a.img", "--pretty"), 0);
	assert_string_equal(opt_command(image)->name, "decode");
	v = opt_operands(image, &n);
	assert_int_equal(n, 1);
	assert_string_equal(v[0], "a.img");
	assert_string_equal(opt_str(image, OPT_OUT), "out");
	assert_true(opt_bool(image, OPT_PRETTY));
}

static void origins(void **state)
{
	cleanup_opts struct opts *o = NULL;
	cleanup_free char *last = NULL, *first = NULL, *deflt = NULL;
	struct opt_origin none = { .layer = OPT_L_DEFAULT };
	struct err err = ERR_INIT;
	const struct opt_use *u;
	size_t n;

	assert_int_equal(resolve_("cr-dump", &o, &err, "-t", "1", "-D", "a", "--images-dir=b"), 0);
	u = opt_uses(o, OPT_IMAGES_DIR, &n);
	assert_int_equal(n, 2);
	first = opt_origin_text(&u[0].origin);
	last = opt_origin_text(&u[1].origin);
	deflt = opt_origin_text(&none);
	assert_string_equal(first, "argv[3]");
	assert_string_equal(last, "argv[5]");
	assert_string_equal(deflt, "default");
	assert_true(opt_is_set(o, OPT_TREE));
	assert_false(opt_is_set(o, OPT_TIMEOUT));
	assert_int_equal(opt_int(o, OPT_TIMEOUT), 10);
	assert_true(opt_size(o, OPT_GHOST_LIMIT) == 1 << 20);
	assert_null(opt_str(o, OPT_WORK_DIR));
	assert_true(opt_is(o, OPT_LOG_FORMAT, "text"));
	assert_int_equal(opt_enum(o, OPT_MANAGE_CGROUPS), -1);
}

static void lists(void **state)
{
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	const char *const *v;
	size_t n;

	assert_int_equal(resolve_("cr-check", &o, &err, "--feature", "a", "--feature=b,c", "--feature", "a"), 0);
	v = opt_list(o, OPT_FEATURE, &n);
	assert_int_equal(n, 2);
	assert_string_equal(v[0], "a");
	assert_string_equal(v[1], "b,c");
	assert_null(v[2]);
}

/* What is printed has a line for each option that the binary acts on, and no line of another's. */
static void printing(void **state)
{
	for (const struct opt_tool *t = opt_tools; t->name; t++) {
		char *text = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&text, &len);

		opt_print_help(t, NULL, f);
		fclose(f);
		for (unsigned i = 0; i < OPT_COUNT_; i++) {
			cleanup_free char *name = xasprintf(" --%s", opt_defs[i].name);
			const char *at = text;
			bool there = false;

			while ((at = strstr(at, name)) && !there)
				there = strchr(" [\n", *(at += strlen(name))) != NULL;
			if (there != ((opt_defs[i].acts & t->tools) && !(opt_defs[i].flags & OPT_F_HIDDEN)) &&
			    !(i == OPT_EXEC_CMD && t->task_status))
				fail_msg("%s --help and --%s", t->name, opt_defs[i].name);
		}
		for (const char *line = text; *line; line = strchrnul(line, '\n') + 1)
			assert_true(strchrnul(line, '\n') - line <= 80);
		free(text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),    cmocka_unit_test(known_names), cmocka_unit_test(forms), cmocka_unit_test(sizes),
		cmocka_unit_test(refusals), cmocka_unit_test(operands),	   cmocka_unit_test(origins), cmocka_unit_test(lists),
		cmocka_unit_test(printing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
