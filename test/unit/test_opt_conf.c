/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A property: whatever options are set, by file, command line and request, what opt_put_conf() writes of them resolves to the
 * same values with --config, and is written the same way again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/opt/rpc.h"

enum { RUNS = 4000, ARGS = 40 };
static char dir[] = "/tmp/cr-opt-conf.XXXXXX";

/* The same sequence each time, so that a failure can be looked at. */
static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned below(uint64_t *state, unsigned n)
{
	return (unsigned)((next(state) >> 20) % n);
}

/* Text of all that is awkward in a file. */
static char *random_text(uint64_t *state, bool newlines)
{
	static const char *const parts[] = { "a", "b/", " ", "\"", "\\", "#", "\t", "=", "no-", "--", "\xc3\xa4", "\xff", "\x01",
					     "\r", "'", ",", "\\\"", " #", "\v", "\n" };
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	unsigned n = 1 + below(state, 6);

	for (unsigned i = 0; i < n; i++)
		strbuf_puts(&b, parts[below(state, (unsigned)ARRAY_SIZE(parts) - !newlines)]);
	return take_ptr(b.s);
}

static char *random_value(uint64_t *state, enum opt_id id, bool newlines)
{
	const struct opt_def *d = &opt_defs[id];
	unsigned words = 1, pick;
	const char *p = d->values;

	switch (d->type) {
	case OPT_T_INT:
	case OPT_T_COUNT:
		return xasprintf("%lld", (long long)d->min + below(state, d->max - d->min > 1000 ? 1000 : (unsigned)(d->max - d->min) + 1));
	case OPT_T_SIZE:
		return xasprintf("%u%s", below(state, 5000), (const char *const[]){ "", "K", "m", "G" }[below(state, 4)]);
	case OPT_T_ENUM:
		for (const char *q = p; *q; q++)
			words += *q == '|';
		for (pick = below(state, words); pick; pick--)
			p = strchr(p, '|') + 1;
		return xasprintf("%.*s", (int)strcspn(p, "|"), p);
	default:
		return random_text(state, newlines);
	}
}

struct set {
	const struct opt_tool *tool;
	char *argv[ARGS + 2];
	int argc;
	struct strbuf file;
};

static void random_set(uint64_t *state, struct set *s)
{
	unsigned n = below(state, 14);

	s->tool = &opt_tools[below(state, 3)];
	s->argv[s->argc++] = xstrdup(s->tool->name);
	strbuf_puts(&s->file, "");
	for (unsigned i = 0; i < n; i++) {
		enum opt_id id = (enum opt_id)below(state, OPT_COUNT_);
		const struct opt_def *d = &opt_defs[id];
		bool argv = (d->acts & s->tool->tools) && below(state, 2), off = below(state, 4) == 0;
		bool bare = d->type == OPT_T_BOOL || (d->implied && below(state, 3) == 0);
		cleanup_free char *value = bare ? NULL : random_value(state, id, argv && below(state, 20) == 0);

		if (d->flags & OPT_F_CMDLINE)
			continue;
		if (argv) {
			s->argv[s->argc++] = bare ? xasprintf("--%s%s", d->type == OPT_T_BOOL && off ? "no-" : "", d->name) :
						    xasprintf("--%s=%s", d->name, value);
			continue;
		}
		strbuf_printf(&s->file, "%s%s", d->type == OPT_T_BOOL && off ? "no-" : "", d->name);
		if (!bare) {
			size_t before = s->file.len;

			strbuf_puts(&s->file, " ");
			if (!opt_put_value(&s->file, value))
				s->file.s[s->file.len = before] = 0;
			if (s->file.len == before && !d->implied)
				strbuf_puts(&s->file, " 1");
		}
		strbuf_puts(&s->file, below(state, 5) ? "\n" : " # x\r\n");
	}
}

static void set_release(struct set *s)
{
	for (int i = 0; i < s->argc; i++)
		free(s->argv[i]);
	strbuf_release(&s->file);
}

static void put(const char *path, const struct strbuf *b)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(b->s, 1, b->len, f), b->len);
	fclose(f);
}

static void compare(unsigned run, const char *conf, const struct opts *a, const struct opts *b)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		enum opt_id id = (enum opt_id)i;
		cleanup_free char *one = opt_value_text(a, id), *two = opt_value_text(b, id);

		if (id == OPT_CONFIG)
			continue;
		if (opt_is_set(a, id) != opt_is_set(b, id) || !one != !two || (one && strcmp(one, two) != 0))
			fail_msg("run %u: %s: '%s', then '%s' by\n%s", run, opt_defs[i].name, one ? one : "-", two ? two : "-", conf);
		if (opt_defs[i].type == OPT_T_LIST) {
			size_t n, m;
			const char *const *v = opt_list(a, id, &n), *const *w = opt_list(b, id, &m);

			assert_int_equal(n, m);
			for (size_t k = 0; k < n; k++)
				assert_string_equal(v[k], w[k]);
		}
	}
}

/* Some value that counts has no form in a file. */
static bool has_unwritable(const struct opts *o)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		size_t n;
		const struct opt_use *u = opt_uses(o, (enum opt_id)i, &n);

		for (size_t k = 0; k < n; k++)
			if (strchr(u[k].text, '\n') || (u[k].text[0] && u[k].text[strlen(u[k].text) - 1] == '\\'))
				return true;
	}
	return false;
}

static char *without_comments(const char *conf)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_puts(&b, "");
	for (const char *p = conf; *p; p = *p ? p + 1 : p) {
		const char *end = strchrnul(p, '\n'), *place = p;

		/* The place is the last comment, behind the value. */
		for (const char *q = p; q < end; q++)
			if (*q == '#' && q > p && q[-1] == ' ')
				place = q;
		while (place > p && place[-1] == ' ')
			place--;
		strbuf_add(&b, p, (size_t)((place > p ? place : end) - p));
		strbuf_puts(&b, "\n");
		p = end;
	}
	return take_ptr(b.s);
}

