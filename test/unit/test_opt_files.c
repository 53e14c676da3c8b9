/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files by the hundred: each row is a file and what becomes of it, either the value of one option or the place and
 * the reason of the error. What is accepted must also survive being written as a file and read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/opt/opt.h"

struct row {
	const char *text;
	enum opt_id id;	   /* OPT_COUNT_: the file is wrong */
	const char *value; /* as opt_value_text has it, NULL: unset; of a wrong file its place */
	const char *reason;
};

#define W OPT_WORK_DIR
#define BAD(text, place, reason) { text, OPT_COUNT_, place, reason }

static const struct row dump_rows[] = {
	/* blank lines, ends of lines, byte order marks */
	{ "", W, NULL }, { "\n", W, NULL }, { "\r\n", W, NULL }, { " ", W, NULL }, { "\t\t\n \n", W, NULL },
	{ "\n\n\nwork-dir a", W, "a" }, { "work-dir a", W, "a" }, { "work-dir a\n", W, "a" }, { "work-dir a\r\n", W, "a" },
	{ "work-dir a\r\n\r\n", W, "a" }, { "work-dir a\n\n\n", W, "a" }, { "work-dir a\r", W, "a" },
	{ "work-dir a\r\r\n", W, "a\r" }, { "\xef\xbb\xbf", W, NULL }, { "\xef\xbb\xbfwork-dir a", W, "a" },
	{ "\xef\xbb\xbf# x\nwork-dir a", W, "a" }, { "\xef\xbb\xbf\r\nwork-dir a", W, "a" },
	BAD("work-dir a\n\xef\xbb\xbfwork-dir b", "f:2:1", "unknown option"), BAD("\xef\xbb", "f:1:1", "unknown option"),
	/* white space */
	{ " work-dir a", W, "a" }, { "\twork-dir a", W, "a" }, { "work-dir\ta", W, "a" }, { "work-dir \t \ta", W, "a" },
	{ "work-dir a ", W, "a" }, { "work-dir a\t", W, "a" }, { "\vwork-dir\fa", W, "a" }, { "work-dir a \r\n", W, "a" },
	{ "work-dir=a", W, "a" }, { "work-dir==a", W, "=a" }, { "work-dir =a", W, "=a" }, { "work-dir a=b", W, "a=b" },
	{ "work-dir=\"a b\"", W, "a b" }, BAD("work-dir= a", "f:1:11", "a second value"), BAD("work-dir=", "f:1:1", "needs a value"),
	/* quotes */
	{ "work-dir \"a\"", W, "a" }, { "work-dir \"a b\"", W, "a b" }, { "work-dir \" a \"", W, " a " },
	{ "work-dir \"a\tb\"", W, "a\tb" }, { "work-dir \"a\"  ", W, "a" }, { "work-dir \"a\"\r\n", W, "a" },
	{ "work-dir \"\\\"\"", W, "\"" }, { "work-dir \"\\\"\\\"\"", W, "\"\"" }, { "work-dir \"a\\\"b\"", W, "a\"b" },
	{ "work-dir a\"b\"", W, "a\"b\"" }, { "work-dir a\"", W, "a\"" }, { "work-dir 'a'", W, "'a'" },
	{ "work-dir \"'a b'\"", W, "'a b'" },
	BAD("work-dir \"a", "f:1:10", "not closed"), BAD("work-dir \"", "f:1:10", "not closed"),
	BAD("work-dir \"a\\\"", "f:1:10", "not closed"), BAD("work-dir \"a\nb\"", "f:1:10", "not closed"),
	BAD("work-dir \"a\"b", "f:1:13", "follows the closing quote"), BAD("work-dir \"a\"\"b\"", "f:1:13", "follows"),
	BAD("work-dir \"\"", "f:1:10", "empty"), BAD("work-dir 'a b'", "f:1:13", "a second value"),
	BAD("\"work-dir\" a", "f:1:1", "unknown option"), BAD("\"work-dir a\"", "f:1:1", "unknown option"),
	/* backslashes */
	{ "work-dir a\\b", W, "a\\b" }, { "work-dir a\\", W, "a\\" }, { "work-dir \\n", W, "\\n" },
	{ "work-dir \\\\", W, "\\\\" }, { "work-dir \"a\\b c\"", W, "a\\b c" }, { "work-dir \"a\\\\b\"", W, "a\\\\b" },
	{ "work-dir \"a\\\\\\\"b\"", W, "a\\\\\"b" }, { "work-dir \"a\\#b\"", W, "a\\#b" }, { "work-dir a\\#b", W, "a\\#b" },
	BAD("work-dir a\\ b", "f:1:13", "a second value"), BAD("work-dir \\\nleave-running x", "f:2:15", "no value"),
	/* comments */
	{ "# work-dir a", W, NULL }, { "#work-dir a", W, NULL }, { "  # work-dir a", W, NULL }, { "#", W, NULL },
	{ "##", W, NULL }, { "work-dir a # b", W, "a" }, { "work-dir a\t#b", W, "a" }, { "work-dir a #", W, "a" },
	{ "work-dir \"a # b\"", W, "a # b" }, { "work-dir \"#\"", W, "#" }, { "work-dir \"a\" # \"b\"", W, "a" },
	{ "work-dir \"a\"#b", W, "a" }, { "work-dir a#b", W, "a#b" }, { "work-dir a# b", OPT_COUNT_, "f:1:13", "a second value" },
	{ "work-dir=#a", W, "#a" }, { "leave-running # x", OPT_LEAVE_RUNNING, "yes" },
	{ "leave-running #x y z", OPT_LEAVE_RUNNING, "yes" }, { "no-leave-running # x", OPT_LEAVE_RUNNING, "no" },
	BAD("work-dir # a", "f:1:1", "needs a value"), BAD("leave-running# x", "f:1:1", "unknown option"),
	{ "# \"\nwork-dir a", W, "a" }, { "#\\\nwork-dir a", W, "a" },
	/* switches */
	{ "leave-running", OPT_LEAVE_RUNNING, "yes" }, { "no-leave-running", OPT_LEAVE_RUNNING, "no" },
	{ "leave-running\nno-leave-running", OPT_LEAVE_RUNNING, "no" },
	{ "no-leave-running\nleave-running", OPT_LEAVE_RUNNING, "yes" },
	{ "leave-running\nleave-running", OPT_LEAVE_RUNNING, "yes" },
	{ "leave-running\nno-leave-running\nleave-running", OPT_LEAVE_RUNNING, "yes" },
	{ "", OPT_LEAVE_RUNNING, "no" }, { "shell-job", OPT_SHELL_JOB, "yes" }, { "display-stats\r\n", OPT_DISPLAY_STATS, "yes" },
	BAD("leave-running yes", "f:1:15", "takes no value"), BAD("leave-running=1", "f:1:15", "takes no value"),
	BAD("no-leave-running 1", "f:1:18", "takes no value"), BAD("no-no-leave-running", "f:1:1", "unknown option"),
	BAD("no-work-dir", "f:1:1", "cannot be switched off"), BAD("no-tree 1", "f:1:1", "cannot be switched off"),
	BAD("no-verbosity", "f:1:1", "cannot be switched off"), BAD("no-external a", "f:1:1", "cannot be switched off"),
	BAD("no-", "f:1:1", "unknown option"), BAD("no", "f:1:1", "unknown option"),
	/* numbers and sizes */
	{ "tree 1", OPT_TREE, "1" }, { "tree 2147483647", OPT_TREE, "2147483647" }, { "timeout 0", OPT_TIMEOUT, "0" },
	{ "", OPT_TIMEOUT, "10" }, { "ghost-limit 0", OPT_GHOST_LIMIT, "0" }, { "ghost-limit 7k", OPT_GHOST_LIMIT, "7k" },
	{ "ghost-limit \"7M\"", OPT_GHOST_LIMIT, "7M" }, { "verbosity 0", OPT_VERBOSITY, "0" },
	{ "verbosity", OPT_VERBOSITY, "3" }, { "verbosity\nverbosity", OPT_VERBOSITY, "4" },
	{ "verbosity\nverbosity\nverbosity", OPT_VERBOSITY, "4" }, { "verbosity 1\nverbosity", OPT_VERBOSITY, "2" },
	BAD("tree", "f:1:1", "needs a value"), BAD("tree 0", "f:1:6", "out of range"), BAD("tree -1", "f:1:6", "out of range"),
	BAD("tree x", "f:1:6", "not a number"), BAD("tree 1x", "f:1:6", "not a number"), BAD("tree 0x1", "f:1:6", "not a number"),
	BAD("tree 2147483648", "f:1:6", "out of range"), BAD("tree \"1 \"", "f:1:6", "not a number"),
	BAD("tree 99999999999999999999999", "f:1:6", "out of range"), BAD("tree 1.5", "f:1:6", "not a number"),
	BAD("tree 1 2", "f:1:8", "a second value"), BAD("verbosity 5", "f:1:11", "out of range"),
	BAD("verbosity -1", "f:1:11", "out of range"), BAD("ghost-limit 1T", "f:1:13", "not a size"),
	BAD("ghost-limit M", "f:1:13", "not a size"), BAD("ghost-limit -1", "f:1:13", "size"),
	BAD("ghost-limit 9999999999G", "f:1:13", "out of range"), BAD("port 65536", "f:1:6", "out of range"),
	/* words */
	{ "log-format json", OPT_LOG_FORMAT, "json" }, { "log-format \"json\"", OPT_LOG_FORMAT, "json" },
	{ "manage-cgroups", OPT_MANAGE_CGROUPS, "soft" }, { "manage-cgroups # x", OPT_MANAGE_CGROUPS, "soft" },
	{ "manage-cgroups strict", OPT_MANAGE_CGROUPS, "strict" }, { "cpu-cap", OPT_CPU_CAP, "all" },
	{ "network-lock skip", OPT_NETWORK_LOCK, "skip" }, { "file-validation filesize", OPT_FILE_VALIDATION, "filesize" },
	BAD("log-format", "f:1:1", "needs a value"), BAD("log-format JSON", "f:1:12", "none of text|json"),
	BAD("log-format js", "f:1:12", "none of"), BAD("log-format text|json", "f:1:12", "none of"),
	BAD("manage-cgroups hard", "f:1:16", "none of"), BAD("log-format \"\"", "f:1:12", "none of"),
	/* lists */
	{ "external a", OPT_EXTERNAL, "a" }, { "external a\nexternal b", OPT_EXTERNAL, "a b" },
	{ "external b\nexternal a\nexternal b", OPT_EXTERNAL, "b a" }, { "external a\nexternal a", OPT_EXTERNAL, "a" },
	{ "external a,b\nexternal a", OPT_EXTERNAL, "a,b a" }, { "external \"a b\"", OPT_EXTERNAL, "a b" },
	{ "skip-mnt /a\nexternal x\nskip-mnt /b", OPT_SKIP_MNT, "/a /b" }, { "ext-unix-sk", OPT_EXT_UNIX_SK, "" },
	{ "ext-unix-sk 5", OPT_EXT_UNIX_SK, "5" }, { "action-script /x\naction-script /y", OPT_ACTION_SCRIPT, "/x /y" },
	{ "external mnt[]", OPT_EXTERNAL, "mnt[]" }, { "veth-pair a=b", OPT_VETH_PAIR, NULL },
	BAD("external", "f:1:1", "needs a value"), BAD("external \"\"", "f:1:10", "empty"),
	BAD("external a b", "f:1:12", "a second value"),
	/* which binary an option is for */
	{ "restore-detached\nwork-dir a", W, "a" }, { "pretty\nwork-dir a", W, "a" }, { "json\nquiet\nwork-dir a", W, "a" },
	{ "feature x\nwork-dir a", W, "a" }, { "plan\nexec-cmd\nin x\nout y\nwork-dir a", W, "a" },
	{ "daemon\nwork-dir a", W, "a" }, { "restore-detached", OPT_TREE, NULL },
	BAD("restore-detached 1", "f:1:18", "takes no value"), BAD("feature", "f:1:1", "needs a value"),
	/* names */
	BAD("work-dri a", "f:1:1", "work-dri: unknown option"), BAD("WORK-DIR a", "f:1:1", "unknown option"),
	BAD("work_dir a", "f:1:1", "unknown option"), BAD("work-di a", "f:1:1", "unknown option"),
	BAD("-D a", "f:1:1", "without dashes"), BAD("--work-dir a", "f:1:1", "without dashes"), BAD("-", "f:1:1", "unknown"),
	BAD("  --x", "f:1:3", "without dashes"), BAD("D a", "f:1:1", "unknown option"), BAD("=", "f:1:1", "not the name"),
	BAD("=a", "f:1:1", "not the name"), BAD("[dump]", "f:1:1", "unknown option"), BAD("; x", "f:1:1", "unknown option"),
	BAD("// x", "f:1:1", "unknown option"), BAD("work-dir: a", "f:1:1", "unknown option"),
	BAD("\xff\xfe", "f:1:1", "unknown option"), BAD("\x1b[31m", "f:1:1", "unknown option"),
	/* commands, and what asks for something else */
	BAD("dump", "f:1:1", "a command"), BAD("restore", "f:1:1", "a command"), BAD("pre-dump", "f:1:1", "command line only"),
	BAD("check", "f:1:1", "command line only"), BAD("show", "f:1:1", "a command"), BAD("service", "f:1:1", "a command"),
	BAD("help", "f:1:1", "command line only"), BAD("version", "f:1:1", "command line only"),
	BAD("config x", "f:1:1", "command line only"), BAD("no-default-config", "f:1:1", "command line only"),
	BAD("resolve", "f:1:1", "command line only"), BAD("validate", "f:1:1", "command line only"),
	BAD("completion", "f:1:1", "command line only"),
	/* the first error is told, with its line */
	BAD("work-dir a\n\n# c\nx\ny", "f:4:1", "x: unknown option"), BAD("work-dir a\r\n x", "f:2:2", "unknown option"),
	/* later lines win */
	{ "work-dir a\nwork-dir b", W, "b" }, { "work-dir b\nwork-dir a\nwork-dir b", W, "b" },
};

