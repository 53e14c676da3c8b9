/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files as hostile input, for every binary. What is accepted must say consistent things: every use has a place
 * inside the text, and what counts, written as a file again, resolves to the same values. Checking such a file must find an error
 * exactly when reading it does, inside its lines.
 */
#include <string.h>

#include "common/opt/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_places(const struct opts *o, size_t size)
{
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		size_t n;
		const struct opt_use *u = opt_uses(o, (enum opt_id)i, &n);

		for (size_t k = 0; k < n; k++)
			if (!u[k].origin.line || !u[k].origin.column || u[k].origin.line > size || u[k].origin.column > size)
				abort();
	}
}

static void check_again(const struct opt_tool *tool, const struct opts *o)
{
	cleanup_opts struct opts *again = NULL;
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (opt_put_conf(o, OPT_COUNT_, &b, &err) < 0) {
		/* From a file no value is unwritable but by the places that are added; the input is small, so these are no reason. */
		abort();
	}
	if (opt_resolve_text(tool, "again", b.s, b.len, &again, &err) < 0)
		abort();
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		cleanup_free char *one = opt_value_text(o, (enum opt_id)i), *two = opt_value_text(again, (enum opt_id)i);

		if (!one != !two || (one && strcmp(one, two) != 0))
			abort();
	}
}

static void found(void *arg, const struct opt_problem *p)
{
	unsigned *errors = arg;

	if (!p->reason[0] || !p->hint || (p->line && (!p->column || !p->width || p->column > p->source_len + 1)))
		abort();
	*errors += !p->warning && !p->relation;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned errors = 0;
	bool wrong = false;

	for (const struct opt_tool *tool = opt_tools; tool->name; tool++) {
		cleanup_opts struct opts *o = NULL;
		struct err err = ERR_INIT;
		int ret = opt_resolve_text(tool, "fuzz", (const char *)data, size, &o, &err);

		if (ret == 0) {
			check_places(o, size);
			check_again(tool, o);
		} else if (err.kind != ERR_USAGE || !err.object[0] || !err.reason[0]) {
			abort(); /* an error without place or reason helps nobody */
		}
		wrong = wrong || ret < 0;
	}
	opt_check_text("fuzz", (const char *)data, size, found, &errors);
	if (wrong != (errors > 0))
		abort();
	return 0;
}
