/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values that count as a configuration file: what config.c reads, written. */
#include <errno.h>
#include <string.h>

#include "common/opt/private.h"

#define BLANKS " \t\v\f"

bool opt_put_value(struct strbuf *b, const char *value)
{
	size_t len = strlen(value);
	bool quote = !len || value[0] == '"' || value[0] == '#' || value[len - 1] == '\r' || strpbrk(value, BLANKS);

	/* A backslash before the closing quote would make it part of the value: backslashes have no escape. */
	if (strchr(value, '\n') || (quote && len && value[len - 1] == '\\'))
		return false;
	if (!quote) {
		strbuf_puts(b, value);
		return true;
	}
	strbuf_puts(b, "\"");
	for (const char *p = value; *p; p++)
		strbuf_printf(b, "%s%c", *p == '"' ? "\\" : "", *p);
	strbuf_puts(b, "\"");
	return true;
}

/* What stands behind the name. False: no file can hold it. */
static bool put_rest(struct strbuf *b, enum opt_id id, const struct opt_use *u)
{
	size_t start = b->len;

	if (opt_defs[id].type == OPT_T_BOOL)
		return true;
	if (opt_defs[id].type == OPT_T_COUNT) {
		strbuf_printf(b, " %lld", (long long)u->number);
		return true;
	}
	if (!u->text[0]) /* the value that is meant when none is written */
		return true;
	/* Behind '=' a '#' begins no comment, and so needs no quotes, which a backslash at the end would not allow. */
	if (u->text[0] == '#' && u->text[strlen(u->text) - 1] == '\\' && !strpbrk(u->text, BLANKS "\n")) {
		strbuf_printf(b, "=%s", u->text);
		return b->len - start + strlen(opt_defs[id].name) <= OPT_LINE_MAX;
	}
	strbuf_puts(b, " ");
	return opt_put_value(b, u->text) && b->len - start + strlen(opt_defs[id].name) <= OPT_LINE_MAX;
}

/* The place as a comment, while the line stays one that people read. */
static void put_place(struct strbuf *b, size_t start, const struct opt_use *u)
{
	enum { COLUMN = 32, SHOWN = 200 };
	cleanup_free char *origin = opt_origin_text(&u->origin);
	cleanup_strbuf struct strbuf clean = STRBUF_INIT;

	strbuf_put_clean(&clean, origin);
	if (clean.len > SHOWN || b->len - start > SHOWN)
		return;
	while (b->len - start < COLUMN - 1)
		strbuf_puts(b, " ");
	strbuf_printf(b, " # %s", clean.s);
}

static int put_use(struct strbuf *b, enum opt_id id, const struct opt_use *u, struct err *err)
{
	const struct opt_def *d = &opt_defs[id];
	size_t start = b->len;

	if (d->flags & OPT_F_CMDLINE)
		strbuf_puts(b, "# on the command line only: ");
	strbuf_printf(b, "%s%s", d->type == OPT_T_BOOL && !u->number ? "no-" : "", d->name);
	if (!put_rest(b, id, u)) {
		cleanup_free char *origin = opt_origin_text(&u->origin);

		b->s[b->len = start] = 0;
		if (d->flags & OPT_F_CMDLINE)
			return 0;
		return err_set(err, ERR_USAGE, 0, "%s (%s): no configuration file can hold this value", d->name,
			       origin);
	}
	put_place(b, start, u);
	strbuf_puts(b, "\n");
	return 0;
}

int opt_put_conf(const struct opts *o, enum opt_id only, struct strbuf *b, struct err *err)
{
	strbuf_puts(b, "");
	for (unsigned i = 0; i < OPT_COUNT_; i++) {
		const struct opt_slot *slot = &o->slots[i];

		if (only != OPT_COUNT_ && only != i)
			continue;
		for (size_t k = 0; k < slot->n; k++) {
			const struct opt_use *u = &slot->uses[k];
			int ret;

			if (opt_defs[i].type == OPT_T_LIST ? u->duplicate : k + 1 < slot->n)
				continue;
			ret = put_use(b, (enum opt_id)i, u, err);
			if (ret < 0)
				return ret;
		}
	}
	if (b->len > OPT_FILE_MAX)
		return err_set(err, ERR_USAGE, EFBIG,
			       "the values are more than a configuration file can hold (%u bytes)", OPT_FILE_MAX);
	return 0;
}
