/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr-check: will it work here? Exit 0 when all that was asked for is there, 1 when something is not, 2 for wrong usage. */
#include <errno.h>
#include <string.h>

#include "common/base/start.h"
#include "common/net/lock.h"
#include "common/opt/opt.h"
#include "bin/cr-check/report.h"

/* What is asked for, as a mark for each row of both tables. */
struct selection {
	const struct feature *features;
	const struct kconfig_option *options;
	size_t nfeatures, noptions;
	bool *feature, *option;
};

static void selection_release(struct selection *s)
{
	free(s->feature);
	free(s->option);
}

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
		sel->feature[f - sel->features] = true;
	}
	return 0;
}

static bool level_wanted(const struct opts *o, enum feature_level level)
{
	bool by_name = opt_is_set(o, OPT_FEATURE), list = opt_bool(o, OPT_LIST);

	if (opt_bool(o, OPT_ALL) || (list && !by_name))
		return true;
	if (level == FEATURE_EXTRA && opt_bool(o, OPT_EXTRA))
		return true;
	if (level == FEATURE_EXPERIMENTAL && opt_bool(o, OPT_EXPERIMENTAL))
		return true;
	return level == FEATURE_REQUIRED && (!by_name || opt_bool(o, OPT_EXTRA) || opt_bool(o, OPT_EXPERIMENTAL));
}

static int choose(const struct opts *o, struct selection *sel, struct err *err)
{
	const char *const *names = opt_list(o, OPT_FEATURE, NULL);

	sel->features = feature_table(&sel->nfeatures);
	sel->options = kconfig_table(&sel->noptions);
	sel->feature = xzalloc(sel->nfeatures * sizeof(bool));
	sel->option = xzalloc(sel->noptions * sizeof(bool));
	for (; names && *names; names++) {
		int ret = choose_named(*names, sel, err);

		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < sel->nfeatures; i++)
		sel->feature[i] |= level_wanted(o, sel->features[i].level);
	for (size_t i = 0; i < sel->noptions; i++) {
		const struct kconfig_option *k = &sel->options[i];

		sel->option[i] = level_wanted(o, k->level) ||
				 (k->feature && sel->feature[feature_find(k->feature) - sel->features]);
	}
	return 0;
}

/* All probes at once: those that were asked for, and those that decide about an option that was asked for. */
static struct feature_result *probe(const struct selection *sel)
{
	cleanup_free const struct feature **rows = xzalloc(sel->nfeatures * sizeof(*rows));
	cleanup_free struct feature_result *packed = xzalloc(sel->nfeatures * sizeof(*packed));
	cleanup_free bool *wanted = xzalloc(sel->nfeatures * sizeof(bool));
	struct feature_result *results = xzalloc(sel->nfeatures * sizeof(*results));
	size_t n = 0;

	memcpy(wanted, sel->feature, sel->nfeatures * sizeof(bool));
	for (size_t i = 0; i < sel->noptions; i++)
		if (sel->option[i] && sel->options[i].feature)
			wanted[feature_find(sel->options[i].feature) - sel->features] = true;
	for (size_t i = 0; i < sel->nfeatures; i++)
		if (wanted[i])
			rows[n++] = &sel->features[i];
	feature_probe_many(rows, n, packed);
	for (size_t i = 0; i < n; i++)
		results[rows[i] - sel->features] = packed[i];
	return results;
}

static void count(struct findings *f, enum feature_state state, const char *prefix, const char *name)
{
	f->total++;
	if (state == FEATURE_OK)
		return;
	strbuf_printf(&f->names, "%s%s%s", f->bad ? ", " : "", prefix, name);
	f->bad++;
	f->forbidden += state == FEATURE_NO_PERMISSION;
}

static void add_features(const struct selection *sel, const struct feature_result *results, struct findings *f)
{
	for (int group = 0; group < GROUP_COUNT; group++)
		for (size_t i = 0; i < sel->nfeatures; i++) {
			const struct feature *row = &sel->features[i];

			if (!sel->feature[i] || (int)row->group != group)
				continue;
			f->features[f->nfeatures++] = (struct feature_row){ row, results ? &results[i] : NULL };
			if (results)
				count(f, results[i].state, "", row->name);
		}
}

/*
 * EXPERT and EMBEDDED hide CHECKPOINT_RESTORE; they are of no interest where that is there. verdicts has a place for each row of
 * the table, and nothing when the options are only listed.
 */
static void add_options(const struct selection *sel, const struct kconfig *k, const struct feature_result *results,
			struct kconfig_verdict *verdicts, struct findings *f)
{
	static const struct feature_result unprobed = { .state = FEATURE_UNKNOWN };
	bool hidden = !verdicts;

	for (size_t i = 0; i < sel->noptions; i++) {
		const struct kconfig_option *o = &sel->options[i];
		const struct feature_result *r = NULL;

		if (results)
			r = o->feature ? &results[feature_find(o->feature) - sel->features] : &unprobed;
		if (!sel->option[i])
			continue;
		if (verdicts)
			kconfig_judge(k, o, r, NULL, &verdicts[i]);
		if (verdicts && !strcmp(o->name, "CHECKPOINT_RESTORE"))
			hidden = k && verdicts[i].state != FEATURE_OK;
		if (kconfig_hides(o) && !hidden)
			continue;
		f->options[f->noptions++] = (struct option_row){ o, verdicts ? &verdicts[i] : NULL };
		if (verdicts && !kconfig_hides(o))
			count(f, verdicts[i].state, "CONFIG_", o->name);
	}
}

