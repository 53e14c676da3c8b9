/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bin/cr-check/report.h"

#include <json-c/json.h>
#include <string.h>

static const char *const level_words[] = {
	[FEATURE_REQUIRED] = "required",
	[FEATURE_EXTRA] = "extra",
	[FEATURE_EXPERIMENTAL] = "experimental",
};
static const char *const values = "nmy";
static const char *const module_words[] = {
	[KCONFIG_NO_MODULE] = NULL,
	[KCONFIG_LOADED] = "loaded",
	[KCONFIG_LOADABLE] = "loadable",
	[KCONFIG_ABSENT] = "absent",
};

/* ---- text ---- */

static void feature_line(const struct feature_row *row)
{
	const struct feature *f = row->f;

	if (!row->result) {
		printf("  %-13s %-25s %s\n", level_words[f->level], f->name, f->what_for);
		return;
	}
	printf("  %-13s %-25s %s%s%s", feature_state_word(row->result->state), f->name, f->what_for, row->result->why[0] ? ": " : "",
	       row->result->why);
	if (row->result->state == FEATURE_MISSING && f->hint)
		printf("; it needs %s", f->hint);
	putchar('\n');
}

static void option_line(const struct option_row *row, bool known)
{
	const struct kconfig_option *o = row->o;
	const struct kconfig_verdict *v = row->verdict;
	char name[48];

	snprintf(name, sizeof(name), "CONFIG_%s%s%.1s", o->name, v && known ? "=" : "", v && known ? &values[v->value] : "");
	if (!v) {
		printf("  %-13s %-25s %s (%s)\n", level_words[o->level], name, o->why, o->menu);
		return;
	}
	printf("  %-13s %-25s %s%s%s", feature_state_word(v->state), name, o->why, v->text[0] ? ": " : "", v->text);
	if (v->state == FEATURE_MISSING)
		printf("; without it fails: %s; it is in \"%s\"", o->without, o->menu);
	putchar('\n');
}

void report_text(const struct findings *f)
{
	const char *hint;
	int group = -1;

	for (size_t i = 0; i < f->nfeatures; i++) {
		if (group != (int)f->features[i].f->group)
			printf("%s%s\n", i ? "\n" : "", feature_group_title(f->features[i].f->group));
		group = (int)f->features[i].f->group;
		feature_line(&f->features[i]);
	}
	if (f->noptions) {
		printf("%sKernel configuration%s%s%s\n", f->nfeatures ? "\n" : "", f->source ? " (" : "", f->source ? f->source : "",
		       f->source ? ")" : "");
		if (f->note[0])
			printf("  %s\n", f->note);
		for (size_t i = 0; i < f->noptions; i++)
			option_line(&f->options[i], f->source);
	}
	if (f->listed)
		return;
	for (const char *p = f->locks.s; p && *p; p = strchr(p, '\n') + 1) {
		const int n = (int)strcspn(p, "\n");

		printf("%s  %-13s %-25.*s connections wait for the restore of a checkpoint; ", p == f->locks.s ? "\nNetwork locks\n" : "",
		       "kept", n, p);
		printf("if there will be none: nft delete table inet %.*s\n", n, p);
	}
	/* Root has been told already to be root; what forbids it then stands in the lines. */
	hint = f->forbidden && geteuid() ? feature_hint(NULL, FEATURE_NO_PERMISSION) : NULL;
	if (f->bad)
		printf("\ncr-check: %zu of %zu are not there: %s%s%s\n", f->bad, f->total, f->names.s, hint ? "; " : "", hint ? hint : "");
	else
		printf("\ncr-check: all %zu are there\n", f->total);
}

/* ---- JSON: names and words stay as they are from version to version ---- */

static void put(json_object *to, const char *key, const char *value)
{
	cleanup_strbuf struct strbuf clean = STRBUF_INIT;

	if (value)
		strbuf_put_utf8(&clean, value);
	json_object_object_add(to, key, value ? json_object_new_string(clean.s ? clean.s : "") : NULL);
}

static json_object *feature_json(const struct feature_row *row)
{
	json_object *o = json_object_new_object();
	const struct feature *f = row->f;
	char line[512];

	put(o, "name", f->name);
	put(o, "level", level_words[f->level]);
	put(o, "group", feature_group_key(f->group));
	put(o, "what_for", f->what_for);
	if (row->result) {
		put(o, "state", feature_state_word(row->result->state));
		put(o, "why", row->result->why);
		/* What cr-dump and cr-restore say when they need it. */
		feature_sentence(f, row->result->state, row->result->why, line, sizeof(line));
		put(o, "sentence", line);
		json_object_object_add(o, "time_us", json_object_new_int64(row->result->us));
	}
	put(o, "hint", row->result ? feature_hint(f, row->result->state) : f->hint);
	return o;
}

static json_object *option_json(const struct option_row *row, bool known)
{
	json_object *o = json_object_new_object();
	const struct kconfig_verdict *v = row->verdict;

	put(o, "name", row->o->name);
	put(o, "level", level_words[row->o->level]);
	put(o, "menu", row->o->menu);
	put(o, "why", row->o->why);
	put(o, "without", row->o->without);
	put(o, "feature", row->o->feature);
	if (v) {
		put(o, "value", known ? (const char[]){ values[v->value], 0 } : NULL);
		put(o, "module", module_words[v->module]);
		put(o, "state", feature_state_word(v->state));
		put(o, "text", v->text);
		json_object_object_add(o, "disagrees", json_object_new_boolean(v->disagrees));
	}
	return o;
}

static json_object *locks_json(const struct strbuf *locks)
{
	json_object *all = json_object_new_array();

	for (const char *p = locks->s; p && *p; p = strchr(p, '\n') + 1)
		json_object_array_add(all, json_object_new_string_len(p, (int)strcspn(p, "\n")));
	return all;
}

void report_json(const struct findings *f)
{
	json_object *top = json_object_new_object(), *features = json_object_new_array(), *kconfig = json_object_new_object();
	json_object *options = json_object_new_array();

	for (size_t i = 0; i < f->nfeatures; i++)
		json_object_array_add(features, feature_json(&f->features[i]));
	for (size_t i = 0; i < f->noptions; i++)
		json_object_array_add(options, option_json(&f->options[i], f->source));
	if (!f->listed)
		json_object_object_add(top, "ok", json_object_new_boolean(!f->bad));
	json_object_object_add(top, "features", features);
	if (!f->listed)
		json_object_object_add(top, "network_locks", locks_json(&f->locks));
	put(kconfig, "source", f->source);
	put(kconfig, "note", f->note);
	json_object_object_add(kconfig, "options", options);
	json_object_object_add(top, "kconfig", kconfig);
	printf("%s\n", json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}
