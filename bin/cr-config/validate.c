/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --validate: all problems of files, each with its place, the line and a caret, as compilers do and editors read. */
#include <string.h>

#include "bin/cr-config/cr-config.h"

struct report {
	bool json;
	unsigned long problems;
};

/* Adds n bytes of a line, made fit for a terminal; returns how many columns they take there. */
static unsigned put_shown(struct strbuf *b, const char *s, size_t n)
{
	size_t start = b->len;
	unsigned columns = 0;

	strbuf_puts(b, "");
	for (size_t i = 0; i < n;) {
		size_t part = strnlen(s + i, n - i);
		cleanup_free char *copy = xasprintf("%.*s", (int)part, s + i);

		for (char *p = copy; *p; p++)
			if (*p == '\t')
				*p = ' ';
		strbuf_put_clean(b, copy);
		i += part;
		if (i < n) { /* a NUL byte */
			strbuf_puts(b, "\\000");
			i++;
		}
	}
	for (size_t i = start; i < b->len; i++) /* bytes that continue a character take no column of their own */
		columns += ((unsigned char)b->s[i] & 0xc0) != 0x80;
	return columns;
}

/* The line, or the part of a long one around the place, and the caret below it. */
static void print_source(const struct opt_problem *p, FILE *f)
{
	enum { BEFORE = 60, SHOWN = 110 };
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	size_t at = MIN((size_t)p->column - 1, p->source_len), from = at > BEFORE ? at - BEFORE : 0;
	size_t to = MIN(from + SHOWN, p->source_len), mark = MIN(at + p->width, to);
	unsigned before = put_shown(&b, p->source + from, at - from), width = put_shown(&b, p->source + at, mark - at);

	put_shown(&b, p->source + mark, to - mark);
	fprintf(f, "  %s%s%s\n  %*s^", from ? "..." : "", b.s, to < p->source_len ? "..." : "",
		(int)before + (from ? 3 : 0), "");
	for (unsigned i = 1; i < width; i++)
		fputc('~', f);
	fputc('\n', f);
}

static void print_text(const struct opt_problem *p, FILE *f)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_put_clean(&b, p->file);
	if (p->line)
		strbuf_printf(&b, ":%u:%u", p->line, p->column);
	strbuf_printf(&b, ": %s: ", p->warning ? "warning" : "error");
	strbuf_put_clean(&b, p->reason);
	if (p->hint[0]) {
		strbuf_puts(&b, ", ");
		strbuf_put_clean(&b, p->hint);
	}
	fprintf(f, "%s\n", b.s);
	if (p->source)
		print_source(p, f);
}

static void put_string(struct strbuf *b, const char *name, const char *value)
{
	strbuf_printf(b, ", \"%s\": \"", name);
	strbuf_put_json(b, value);
	strbuf_puts(b, "\"");
}

static void print_json(const struct opt_problem *p, bool first, FILE *f)
{
	enum { SOURCE_MAX = 1000 }; /* the place tells where; a whole line of 64 KiB would not help */
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	cleanup_free char *source = NULL;

	strbuf_printf(&b, "%s\n    { \"severity\": \"%s\"", first ? "" : ",", p->warning ? "warning" : "error");
	put_string(&b, "file", p->file);
	if (p->line)
		strbuf_printf(&b, ", \"line\": %u, \"column\": %u, \"width\": %u", p->line, p->column, p->width);
	put_string(&b, "reason", p->reason);
	if (p->hint[0])
		put_string(&b, "hint", p->hint);
	if (p->source) {
		source = xasprintf("%.*s", (int)MIN(p->source_len, (size_t)SOURCE_MAX), p->source);
		put_string(&b, "source", source);
	}
	fprintf(f, "%s }", b.s);
}

/* Printed as they are found: a file of a megabyte of mistakes must not take a gigabyte of memory. */
static void found(void *arg, const struct opt_problem *p)
{
	struct report *r = arg;

	if (r->json)
		print_json(p, !r->problems, stdout);
	else
		print_text(p, stdout);
	r->problems++;
}

static void check_chain(struct report *r)
{
	struct opt_env env = opt_env_real();

	opt_check_file(env.system_file, true, found, r);
	if (env.home && env.home[0]) {
		cleanup_free char *path = xasprintf("%s/.criu/default.conf", env.home);

		opt_check_file(path, true, found, r);
	}
	if (env.config_file && env.config_file[0])
		opt_check_file(env.config_file, false, found, r);
	opt_check_file("/etc/criu/runc.conf", true, found, r);
	opt_check_chain(&env, found, r);
}

int cmd_validate(const struct opts *o, struct err *err)
{
	struct report r = { .json = opt_bool(o, OPT_JSON) };
	char **files;
	int n;

	files = opt_operands(o, &n);
	if (r.json)
		fputs("{\n  \"problems\": [", stdout);
	for (int i = 0; i < n; i++)
		opt_check_file(files[i], false, found, &r);
	if (!n)
		check_chain(&r);
	if (r.json)
		printf("%s],\n  \"clean\": %s\n}\n", r.problems ? "\n  " : "", r.problems ? "false" : "true");
	return r.problems > 0;
}
