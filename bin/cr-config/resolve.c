/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --resolve: which options are set, by whom, and what that took the place of. */
#include <string.h>

#include <json-c/json.h>

#include "bin/cr-config/cr-config.h"
#include "common/opt/rpc.h"

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
	if (u->origin.layer == OPT_L_ARGV)
		json_object_object_add(j, "argv", json_object_new_int(u->origin.arg));
	if (u->origin.field)
		json_object_object_add(j, "field", json_object_new_string(u->origin.field));
	if (u->origin.file) {
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
			fprintf(f, "%-24s %-24s %s%s%s\n", first ? opt_defs[id].name : "", value.s, pass ? "(" : "",
				origin.s,
				pass ? opt_defs[id].type == OPT_T_LIST ? ", once is enough)" : ", overridden)" : "");
			first = false;
		}
	if (!(opt_defs[id].acts & opt_of_tool(o)->tools))
		fprintf(f, "%-24s %s does not act on it\n", "", opt_of_tool(o)->name);
}

/* What --resolve is asked about. */
struct question {
	const struct opts *o; /* our own */
	const struct opt_tool *tool;
	int argc;
	char **argv; /* of the binary; argv[0] is its name */
	struct opt_rpc *rpc;
	enum opt_id only;
};

static int load_request(struct question *q, struct err *err)
{
	const char *path = opt_str(q->o, OPT_RPC);
	bool as = opt_is_set(q->o, OPT_AS);
	int ret = path ? opt_rpc_load(path, &q->rpc, err) : 0;

	if (ret < 0 || !as)
		return ret;
	if (!q->rpc)
		q->rpc = opt_rpc_new();
	opt_rpc_assume_file(q->rpc, "/etc/criu/runc.conf"); /* which runc names when its container's settings name none */
	return 0;
}

/* The binary: the one of the command line, that of --for, the one that the request is for, or the usual one. */
static int find_target(struct question *q, char **own, struct err *err)
{
	char **operands = opt_operands(q->o, &q->argc);
	unsigned of_request = q->rpc ? opt_rpc_tool(q->rpc) : 0;

	q->argv = operands;
	if (!q->argc) {
		q->tool = of_request && !opt_is_set(q->o, OPT_FOR) ? opt_tool_of(of_request)
								   : opt_tool_named(opt_str(q->o, OPT_FOR));
		q->argv = own;
		q->argc = 1;
		return 0;
	}
	q->tool = opt_tool_named(operands[0]);
	if (!q->tool)
		return err_hint(err, err_set(err, ERR_USAGE, 0, "%s is not one of the binaries", operands[0]),
				"write -- BINARY and then its arguments");
	if (opt_is_set(q->o, OPT_FOR) && strcmp(opt_str(q->o, OPT_FOR), q->tool->name) != 0)
		return err_set(err, ERR_USAGE, 0, "--for says %s, the command line %s", opt_str(q->o, OPT_FOR),
			       q->tool->name);
	return 0;
}

static int prepare(struct question *q, char **own, struct err *err)
{
	const char *name = opt_str(q->o, OPT_OPTION);
	int ret = load_request(q, err);

	if (!ret)
		ret = find_target(q, own, err);
	if (!ret && name)
		ret = find_name(name, &q->only, err);
	if (!ret && name && !(opt_defs[q->only].takes & q->tool->tools))
		ret = err_set(err, ERR_USAGE, 0, "%s has no option %s", q->tool->name, opt_defs[q->only].name);
	if (!ret && q->tool->commands && q->argc == 1)
		ret = err_hint(err, err_set(err, ERR_USAGE, 0, "%s needs a command", q->tool->name),
			       "write -- %s COMMAND and its arguments", q->tool->name);
	return ret;
}

static bool is_asked_for(const struct question *q, const struct opts *of, enum opt_id id)
{
	if (q->only != OPT_COUNT_)
		return id == q->only;
	return (opt_defs[id].takes & q->tool->tools) && !(opt_defs[id].flags & OPT_F_HIDDEN) &&
	       (opt_bool(q->o, OPT_ALL) || opt_is_set(of, id));
}

static void print_json(const struct question *q, const struct opts *of)
{
	json_object *top = json_object_new_object(), *list = json_object_new_array(), *notes = json_object_new_array();

	for (unsigned i = 0; i < OPT_COUNT_; i++)
		if (is_asked_for(q, of, (enum opt_id)i))
			json_object_array_add(list, option_json(of, (enum opt_id)i));
	for (const char *const *note = opt_notes(of, NULL); *note; note++) {
		cleanup_strbuf struct strbuf clean = STRBUF_INIT;

		strbuf_put_utf8(&clean, *note);
		json_object_array_add(notes, json_object_new_string(clean.s));
	}
	json_object_object_add(top, "binary", json_object_new_string(q->tool->name));
	json_object_object_add(top, "options", list);
	json_object_object_add(top, "notes", notes);
	puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

/* On standard error, so that the table stays one. That an option is not acted on stands in the table. */
static void print_notes(const struct opts *of)
{
	for (const char *const *note = opt_notes(of, NULL); *note; note++) {
		cleanup_strbuf struct strbuf clean = STRBUF_INIT;

		if (strstr(*note, "does not act on it"))
			continue;
		strbuf_put_clean(&clean, *note);
		fprintf(stderr, "cr-config: note: %s\n", clean.s);
	}
}

int cmd_resolve(const struct opts *o, char **own, struct err *err)
{
	struct question q = { .o = o, .only = OPT_COUNT_ };
	cleanup_opts struct opts *of = NULL;
	cleanup_strbuf struct strbuf conf = STRBUF_INIT;
	struct opt_env env = opt_env_real();
	int ret = prepare(&q, own, err);

	env.rpc = q.rpc;
	if (!ret)
		ret = opt_resolve(q.tool, q.argc, q.argv, &env, &of, err);
	if (!ret && opt_bool(o, OPT_CONF))
		ret = opt_put_conf(of, q.only, &conf, err);
	if (!ret && opt_bool(o, OPT_JSON)) {
		print_json(&q, of);
	} else if (!ret) {
		if (opt_bool(o, OPT_CONF))
			printf("# The options of %s as they were resolved, and where each one came from.\n%s",
			       q.tool->name, conf.s);
		for (unsigned i = 0; i < OPT_COUNT_ && !opt_bool(o, OPT_CONF); i++)
			if (is_asked_for(&q, of, (enum opt_id)i))
				table_row(of, (enum opt_id)i, stdout);
		print_notes(of);
	}
	opt_rpc_free(q.rpc);
	return ret;
}
