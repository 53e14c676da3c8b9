/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-config: shows what the resolver that all binaries share makes of files, environment and a command line. */
#include <string.h>

#include <json-c/json.h>

#include "common/base/strbuf.h"
#include "common/opt/opt.h"

static const char prog[] = "cr-config";

/* Use number i does not count: for all but lists a later one has taken its place, in lists it was there before. */
static bool overridden(enum opt_id id, const struct opt_use *u, size_t n, size_t i)
{
	return opt_defs[id].type == OPT_T_LIST ? u[i].duplicate : i + 1 < n;
}

/* The value of one use as text. malloc'ed. */
static char *use_text(enum opt_id id, const struct opt_use *u)
{
	if (opt_defs[id].type == OPT_T_BOOL)
		return xstrdup(u->number ? "yes" : "no");
	if (opt_defs[id].type == OPT_T_COUNT)
		return xasprintf("%lld", (long long)u->number);
	return xstrdup(u->text);
}

static json_object *origin_json(enum opt_id id, const struct opt_use *u)
{
	json_object *j = json_object_new_object();
	cleanup_free char *value = use_text(id, u), *origin = opt_origin_text(&u->origin);
	cleanup_strbuf struct strbuf clean = STRBUF_INIT;

	strbuf_puts(&clean, "");
	strbuf_put_utf8(&clean, value);
	json_object_object_add(j, "value", json_object_new_string(clean.s));
	strbuf_reset(&clean);
	strbuf_put_utf8(&clean, origin);
	json_object_object_add(j, "origin", json_object_new_string(clean.s));
	if (u->origin.layer == OPT_L_ARGV) {
		json_object_object_add(j, "argv", json_object_new_int(u->origin.arg));
	} else {
		strbuf_reset(&clean);
		strbuf_put_utf8(&clean, u->origin.file);
		json_object_object_add(j, "file", json_object_new_string(clean.s));
		json_object_object_add(j, "line", json_object_new_int((int)u->origin.line));
		json_object_object_add(j, "column", json_object_new_int((int)u->origin.column));
	}
	return j;
}

/* The value that counts, in its own JSON type. */
static json_object *value_json(const struct opts *o, enum opt_id id)
{
	cleanup_strbuf struct strbuf clean = STRBUF_INIT;
	json_object *list;

	switch (opt_defs[id].type) {
	case OPT_T_BOOL:
		return json_object_new_boolean(opt_bool(o, id));
	case OPT_T_SIZE:
		return opt_str(o, id) ? json_object_new_int64((int64_t)opt_size(o, id)) : NULL;
	case OPT_T_INT:
	case OPT_T_COUNT:
		return opt_str(o, id) ? json_object_new_int64(opt_int(o, id)) : NULL;
	case OPT_T_LIST:
		list = json_object_new_array();
		for (const char *const *v = opt_list(o, id, NULL); *v; v++) {
			strbuf_reset(&clean);
			strbuf_puts(&clean, "");
			strbuf_put_utf8(&clean, *v);
			json_object_array_add(list, json_object_new_string(clean.s));
		}
		return list;
	default:
		break;
	}
	if (!opt_str(o, id))
		return NULL;
	strbuf_puts(&clean, "");
	strbuf_put_utf8(&clean, opt_str(o, id));
	return json_object_new_string(clean.s);
}

static json_object *option_json(const struct opts *o, enum opt_id id)
{
	json_object *j = json_object_new_object(), *from = json_object_new_array(), *lost = json_object_new_array();
	size_t n;
	const struct opt_use *u = opt_uses(o, id, &n);

	json_object_object_add(j, "name", json_object_new_string(opt_defs[id].name));
	json_object_object_add(j, "value", value_json(o, id));
	json_object_object_add(j, "set", json_object_new_boolean(n > 0));
	json_object_object_add(j, "acted_on",
			       json_object_new_boolean((opt_defs[id].acts & opt_of_tool(o)->tools) != 0));
	for (size_t i = 0; i < n; i++)
		json_object_array_add(overridden(id, u, n, i) ? lost : from, origin_json(id, &u[i]));
	json_object_object_add(j, "from", from);
	json_object_object_add(j, "overrides", lost);
	return j;
}