static int resolve(const struct row *r, struct opts **o, struct err *err)
{
	return opt_resolve_text(opt_tool_of(TOOL_DUMP), "f", r->text, strlen(r->text), o, err);
}

static void rows(void **state)
{
	assert_true(ARRAY_SIZE(dump_rows) >= 150);
	for (size_t i = 0; i < ARRAY_SIZE(dump_rows); i++) {
		const struct row *r = &dump_rows[i];
		cleanup_opts struct opts *o = NULL;
		cleanup_free char *value = NULL;
		struct err err = ERR_INIT;
		int ret = resolve(r, &o, &err);

		if (r->id == OPT_COUNT_) {
			if (!ret)
				fail_msg("row %zu '%s' is accepted", i, r->text);
			if (err.kind != ERR_USAGE || strcmp(err.object, r->value) != 0 || !strstr(err.reason, r->reason))
				fail_msg("row %zu '%s': %s: %s", i, r->text, err.object, err.reason);
			continue;
		}
		if (ret)
			fail_msg("row %zu '%s': %s: %s", i, r->text, err.object, err.reason);
		value = opt_value_text(o, r->id);
		if (!value != !r->value || (value && strcmp(value, r->value) != 0))
			fail_msg("row %zu '%s': %s, not %s", i, r->text, value ? value : "unset", r->value ? r->value : "unset");
	}
}

