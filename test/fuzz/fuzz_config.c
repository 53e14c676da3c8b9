/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files as hostile input, for every binary. What is accepted must say consistent things: every use has a place
 * inside the text, and the text of the values that count, written as a file again, resolves to the same values.
 */
#include <string.h>

#include "common/base/strbuf.h"
#include "common/opt/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One line of a file that gives the option this value. */
static void write_use(struct strbuf *b, enum opt_id id, const struct opt_use *u)
{
	strbuf_printf(b, "%s%s", opt_defs[id].type == OPT_T_BOOL && !u->number ? "no-" : "", opt_defs[id].name);
	if (opt_defs[id].type == OPT_T_COUNT) {
		strbuf_printf(b, " %lld", (long long)u->number);
	} else if (opt_defs[id].type != OPT_T_BOOL && u->text[0]) {
		strbuf_puts(b, " \"");
		for (const char *p = u->text; *p; p++)
			strbuf_printf(b, "%s%c", *p == '"' ? "\\" : "", *p);
		strbuf_puts(b, "\"");
	}
	strbuf_puts(b, "\n");
}

static bool ends_with_backslash(const char *s)
{
	return s[0] && (s[strlen(s) - 1] == '\\' || strstr(s, "\\\""));
}

static void check(const struct opt_tool *tool, const struct opts *o, size_t size)
{
	cleanup_opts struct opts *again = NULL;
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT;
	bool same = true;

	strbuf_puts(&b, "");
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		size_t n;
		const struct opt_use *u = opt_uses(o, (enum opt_id)i, &n);

		for (size_t k = 0; k < n; k++) {
			if (!u[k].origin.line || !u[k].origin.column || u[k].origin.line > size || u[k].origin.column > size)
				abort();
			/* A backslash before a quote cannot be written: the form has no escape for it. */
			same = same && !ends_with_backslash(u[k].text);
			if (k + 1 == n || opt_defs[i].type == OPT_T_LIST)
				write_use(&b, (enum opt_id)i, &u[k]);
		}
	}
	if (!same || b.len > (512 << 10))
		return;
	if (opt_resolve_text(tool, "again", b.s, b.len, &again, &err) < 0)
		abort();
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		cleanup_free char *one = opt_value_text(o, (enum opt_id)i), *two = opt_value_text(again, (enum opt_id)i);

		if (!one != !two || (one && strcmp(one, two) != 0))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (const struct opt_tool *tool = opt_tools; tool->name; tool++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;
		int ret = opt_resolve_text(tool, "fuzz", (const char *)data, size, &o, &err);

		if (ret == 0)
			check(tool, o, size);
		else if (err.kind != ERR_USAGE || !err.object[0] || !err.reason[0])
			abort(); /* an error without place or reason helps nobody */
	}
	return 0;
}