/* One cell of the table, with quotes where they help to see where a value ends. */
static void put_value(struct strbuf *b, const char *value)
{
	bool quote = !value[0] || strpbrk(value, " \t\"");

	strbuf_puts(b, quote ? "\"" : "");
	strbuf_put_clean(b, value);
	strbuf_puts(b, quote ? "\"" : "");
}

static void table_row(const struct opts *o, enum opt_id id, FILE *f)
{
	bool first = true;
	size_t n;
	const struct opt_use *u = opt_uses(o, id, &n);

	if (!n) {
		cleanup_free char *value = opt_value_text(o, id);

		fprintf(f, "%-24s %-24s default\n", opt_defs[id].name, value ? value : "-");
		return;
	}
	for (size_t pass = 0; pass < 2; pass++) /* what counts, then what it took the place of, newest first */
		for (size_t k = 0; k < n; k++) {
			size_t i = pass ? n - 1 - k : k;
			cleanup_strbuf struct strbuf value = STRBUF_INIT, origin = STRBUF_INIT;
			cleanup_free char *text = use_text(id, &u[i]), *from = opt_origin_text(&u[i].origin);

			if (overridden(id, u, n, i) != (pass == 1))
				continue;
			put_value(&value, text);
			strbuf_put_clean(&origin, from);
			fprintf(f, "%-24s %-24s %s%s%s\n", first ? opt_defs[id].name : "", value.s,
				pass ? "(" : "", origin.s, pass ? opt_defs[id].type == OPT_T_LIST ? ", once is enough)" :
								  ", overridden)" : "");
			first = false;
		}
	if (!(opt_defs[id].acts & opt_of_tool(o)->tools))
		fprintf(f, "%-24s %s does not act on it\n", "", opt_of_tool(o)->name);
}

/* The binary, and its command line, that the operands or --for name. argv[0] is the binary. */
static int find_target(const struct opts *o, char **own, const struct opt_tool **tool, int *argc, char ***argv,
		       struct err *err)
{
	char **operands = opt_operands(o, argc);

	if (!*argc) {
		*tool = opt_tool_named(opt_str(o, OPT_FOR));
		*argv = own;
		*argc = 1;
		return 0;
	}
	*tool = opt_tool_named(operands[0]);
	*argv = operands;
	if (!*tool)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "%s is not one of the binaries", operands[0]),
				"write -- BINARY and then its arguments");
	if (opt_is_set(o, OPT_FOR) && strcmp(opt_str(o, OPT_FOR), (*tool)->name) != 0)
		return err_set(err, ERR_USAGE, 0, "--for says %s, the command line %s", opt_str(o, OPT_FOR), (*tool)->name);
	return 0;
}

/* The option that --option or --explain name. */
static int find_name(const char *name, enum opt_id *id, struct err *err)
{
	const char *near = NULL;
	int ret;

	name += strspn(name, "-");
	*id = opt_find(name, &near);
	if (*id != OPT_COUNT_)
		return 0;
	ret = err_set(err, ERR_USAGE, 0, "unknown option %s", name);
	return near ? err_hint(err, ret, "did you mean %s?", near) : err_hint(err, ret, "`cr-config --list` shows all");
}

