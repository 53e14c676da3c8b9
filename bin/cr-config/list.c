/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --list, --explain and --init: the table itself. */
#include <string.h>

#include <json-c/json.h>

#include "bin/cr-config/cr-config.h"

/* The option that --option or --explain name. */
int find_name(const char *name, enum opt_id *id, struct err *err)
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

static json_object *words_json(const char *values)
{
	json_object *list = json_object_new_array();

	for (const char *p = values; p && *p; p += strcspn(p, "|"), p += *p == '|')
		json_object_array_add(list, json_object_new_string_len(p, (int)strcspn(p, "|")));
	return list;
}

static json_object *text_json(const char *s)
{
	return s ? json_object_new_string(s) : NULL;
}

static json_object *rules_json(enum opt_id id)
{
	static const char *const kinds[] = {
		[OPT_R_CONFLICT] = "contradicts", [OPT_R_NEEDS] = "needs", [OPT_R_IGNORED] = "ignored beside"
	};
	json_object *list = json_object_new_array();

	for (const struct opt_rule *r = opt_rules; r->a != OPT_COUNT_; r++) {
		bool mutual = r->kind == OPT_R_CONFLICT && r->b == id;
		json_object *j, *of;

		if (r->a != id && !mutual)
			continue;
		j = json_object_new_object();
		of = json_object_new_array();
		json_object_array_add(of, text_json(opt_defs[mutual ? r->a : r->b].name));
		if (r->c != OPT_COUNT_)
			json_object_array_add(of, text_json(opt_defs[r->c].name));
		json_object_object_add(j, "kind", text_json(kinds[r->kind]));
		json_object_object_add(j, "options", of);
		if (r->value)
			json_object_object_add(j, "value", text_json(r->value));
		json_object_object_add(j, "why", text_json(r->why));
		json_object_array_add(list, j);
	}
	return list;
}

static json_object *def_json(enum opt_id id)
{
	static const char *const types[] = {
		[OPT_T_BOOL] = "switch", [OPT_T_INT] = "number", [OPT_T_COUNT] = "count", [OPT_T_SIZE] = "size",
		[OPT_T_STRING] = "text", [OPT_T_ENUM] = "word",	 [OPT_T_LIST] = "list",
	};
	const struct opt_def *d = &opt_defs[id];
	json_object *j = json_object_new_object(), *takes = json_object_new_array(), *acts = json_object_new_array();

	for (const struct opt_tool *t = opt_tools; t->name; t++) {
		if (t->tools & d->takes)
			json_object_array_add(takes, text_json(t->name));
		if (t->tools & d->acts)
			json_object_array_add(acts, text_json(t->name));
	}
	json_object_object_add(j, "name", text_json(d->name));
	json_object_object_add(j, "short", d->letter ? json_object_new_string_len(&d->letter, 1) : NULL);
	json_object_object_add(j, "type", text_json(types[d->type]));
	json_object_object_add(j, "argument", text_json(d->arg));
	json_object_object_add(j, "values", words_json(d->values));
	json_object_object_add(j, "default", text_json(d->deflt));
	json_object_object_add(j, "help", text_json(d->help));
	json_object_object_add(j, "option_of", takes);
	json_object_object_add(j, "acted_on_by", acts);
	json_object_object_add(j, "in_files", json_object_new_boolean(!(d->flags & OPT_F_CMDLINE)));
	json_object_object_add(j, "interaction", rules_json(id));
	json_object_object_add(j, "example", text_json(opt_example(id)));
	return j;
}

static void print(json_object *j)
{
	puts(json_object_to_json_string_ext(j, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(j);
}

int cmd_list(const struct opts *o, struct err *err)
{
	json_object *list = opt_bool(o, OPT_JSON) ? json_object_new_array() : NULL;

	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		if (opt_defs[i].flags & OPT_F_HIDDEN)
			continue;
		if (list)
			json_object_array_add(list, def_json((enum opt_id)i));
		else
			printf("%-24s %s\n", opt_defs[i].name, opt_defs[i].help);
	}
	if (list)
		print(list);
	return 0;
}

int cmd_explain(const struct opts *o, struct err *err)
{
	enum opt_id id = OPT_COUNT_;
	int ret = find_name(opt_str(o, OPT_EXPLAIN), &id, err);

	if (ret < 0)
		return ret;
	if (opt_bool(o, OPT_JSON))
		print(def_json(id));
	else
		opt_explain(id, stdout);
	return 0;
}

int cmd_init(const struct opts *o, struct err *err)
{
	if (opt_bool(o, OPT_JSON))
		return err_set(err, ERR_USAGE, 0, "--init prints a configuration file, which is no JSON");
	opt_print_template(stdout);
	return 0;
}
