/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One option, or every option, explained: cr-config --explain and --init. */
#include <ctype.h>
#include <string.h>

#include "common/opt/private.h"

static const char *const types[] = {
	[OPT_T_BOOL] = "switch (no-NAME switches it off)",
	[OPT_T_INT] = "number",
	[OPT_T_COUNT] = "number that each use without a value raises by one",
	[OPT_T_SIZE] = "size in bytes, with K, M or G for powers of 1024",
	[OPT_T_STRING] = "text",
	[OPT_T_ENUM] = "one of several words",
	[OPT_T_LIST] = "text; given several times, in any layers, the values add up, each one once",
};

static void put_words(FILE *f, const char *values)
{
	for (const char *p = values; *p; p++)
		fputs(*p == '|' ? ", " : (char[]){ *p, 0 }, f);
}

/* What the rules say about an option, a line each. Returns how many. */
static unsigned put_rules(enum opt_id id, FILE *f)
{
	static const char label[] = "interaction:", none[] = "            ";
	unsigned n = 0;

	for (const struct opt_rule *r = opt_rules; r->a != OPT_COUNT_; r++) {
		const char *a = opt_defs[r->a].name, *b = opt_defs[r->b].name;
		const char *c = r->c != OPT_COUNT_ ? opt_defs[r->c].name : NULL;
		cleanup_free char *other = opt_rule_other(r);

		if (r->a != id && r->b != id && r->c != id)
			continue;
		fprintf(f, "  %s  ", n++ ? none : label);
		if (r->kind == OPT_R_CONFLICT)
			fprintf(f, "contradicts %s: %s\n", r->a == id ? other : a, r->why);
		else if (r->kind == OPT_R_IGNORED && r->a == id)
			fprintf(f, "no effect beside %s: %s\n", b, r->why);
		else if (r->kind == OPT_R_IGNORED)
			fprintf(f, "takes the effect of %s away: %s\n", a, r->why);
		else if (r->a == id)
			fprintf(f, "no effect without %s%s%s: %s\n", b, c ? " or " : "", c ? c : "", r->why);
		else
			fprintf(f, "gives %s its effect: %s\n", a, r->why);
	}
	return n;
}

/* The option as one writes it in a shell; b: quoted for it. */
static void put_argument(FILE *f, const struct opt_def *d, const char *value)
{
	fprintf(f, "--%s", d->name);
	if (!value[0])
		return;
	fputs(d->implied ? "=" : " ", f);
	if (!strpbrk(value, " \"[]{}()$;&|<>*?'")) {
		fputs(value, f);
		return;
	}
	fprintf(f, "'%s'", value); /* examples hold no single quote */
}

void opt_explain(enum opt_id id, FILE *f)
{
	const struct opt_def *d = &opt_defs[id];
	const char *example = opt_example(id);
	cleanup_strbuf struct strbuf value = STRBUF_INIT;
	char names[96];

	if (d->letter)
		fprintf(f, "-%c, ", d->letter);
	fprintf(f, "--%s", d->name);
	if (d->arg)
		fprintf(f, d->implied ? "[=%s]" : " %s", d->arg);
	fprintf(f, "\n  %s\n", d->help);
	if (d->other) {
		opt_tool_names(d->other, names, sizeof(names));
		fprintf(f, "  (%s: %s)\n", names, d->other_help);
	}
	fprintf(f, "  type:         %s\n", types[d->type]);
	if (d->values) {
		fputs("  values:       ", f);
		put_words(f, d->values);
		fputc('\n', f);
	}
	if (d->implied && d->implied[0])
		fprintf(f, "  without one:  %s\n", d->implied);
	if (d->max)
		fprintf(f, "  range:        %lld to %lld\n", (long long)d->min, (long long)d->max);
	fprintf(f, "  default:      %s\n", d->deflt ? d->deflt : "none");
	opt_tool_names(d->takes, names, sizeof(names));
	fprintf(f, "  option of:    %s\n", names[0] ? names : "none of these binaries");
	opt_tool_names(d->acts, names, sizeof(names));
	fprintf(f, "  acted on by:  %s\n", names[0] ? names : "none yet: known, so that files with it work");
	if (!names[0])
		fprintf(f, "  instead:      %s\n", opt_instead(id));
	if (!put_rules(id, f))
		fputs("  interaction:  none\n", f);
	fputs("  example:      ", f);
	put_argument(f, d, example);
	fputc('\n', f);
	if (d->flags & OPT_F_CMDLINE) {
		fputs("  in files:     no, on the command line only\n", f);
	} else {
		opt_put_value(&value, example);
		fprintf(f, "  in files:     %s%s%s\n", d->name, example[0] ? " " : "", example[0] ? value.s : "");
	}
	fprintf(f, "  since:        %s\n", d->since ? d->since : "0.1");
}

/* ---- the template ---- */

/* Words of text as comment lines. */
static void put_comment(FILE *f, const char *text)
{
	enum { WIDTH = 79 };
	int col = fprintf(f, "#");

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (col > 1 && col + 1 + n > WIDTH)
			col = fprintf(f, "\n#") - 1;
		col += fprintf(f, " %.*s", n, text);
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

static void put_entry(const struct opt_def *d, enum opt_id id, FILE *f)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT, value = STRBUF_INIT;
	const char *example = opt_example(id);
	char names[96];

	strbuf_puts(&text, d->help);
	text.s[0] = (char)toupper((unsigned char)text.s[0]);
	strbuf_puts(&text, " (");
	for (const char *p = d->values; p && *p; p++)
		strbuf_puts(&text, *p == '|' ? ", " : (char[]){ *p, 0 });
	strbuf_puts(&text, d->values ? "; " : "");
	if (d->deflt)
		strbuf_printf(&text, "default: %s; ", d->deflt);
	opt_tool_names(d->acts, names, sizeof(names));
	strbuf_puts(&text, names[0] ? names : "known, and without effect in this version");
	strbuf_puts(&text, ")");
	put_comment(f, text.s);
	if (example[0])
		opt_put_value(&value, example);
	fprintf(f, "#%s%s%s\n\n", d->name, example[0] ? " " : "", example[0] ? value.s : "");
}

void opt_print_template(FILE *f)
{
	fputs("# Options of cr-dump, cr-restore, cr-check and cr-image, and of CRIU: one a line, without dashes.\n"
	      "# Take the # away in front of those that you want.\n"
	      "#\n"
	      "# Later layers win: the built-in defaults, /etc/criu/default.conf,\n"
	      "# ~/.criu/default.conf, the file that CRIU_CONFIG_FILE names, --config FILE, the\n"
	      "# command line. --config and --no-default-config switch the two default files off.\n"
	      "# A value with spaces stands in double quotes, \\\" is a quote in it. # begins a\n"
	      "# comment. no-NAME switches a boolean off. Options that may be repeated add up.\n"
	      "#\n"
	      "# cr-config --validate FILE checks a file; cr-config --resolve shows what applies\n"
	      "# and where it comes from; cr-config --explain NAME tells more about an option.\n\n",
	      f);
	for (unsigned g = 0; g < OPT_G_COUNT_; g++) {
		bool titled = false;

		for (unsigned i = 0; i < OPT_COUNT_; i++) {
			const struct opt_def *d = &opt_defs[i];

			if (d->group != g || (d->flags & (OPT_F_HIDDEN | OPT_F_CMDLINE)))
				continue;
			if (!titled)
				fprintf(f, "# ---- %s ----\n\n", opt_group_titles[g]);
			titled = true;
			put_entry(d, (enum opt_id)i, f);
		}
	}
}
