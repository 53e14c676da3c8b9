/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows as tables and as JSON. */
#include <errno.h>
#include <string.h>

#include "bin/cr-image/x.h"

enum { COLUMN_MAX = 60 }; /* wider cells than that push the rest of their own line only */

void row_text(json_object *row, const char *key, const char *value)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	strbuf_put_utf8(&b, value ? value : "");
	json_object_object_add(row, key, json_object_new_string(b.s ? b.s : ""));
}

void row_number(json_object *row, const char *key, uint64_t value)
{
	json_object_object_add(row, key, json_object_new_uint64(value));
}

void row_hex(json_object *row, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	json_object_object_add(row, key, json_object_new_string(text));
}

const char *row_get(json_object *row, const char *key)
{
	json_object *v;

	return json_object_object_get_ex(row, key, &v) ? json_object_get_string(v) ?: "" : "";
}

/* Columns that a cell takes on a terminal: characters, not bytes. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void cell(struct strbuf *b, json_object *row, const struct column *col)
{
	json_object *depth;

	strbuf_reset(b);
	if (col->indent && json_object_object_get_ex(row, "depth", &depth))
		for (uint64_t d = MIN(json_object_get_uint64(depth), (uint64_t)64); d > 0; d--)
			strbuf_puts(b, d == 1 ? " \\_ " : "    ");
	strbuf_put_clean(b, row_get(row, col->key));
}

void rows_print(json_object *rows, const struct column *columns, FILE *f)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	size_t widths[32] = { 0 }, n = 0;

	for (; columns[n].key && n < ARRAY_SIZE(widths); n++)
		widths[n] = width(columns[n].title);
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		for (size_t k = 0; k < n; k++) {
			cell(&b, json_object_array_get_idx(rows, i), &columns[k]);
			widths[k] = MIN(MAX(widths[k], b.s ? width(b.s) : 0), (size_t)COLUMN_MAX);
		}
	for (size_t i = 0; i <= json_object_array_length(rows); i++)
		for (size_t k = 0; k < n; k++) {
			bool last = k + 1 == n;
			const char *text = columns[k].title;
			size_t pad;

			if (i) {
				cell(&b, json_object_array_get_idx(rows, i - 1), &columns[k]);
				text = b.s ? b.s : "";
			}
			pad = widths[k] > width(text) ? widths[k] - width(text) : 0;
			fprintf(f, "%*s%s%*s%s", columns[k].right ? (int)pad : 0, "", text, columns[k].right || last ? 0 : (int)pad,
				"", last ? "\n" : "  ");
		}
}

int rows_print_json(json_object *v, FILE *f, struct err *err)
{
	const char *text = json_object_to_json_string_ext(v, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
								JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!text)
		return err_set(err, ERR_FAILED, ENOMEM, "cannot make the JSON");
	return fputs(text, f) < 0 || putc('\n', f) < 0 ? err_sys(err, "cannot write") : 0;
}