/* What was accepted, written and read again, is the same. */
static void again(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(dump_rows); i++) {
		const struct row *r = &dump_rows[i];
		cleanup_opts struct opts *o = NULL, *two = NULL;
		cleanup_strbuf struct strbuf conf = STRBUF_INIT;
		cleanup_free char *value = NULL;
		struct err err = ERR_INIT;

		if (r->id == OPT_COUNT_)
			continue;
		assert_int_equal(resolve(r, &o, &err), 0);
		if (opt_put_conf(o, OPT_COUNT_, &conf, &err) < 0)
			fail_msg("row %zu '%s': %s", i, r->text, err.reason);
		if (opt_resolve_text(opt_tool_of(TOOL_DUMP), "g", conf.s, conf.len, &two, &err) < 0)
			fail_msg("row %zu '%s' as '%s': %s", i, r->text, conf.s, err.reason);
		value = opt_value_text(two, r->id);
		if (!value != !r->value || (value && strcmp(value, r->value) != 0))
			fail_msg("row %zu: '%s' became '%s'", i, r->text, conf.s);
	}
}

/* ---- checking: the same rows, all in one file ---- */

struct seen { unsigned errors, warnings, line, forms; };

static void see(void *arg, const struct opt_problem *p)
{
	struct seen *s = arg;

	assert_true(p->reason[0] && (!p->line || (p->column && p->width && p->source)));
	if (p->line && p->column > p->source_len + 1)
		fail_msg("line %u, column %u is beyond the line", p->line, p->column);
	*(p->warning ? &s->warnings : &s->errors) += 1;
	s->forms += strstr(p->reason, "has not the form") != NULL;
	s->line = p->line;
}

