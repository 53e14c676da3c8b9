/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-check: will it work here? Exit 0 when all that was asked for is there, 1 when something is not, 2 for wrong usage. */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "common/base/strbuf.h"
#include "common/feature/feature.h"
#include "common/opt/opt.h"

static const char *const level_words[] = {
	[FEATURE_REQUIRED] = "required",
	[FEATURE_EXTRA] = "extra",
	[FEATURE_EXPERIMENTAL] = "experimental",
};

struct selection { const struct feature *table; size_t n; bool *chosen; };

/* --feature: names in lists, each with or without commas. */
static int choose_named(const char *list, struct selection *sel, struct err *err)
{
	cleanup_free char *copy = xstrdup(list);
	char *rest = copy, *name;

	while ((name = strsep(&rest, ","))) {
		const struct feature *f = feature_find(name);

		if (!f) {
			err_set(err, ERR_USAGE, 0, "no feature is called \"%s\"", name);
			return err_hint(err, -EINVAL, "cr-check --list shows all names");
		}
		sel->chosen[f - sel->table] = true;
	}
	return 0;
}

static int choose(const struct opts *o, struct selection *sel, struct err *err)
{
	const char *const *names = opt_list(o, OPT_FEATURE, NULL);
	bool all = opt_bool(o, OPT_ALL) || (opt_bool(o, OPT_LIST) && !opt_is_set(o, OPT_FEATURE));

	for (; names && *names; names++) {
		int ret = choose_named(*names, sel, err);

		if (ret < 0)
			return ret;
	}
	if (opt_is_set(o, OPT_FEATURE) && !opt_bool(o, OPT_ALL) && !opt_bool(o, OPT_EXTRA) && !opt_bool(o, OPT_EXPERIMENTAL))
		return 0;
	for (size_t i = 0; i < sel->n; i++) {
		enum feature_level level = sel->table[i].level;

		if (all || level == FEATURE_REQUIRED || (level == FEATURE_EXTRA && opt_bool(o, OPT_EXTRA)) ||
		    (level == FEATURE_EXPERIMENTAL && opt_bool(o, OPT_EXPERIMENTAL)))
			sel->chosen[i] = true;
	}
	return 0;
}

struct report {
	const struct opts *o;
	json_object *json;
	size_t total, bad, forbidden;
	struct strbuf names; /* of the bad ones */
	int group;	     /* whose title was printed last */
};

static void report_json(struct report *r, const struct feature *f, bool probed, enum feature_state state, const char *why)
{
	json_object *row = json_object_new_object();
	const char *hint;

	json_object_object_add(row, "name", json_object_new_string(f->name));
	json_object_object_add(row, "level", json_object_new_string(level_words[f->level]));
	json_object_object_add(row, "group", json_object_new_string(feature_group_title(f->group)));
	json_object_object_add(row, "what_for", json_object_new_string(f->what_for));
	if (probed) {
		json_object_object_add(row, "state", json_object_new_string(feature_state_word(state)));
		json_object_object_add(row, "why", json_object_new_string(why));
	}
	hint = probed ? feature_hint(f, state) : f->hint;
	json_object_object_add(row, "hint", hint ? json_object_new_string(hint) : NULL);
	json_object_array_add(r->json, row);
}

static void report_text(struct report *r, const struct feature *f, bool probed, enum feature_state state, const char *why)
{
	if (r->group != (int)f->group)
		printf("%s%s\n", r->group < 0 ? "" : "\n", feature_group_title(f->group));
	r->group = (int)f->group;
	if (!probed) {
		printf("  %-12s %-25s %s\n", level_words[f->level], f->name, f->what_for);
		return;
	}
	printf("  %-13s %-25s %s%s%s", feature_state_word(state), f->name, f->what_for, *why ? ": " : "", why);
	if (state == FEATURE_MISSING && f->hint)
		printf("; it needs %s", f->hint);
	putchar('\n');
}

static void one(struct report *r, const struct feature *f)
{
	bool probed = !opt_bool(r->o, OPT_LIST);
	enum feature_state state = FEATURE_OK;
	char why[FEATURE_WHY_MAX] = "";

	r->total++;
	if (probed)
		state = feature_probe(f, why, sizeof(why));
	if (state != FEATURE_OK) {
		strbuf_printf(&r->names, "%s%s", r->bad ? ", " : "", f->name);
		r->bad++;
		r->forbidden += state == FEATURE_NO_PERMISSION;
	}
	if (opt_bool(r->o, OPT_QUIET))
		return;
	if (r->json)
		report_json(r, f, probed, state, why);
	else
		report_text(r, f, probed, state, why);
}

static void finish(struct report *r)
{
	json_object *top;

	if (opt_bool(r->o, OPT_QUIET))
		return;
	if (r->json) {
		top = json_object_new_object();
		if (!opt_bool(r->o, OPT_LIST))
			json_object_object_add(top, "ok", json_object_new_boolean(!r->bad));
		json_object_object_add(top, "features", json_object_get(r->json));
		printf("%s\n", json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(top);
	} else if (!opt_bool(r->o, OPT_LIST)) {
		if (r->bad)
			printf("\ncr-check: %zu of %zu are not there: %s%s%s\n", r->bad, r->total, r->names.s,
			       r->forbidden ? "; " : "", r->forbidden ? feature_hint(NULL, FEATURE_NO_PERMISSION) : "");
		else
			printf("\ncr-check: all %zu are there\n", r->total);
	}
}

static void report_release(struct report *r)
{
	strbuf_release(&r->names);
}

static void cleanup_json(json_object **j)
{
	json_object_put(*j);
}

static int check(const struct opts *o, bool *bad, struct err *err)
{
	struct selection sel = { .table = feature_table(&sel.n) };
	cleanup_free bool *chosen = xzalloc(sel.n * sizeof(*chosen));
	cleanup(cleanup_json) json_object *json = opt_bool(o, OPT_JSON) ? json_object_new_array() : NULL;
	cleanup(report_release) struct report r = { .o = o, .json = json, .group = -1 };
	int ret;

	sel.chosen = chosen;
	ret = choose(o, &sel, err);
	if (ret < 0)
		return ret;
	for (int group = 0; group < GROUP_COUNT; group++)
		for (size_t i = 0; i < sel.n; i++)
			if (chosen[i] && (int)sel.table[i].group == group)
				one(&r, &sel.table[i]);
	finish(&r);
	*bad = r.bad > 0;
	if (fflush(stdout) || ferror(stdout))
		return err_sys(err, "cannot write the result");
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	bool bad = false;
	int ret = opt_parse(TOOL_CHECK, argc, argv, &o, &err);

	if (ret > 0)
		return 0;
	if (!ret)
		ret = check(o, &bad, &err);
	if (ret < 0)
		return opt_fail(o, "cr-check", argv, &err);
	return bad;
}
