/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checking files: all that is wrong with them, not only what ends a run first. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "common/opt/private.h"

/* From the column to the end of the word, or of the quoted text, there. */
static unsigned width_at(const char *line, size_t len, unsigned column)
{
	size_t start = MIN((size_t)column - 1, len), i = start;

	if (i < len && line[i] == '"') {
		for (i++; i < len && line[i] != '"'; i++)
			;
		i += i < len;
	} else {
		while (i < len && !memchr(" \t\v\f", line[i], 4))
			i++;
	}
	return (unsigned)MAX(i - start, (size_t)1);
}

void opt_check_error(const struct opts *o, const struct opt_origin *at, const struct err *err, const char *line,
		     size_t len)
{
	struct opt_problem p = { .file = at->file,
				 .line = at->line,
				 .column = at->column,
				 .source = line,
				 .source_len = len,
				 .width = width_at(line, len, at->column),
				 .reason = err->reason,
				 .hint = err->hint };

	o->check->fn(o->check->arg, &p);
}

static void warn(const struct opts *o, const struct opt_origin *at, const char *line, size_t len, const char *reason,
		 const char *hint)
{
	struct opt_problem p = { .file = at->file,
				 .line = at->line,
				 .column = at->column,
				 .source = line,
				 .source_len = len,
				 .width = width_at(line, len, at->column),
				 .warning = true,
				 .reason = reason,
				 .hint = hint };

	o->check->fn(o->check->arg, &p);
}

/* Line on which a list got the value that is there twice. */
static unsigned line_of_value(const struct opt_slot *slot, const char *value)
{
	for (size_t i = 0; i < slot->n; i++)
		if (!slot->uses[i].duplicate && !strcmp(slot->uses[i].text, value))
			return slot->uses[i].origin.line;
	return 0;
}

void opt_check_entry(struct opts *o, enum opt_id id, const struct opt_origin *at, const char *line, size_t len)
{
	const struct opt_def *d = &opt_defs[id];
	const struct opt_slot *slot = &o->slots[id];
	const struct opt_use *last = &slot->uses[slot->n - 1], *before = slot->n > 1 ? last - 1 : NULL;
	const char *allowed = d->type == OPT_T_BOOL ? NULL : opt_wrong_form(id, last->text);
	cleanup_free char *reason = NULL;

	if (before && before->origin.file != at->file)
		before = NULL; /* to overrule an earlier file is what files are for */
	if (d->type == OPT_T_LIST && last->duplicate)
		reason = xasprintf("%s: this value is there already, in line %u", d->name,
				   line_of_value(slot, last->text));
	else if (d->type != OPT_T_LIST && before)
		reason = xasprintf("%s: given twice, this one counts and that in line %u does not", d->name,
				   before->origin.line);
	else if (allowed)
		reason = xasprintf("%s: '%s' has not the form of such values; allowed: %s", d->name, last->text, allowed);
	if (reason)
		warn(o, at, line, len, reason, "");
	else if (!d->acts)
		warn(o, at, line, len,
		     reason = xasprintf("%s: without effect, no binary of this version acts on it", d->name), "");
}

void opt_check_text(const char *name, const char *text, size_t len, opt_problem_fn fn, void *arg)
{
	struct opt_check check = { fn, arg };
	struct opt_origin where = { .layer = OPT_L_FILE, .line = 1, .column = 1 };
	cleanup_opts struct opts *o = opt_new(opt_tools);
	struct opt_problem p = { .file = name, .hint = "" };
	struct err err = ERR_INIT;

	o->everything = true;
	o->check = &check;
	where.file = opt_keep_name(o, name);
	if (opt_read_text(o, &where, text, len, &err) < 0) {
		p.reason = err.reason;
		fn(arg, &p);
		return;
	}
	opt_check_end(o, where.file, text, len);
}

