/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/json_scan.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

/* Deeper than any message may be: 64 messages, each perhaps in an array. */
#define DEPTH 160
/* json-c counts in int. */
#define VALUE_MAX (1u << 30)

struct json_scan {
	FILE *f;
	json_tokener *tok;
	size_t pos, len;
	unsigned long line;
	char buf[64 << 10];
};

struct json_scan *json_scan_new(FILE *f)
{
	struct json_scan *s = xzalloc(sizeof(*s));

	s->f = f;
	s->line = 1;
	s->tok = json_tokener_new_ex(DEPTH);
	if (!s->tok) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	json_tokener_set_flags(s->tok, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS | JSON_TOKENER_VALIDATE_UTF8);
	return s;
}

void json_scan_freep(struct json_scan **s)
{
	if (*s)
		json_tokener_free((*s)->tok);
	free(*s);
}

static bool fill(struct json_scan *s)
{
	s->pos = 0;
	s->len = fread(s->buf, 1, sizeof(s->buf), s->f);
	return s->len;
}

int json_scan_peek(struct json_scan *s)
{
	for (;;) {
		char c;

		if (s->pos == s->len && !fill(s))
			return EOF;
		c = s->buf[s->pos];
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			return (unsigned char)c;
		s->line += c == '\n';
		s->pos++;
	}
}

bool json_scan_take(struct json_scan *s, char c)
{
	if (json_scan_peek(s) != (unsigned char)c)
		return false;
	s->pos++;
	return true;
}

static void count_lines(struct json_scan *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->line += s->buf[s->pos + i] == '\n';
	s->pos += n;
}

int json_scan_value(struct json_scan *s, json_object **v, struct err *err)
{
	size_t total = 0;

	json_tokener_reset(s->tok);
	if (json_scan_peek(s) == EOF)
		return err_image(err, "line %lu: the JSON ends too early", s->line);
	for (;;) {
		enum json_tokener_error e;

		*v = json_tokener_parse_ex(s->tok, s->buf + s->pos, (int)(s->len - s->pos));
		e = json_tokener_get_error(s->tok);
		if (e == json_tokener_success) {
			count_lines(s, json_tokener_get_parse_end(s->tok));
			return 0;
		}
		if (e != json_tokener_continue) {
			count_lines(s, MIN(json_tokener_get_parse_end(s->tok), s->len - s->pos));
			return err_image(err, "line %lu: not JSON: %s", s->line, json_tokener_error_desc(e));
		}
		total += s->len - s->pos;
		count_lines(s, s->len - s->pos);
		if (total > VALUE_MAX)
			return err_image(err, "line %lu: one value of more than %u MiB", s->line, VALUE_MAX >> 20);
		if (!fill(s))
			return ferror(s->f) ? err_sys(err, "cannot read") :
					      err_image(err, "line %lu: the JSON ends too early", s->line);
	}
}

unsigned long json_scan_line(const struct json_scan *s)
{
	return s->line;
}