static void round_trip(void **state_)
{
	cleanup_free char *env_path = xasprintf("%s/env", dir), *conf_path = xasprintf("%s/conf", dir);
	uint64_t state = 0x9e3779b97f4a7c15;
	unsigned refused = 0, done = 0;

	for (unsigned run = 0; run < RUNS; run++) {
		cleanup(set_release) struct set s = { 0 };
		cleanup_opts struct opts *o = NULL, *again = NULL;
		cleanup_strbuf struct strbuf conf = STRBUF_INIT;
		struct opt_env env = { NULL, NULL, env_path, NULL }, none = { NULL, NULL, NULL, NULL };
		struct err err = ERR_INIT, err2 = ERR_INIT;
		char *with[] = { NULL, (char *)"--config", conf_path, NULL };

		random_set(&state, &s);
		with[0] = s.argv[0];
		put(env_path, &s.file);
		if (opt_resolve(s.tool, s.argc, s.argv, &env, &o, &err) < 0) {
			if (!strstr(err.reason, "contradict"))
				fail_msg("run %u: %s: %s in\n%s", run, err.object, err.reason, s.file.s);
			continue;
		}
		if (opt_put_conf(o, OPT_COUNT_, &conf, &err) < 0) {
			if (!has_unwritable(o))
				fail_msg("run %u: %s", run, err.reason);
			refused++;
			continue;
		}
		put(conf_path, &conf);
		if (opt_resolve(s.tool, 3, with, &none, &again, &err2) < 0)
			fail_msg("run %u: %s: %s in\n%s", run, err2.object, err2.reason, conf.s);
		compare(run, conf.s, o, again);
		done++;
	}
	unlink(env_path);
	unlink(conf_path);
	assert_true(done > RUNS / 2);
	assert_true(refused > 0); /* else the awkward values were none */
}

/* Written, read and written again: the same lines, when the places are left out. */
static void stable(void **state_)
{
	static const char text[] = "work-dir \"/a b\"\nexternal x#y\nexternal \"z #\"\nno-leave-running\nverbosity\nghost-limit 4K\n"
				   "cpu-cap\next-unix-sk\nmanage-cgroups\ntimeout 07\n";
	cleanup_opts struct opts *o = NULL, *again = NULL;
	cleanup_strbuf struct strbuf one = STRBUF_INIT, two = STRBUF_INIT;
	cleanup_free char *a = NULL, *b = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(opt_resolve_text(opt_tools, "f", text, strlen(text), &o, &err), 0);
	assert_int_equal(opt_put_conf(o, OPT_COUNT_, &one, &err), 0);
	assert_int_equal(opt_resolve_text(opt_tools, "f", one.s, one.len, &again, &err), 0);
	assert_int_equal(opt_put_conf(again, OPT_COUNT_, &two, &err), 0);
	a = without_comments(one.s);
	b = without_comments(two.s);
	assert_string_equal(a, b);
	assert_non_null(strstr(a, "external x#y\nexternal \"z #\"\n"));
	assert_non_null(strstr(a, "verbosity 3\n"));
}

static void values(void **state_)
{
	static const struct { const char *value, *text; } cases[] = {
		{ "a", "a" }, { "a b", "\"a b\"" }, { "#", "\"#\"" }, { "a#", "a#" }, { "\"", "\"\\\"\"" }, { "a\"", "a\"" },
		{ "", "\"\"" }, { "a\\", "a\\" }, { "a\\\" b", "\"a\\\\\" b\"" }, { "a \\", NULL }, { "\n", NULL }, { "a\r", "\"a\r\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_strbuf struct strbuf b = STRBUF_INIT;
		bool ok = opt_put_value(&b, cases[i].value);

		assert_int_equal(ok, cases[i].text != NULL);
		if (ok)
			assert_string_equal(b.s, cases[i].text);
	}
}

/* Every option has an example (but those without a value), which its own row accepts, in a file and as an argument. */
static void examples(void **state_)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_def *d = &opt_defs[i];
		const char *value = opt_example((enum opt_id)i);
		cleanup_strbuf struct strbuf line = STRBUF_INIT;
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;

		if (d->type == OPT_T_BOOL) {
			assert_string_equal(value, "");
			continue;
		}
		if (!value[0])
			fail_msg("%s has no example", d->name);
		assert_null(strchr(value, '\''));
		if (d->flags & OPT_F_CMDLINE)
			continue;
		strbuf_printf(&line, "%s ", d->name);
		assert_true(opt_put_value(&line, value));
		if (opt_resolve_text(opt_tools, "f", line.s, line.len, &o, &err) < 0)
			fail_msg("%s: %s", line.s, err.reason);
	}
}

/* Rules name what exists, and what they say is not said twice. */
static void rules(void **state_)
{
	for (const struct opt_rule *r = opt_rules; r->a != OPT_COUNT_; r++) {
		assert_true(r->a < OPT_COUNT_ && r->b < OPT_COUNT_ && r->a != r->b && r->why[0]);
		assert_true(r->kind == OPT_R_NEEDS || r->c == OPT_COUNT_);
		for (const struct opt_rule *q = opt_rules; q < r; q++)
			assert_false((q->a == r->a && q->b == r->b) || (q->a == r->b && q->b == r->a));
	}
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
		cmocka_unit_test(round_trip), cmocka_unit_test(stable), cmocka_unit_test(values),
		cmocka_unit_test(examples),   cmocka_unit_test(rules),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