static void about_file(const char *path, bool warning, const char *reason, const char *hint, opt_problem_fn fn,
		       void *arg)
{
	struct opt_problem p = { .file = path, .warning = warning, .reason = reason, .hint = hint };

	fn(arg, &p);
}

/* Who else may put another text in place of the one that is there: through the file, or through its directory. */
static void check_writers(const char *path, const char *what, bool directory, opt_problem_fn fn, void *arg)
{
	cleanup_free char *reason = NULL;
	struct stat st;

	if (stat(path, &st) < 0)
		return;				 /* that it cannot be read was told already */
	if (directory && (st.st_mode & S_ISVTX)) /* names in it can be replaced by their owners only */
		st.st_mode &= ~(mode_t)(S_IWGRP | S_IWOTH);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		reason = xasprintf("%s may be written by %s (mode %03o)", what,
				   st.st_mode & S_IWOTH ? "everybody" : "its group", (unsigned)st.st_mode & 0777);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		reason = xasprintf("%s belongs to uid %u, who may write it", what, (unsigned)st.st_uid);
	if (reason)
		about_file(path, true, reason,
			   "whoever writes options decides what is done with the privileges of those who use them", fn,
			   arg);
}

static void check_path_writers(const char *path, opt_problem_fn fn, void *arg)
{
	cleanup_free char *real = realpath(path, NULL), *copy = xstrdup(path), *real_copy = real ? xstrdup(real) : NULL;
	const char *dir = dirname(copy), *real_dir = real_copy ? dirname(real_copy) : NULL;
	cleanup_free char *resolved = realpath(dir, NULL);

	check_writers(path, "the file", false, fn, arg);
	check_writers(dir, "the directory of the file", true, fn, arg);
	/* A link leads elsewhere: that place counts as well. */
	if (real_dir && resolved && strcmp(resolved, real_dir) != 0)
		check_writers(real_dir, "the directory of the file that the link leads to", true, fn, arg);
}

static void check_stdin(opt_problem_fn fn, void *arg)
{
	static const char name[] = "<stdin>";
	cleanup_free char *text = NULL;
	size_t len = 0;
	int ret = opt_read_all(STDIN_FILENO, OPT_FILE_MAX, &text, &len);

	if (ret == -EFBIG)
		about_file(name, false, "more than 1048576 bytes", "", fn, arg);
	else if (ret < 0)
		about_file(name, false, strerror(-ret), "", fn, arg);
	else
		opt_check_text(name, text, len, fn, arg);
}

void opt_check_file(const char *path, bool optional, opt_problem_fn fn, void *arg)
{
	cleanup_opts struct opts *o = opt_new(opt_tools);
	cleanup_free char *text = NULL, *reason = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;

	if (!strcmp(path, "-")) {
		check_stdin(fn, arg);
		return;
	}
	if (opt_load_file(o, path, optional, &text, &len, &err) < 0) {
		reason =
			xasprintf("%s%s%s", err.reason, err.errnum ? ": " : "", err.errnum ? strerror(err.errnum) : "");
		about_file(path, false, reason, "", fn, arg);
		return;
	}
	for (size_t i = 0; i < o->nnotes; i++) /* passed over, though it is there */
		about_file(path, true, o->notes[i], "", fn, arg);
	if (!text)
		return;
	opt_check_text(path, text, len, fn, arg);
	check_path_writers(path, fn, arg);
}

static void ignore(void *arg, const struct opt_problem *p)
{
}

void opt_check_chain(const struct opt_env *env, opt_problem_fn fn, void *arg)
{
	struct opt_check silent = { ignore, NULL }, check = { fn, arg };
	cleanup_opts struct opts *o = opt_new(opt_tools);
	struct err err = ERR_INIT;

	o->everything = true;
	o->check = &silent;
	if (opt_read_chain(o, env, NULL, true, &err) < 0)
		return; /* a file that cannot be read at all: told with that file */
	o->check = &check;
	opt_check_end(o, NULL, NULL, 0);
}