static int print_fragment(const struct selection *sel, const struct kconfig *k, bool *bad, bool quiet)
{
	cleanup_free const struct kconfig_option **rows = xzalloc(sel->noptions * sizeof(*rows));
	cleanup_strbuf struct strbuf out = STRBUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < sel->noptions; i++)
		if (sel->option[i])
			rows[n++] = &sel->options[i];
	*bad = kconfig_fragment(k, rows, n, &out) > 0;
	if (out.s && !quiet)
		fputs(out.s, stdout);
	return 0;
}

/* 0, with *k NULL when the running kernel has no configuration to read; then note says why. */
static int read_config(const struct opts *o, struct kconfig **k, struct err *note, struct err *err)
{
	const char *file = opt_str(o, OPT_KCONFIG);

	if (opt_bool(o, OPT_LIST))
		return 0;
	if (file)
		return kconfig_read(file, k, err);
	if (kconfig_of_host(NULL, k, opt_bool(o, OPT_KCONFIG_FRAGMENT) ? err : note) < 0 && opt_bool(o, OPT_KCONFIG_FRAGMENT)) {
		err->kind = ERR_USAGE; /* there is nothing to compare with until a file is named */
		return -ENOENT;
	}
	return 0;
}

static void findings_release(struct findings *f)
{
	free(f->features);
	free(f->options);
	strbuf_release(&f->names);
	strbuf_release(&f->locks);
}

static void add_lock(void *ctx, const char *table)
{
	struct findings *f = ctx;

	strbuf_printf(&f->locks, "%s\n", table);
}

static int check(const struct opts *o, bool *bad, struct err *err)
{
	cleanup(selection_release) struct selection sel = { 0 };
	cleanup(findings_release) struct findings f = { .listed = opt_bool(o, OPT_LIST), .note = "" };
	cleanup_kconfig struct kconfig *k = NULL;
	cleanup_free struct feature_result *results = NULL;
	cleanup_free struct kconfig_verdict *verdicts = NULL;
	struct err note = ERR_INIT;
	int ret;

	ret = choose(o, &sel, err);
	if (!ret)
		ret = read_config(o, &k, &note, err);
	if (ret < 0)
		return ret;
	if (opt_bool(o, OPT_KCONFIG_FRAGMENT) && k)
		return print_fragment(&sel, k, bad, opt_bool(o, OPT_QUIET));
	f.features = xzalloc(sel.nfeatures * sizeof(*f.features));
	f.options = xzalloc(sel.noptions * sizeof(*f.options));
	f.source = k ? kconfig_source(k) : NULL;
	f.note = note.reason;
	if (!f.listed) {
		verdicts = xzalloc(sel.noptions * sizeof(*verdicts));
		results = opt_is_set(o, OPT_KCONFIG) ? NULL : probe(&sel);
	}
	if (results) {
		struct err ignore = ERR_INIT; /* without nftables, or without the right to ask, there is nothing to tell */

		net_locks_kept(add_lock, &f, &ignore);
	}
	/* A file is judged alone: the kernel that it is for need not be this one. */
	if (!opt_is_set(o, OPT_KCONFIG) || f.listed)
		add_features(&sel, results, &f);
	add_options(&sel, k, results, verdicts, &f);
	if (opt_bool(o, OPT_JSON) && !opt_bool(o, OPT_QUIET))
		report_json(&f);
	else if (!opt_bool(o, OPT_QUIET))
		report_text(&f);
	*bad = f.bad > 0;
	return 0;
}

/* What the options have to tell goes to the log; --quiet without a file for it wants none. */
static int log_notes(const struct opts *o, struct err *err)
{
	const char *file = opt_str(o, OPT_LOG_FILE);
	struct log log = { 0 };
	int ret;

	if (!file && opt_bool(o, OPT_QUIET))
		return 0;
	ret = log_open(&log, "cr-check", file, (int)opt_int(o, OPT_VERBOSITY), opt_is(o, OPT_LOG_FORMAT, "json"), err);
	if (ret >= 0)
		opt_log_notes(o, &log);
	log_close(&log);
	return ret;
}

int main(int argc, char **argv)
{
	cleanup_opts struct opts *o = NULL;
	struct err err = ERR_INIT;
	bool bad = false;
	int ret;

	process_begin();
	ret = opt_parse(TOOL_CHECK, argc, argv, &o, &err);
	if (ret > 0)
		return 0;
	if (!ret)
		ret = log_notes(o, &err);
	if (!ret)
		ret = check(o, &bad, &err);
	if (!ret && (fflush(stdout) || ferror(stdout)))
		ret = err_sys(&err, "cannot write the result");
	if (ret < 0)
		return opt_fail(o, "cr-check", argv, &err);
	return bad;
}