/* Each wrong line is found wherever it stands, and a right one is not; so errors hide nothing. */
static void check_all(void **state)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct seen s = { 0 };
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dump_rows); i++) {
		struct seen one = { 0 };

		if (!dump_rows[i].text[0])
			continue;
		opt_check_text("f", dump_rows[i].text, strlen(dump_rows[i].text), see, &one);
		if (!one.errors != (dump_rows[i].id != OPT_COUNT_))
			fail_msg("row %zu '%s': %u errors", i, dump_rows[i].text, one.errors);
		if ((unsigned char)dump_rows[i].text[0] == 0xef) /* a byte order mark is one at the beginning only */
			continue;
		wrong += one.errors;
		strbuf_printf(&b, "%s\n", dump_rows[i].text);
	}
	opt_check_text("f", b.s, b.len, see, &s);
	assert_int_equal(s.errors, wrong);
}

static void check_kinds(void **state)
{
	static const struct { const char *text; unsigned errors, warnings, line; } cases[] = {
		{ "work-dir a\nwork-dir b", 0, 1, 2 },
		{ "external a\nexternal b", 0, 2, 2 }, /* without effect */
		{ "external a\nexternal a", 0, 2, 2 },
		{ "leave-running\nno-leave-running", 0, 1, 2 },
		{ "leave-running\nleave-stopped", 1, 0, 2 },
		{ "leave-running\nno-leave-stopped", 0, 0, 0 },
		{ "tcp-close\ntcp-established", 1, 0, 2 },
		{ "tls-key k", 0, 2, 1 },
		{ "tls\ntls-key k\npage-server", 0, 3, 3 },
		{ "address a\nport 1\npage-server\nps-socket 3", 0, 6, 2 },
		{ "work-dir a\ntimeout 5\nshell-job", 0, 0, 0 },
		{ "verbosity\nverbosity", 0, 1, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seen s = { 0 };

		opt_check_text("f", cases[i].text, strlen(cases[i].text), see, &s);
		if (s.errors != cases[i].errors || s.warnings != cases[i].warnings || s.line != cases[i].line)
			fail_msg("'%s': %u errors, %u warnings, line %u", cases[i].text, s.errors, s.warnings, s.line);
	}
}

/* Text that only the user of the option can judge fully: what cannot be meant is told by a check already. */
static void check_forms(void **state)
{
	static const struct { const char *text; unsigned forms; } cases[] = {
		{ "cpu-cap", 0 }, { "cpu-cap fpu,^ins", 0 }, { "cpu-cap sse", 1 }, { "cpu-cap fpu,", 1 },
		{ "empty-ns net", 0 }, { "empty-ns pid", 1 }, { "external mnt[]", 0 }, { "external mnt[/a]:b", 0 },
		{ "external unix[4]", 0 }, { "external mnt", 1 }, { "inherit-fd fd[3]:pipe[1]", 0 }, { "inherit-fd 3", 1 },
		{ "veth-pair a=b", 0 }, { "veth-pair ab", 1 }, { "ext-mount-map auto", 0 }, { "ext-mount-map a:b", 0 },
		{ "ext-mount-map a", 1 }, { "join-ns net:/x", 0 }, { "join-ns nett:/x", 1 }, { "lsm-profile none", 0 },
		{ "lsm-profile apparmor:x", 0 }, { "lsm-profile smack:x", 1 }, { "close 3", 0 }, { "close x", 1 },
		{ "cgroup-root /a", 0 }, { "cgroup-root cpu:/a", 0 }, { "cgroup-root a", 1 }, { "ext-unix-sk", 0 },
		{ "ext-unix-sk 1,2", 0 }, { "ext-unix-sk x", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seen s = { 0 };

		opt_check_text("f", cases[i].text, strlen(cases[i].text), see, &s);
		if (s.errors || s.forms != cases[i].forms)
			fail_msg("'%s': %u errors, %u words on the form", cases[i].text, s.errors, s.forms);
	}
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const char *value = opt_example((enum opt_id)i);
		cleanup_strbuf struct strbuf b = STRBUF_INIT;
		struct seen s = { 0 };

		if (!value[0] || (opt_defs[i].flags & OPT_F_CMDLINE))
			continue;
		strbuf_printf(&b, "%s ", opt_defs[i].name);
		opt_put_value(&b, value);
		opt_check_text("f", b.s, b.len, see, &s);
		if (s.errors || s.forms)
			fail_msg("the example %s", b.s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(again),
		cmocka_unit_test(check_all),
		cmocka_unit_test(check_kinds),
		cmocka_unit_test(check_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