static int resolve(const struct opts *o, char **own, struct err *err)
{
	bool json = opt_bool(o, OPT_JSON), all = opt_bool(o, OPT_ALL);
	const char *name = opt_str(o, OPT_OPTION);
	enum opt_id only = OPT_COUNT_;
	cleanup_opts struct opts *of = NULL;
	const struct opt_tool *tool = NULL;
	struct opt_env env = opt_env_real();
	json_object *list = NULL, *top;
	char **argv;
	int argc, ret = find_target(o, own, &tool, &argc, &argv, err);

	if (!ret && name)
		ret = find_name(name, &only, err);
	if (!ret && name && !(opt_defs[only].takes & tool->tools))
		ret = err_set(err, ERR_USAGE, 0, "%s has no option %s", tool->name, opt_defs[only].name);
	if (!ret && tool->commands && argc == 1)
		ret = err_hint(err, err_set(err, ERR_USAGE, 0, "%s needs a command", tool->name),
			       "write -- %s COMMAND and its arguments", tool->name);
	if (!ret)
		ret = opt_resolve(tool, argc, argv, &env, &of, err);
	if (ret < 0)
		return ret;
	if (json)
		list = json_object_new_array();
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		if (name ? i != only : !(opt_defs[i].takes & tool->tools) || (opt_defs[i].flags & OPT_F_HIDDEN) ||
				       (!all && !opt_is_set(of, (enum opt_id)i)))
			continue;
		if (json)
			json_object_array_add(list, option_json(of, (enum opt_id)i));
		else
			table_row(of, (enum opt_id)i, stdout);
	}
	if (json) {
		top = json_object_new_object();
		json_object_object_add(top, "binary", json_object_new_string(tool->name));
		json_object_object_add(top, "options", list);
		puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(top);
	}
	return 0;
}

static void list_options(bool json, FILE *f)
{
	json_object *list = json ? json_object_new_array() : NULL;

	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_def *d = &opt_defs[i];

		if (d->flags & OPT_F_HIDDEN)
			continue;
		if (!json) {
			fprintf(f, "%-24s %s\n", d->name, d->help);
			continue;
		}
		json_object *j = json_object_new_object(), *takes = json_object_new_array(),
			    *acts = json_object_new_array();

		for (const struct opt_tool *t = opt_tools; t->name; t++) {
			if (t->tools & d->takes)
				json_object_array_add(takes, json_object_new_string(t->name));
			if (t->tools & d->acts)
				json_object_array_add(acts, json_object_new_string(t->name));
		}
		json_object_object_add(j, "name", json_object_new_string(d->name));
		json_object_object_add(j, "short", d->letter ? json_object_new_string_len(&d->letter, 1) : NULL);
		json_object_object_add(j, "argument", d->arg ? json_object_new_string(d->arg) : NULL);
		json_object_object_add(j, "default", d->deflt ? json_object_new_string(d->deflt) : NULL);
		json_object_object_add(j, "help", json_object_new_string(d->help));
		json_object_object_add(j, "option_of", takes);
		json_object_object_add(j, "acted_on_by", acts);
		json_object_array_add(list, j);
	}
	if (json) {
		fprintf(f, "%s\n", json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
									JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(list);
	}
}

static int run(const struct opts *o, char **own, struct err *err)
{
	int what = opt_bool(o, OPT_RESOLVE) + opt_bool(o, OPT_LIST) + opt_is_set(o, OPT_EXPLAIN), ret = 0;
	enum opt_id id;

	if (what > 1)
		return err_set(err, ERR_USAGE, 0, "--resolve, --list and --explain are different questions: ask one");
	if (opt_bool(o, OPT_LIST)) {
		list_options(opt_bool(o, OPT_JSON), stdout);
	} else if (opt_is_set(o, OPT_EXPLAIN)) {
		ret = find_name(opt_str(o, OPT_EXPLAIN), &id, err);
		if (!ret)
			opt_explain(id, stdout);
	} else {
		ret = resolve(o, own, err);
	}
	if (!ret && (fflush(stdout) || ferror(stdout)))
		ret = err_sys(err, "cannot write to standard output");
	return ret;
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	int ret = opt_parse(TOOL_CONFIG, argc, argv, &o, &err);

	if (ret > 0)
		return 0;
	if (ret == 0)
		ret = run(o, argv, &err);
	return ret < 0 ? opt_fail(o, prog, argv, &err) : 0;
}
