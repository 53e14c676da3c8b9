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
	bool in_string, escaped, overflow;
	uint64_t number; /* the digits just read, outside of strings */
	char buf[64 << 10];
};

struct json_scan *json_scan_new(FILE *f)
{
	struct json_scan *s = xzalloc(sizeof(*s));

	s->f = f;
	s->line = 1;
	s->tok = xowned(json_tokener_new_ex(DEPTH));
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

/* json-c gives the largest number for any that is larger still, so the digits are looked at here. */
static void watch_number(struct json_scan *s, char c)
{
	if (s->in_string) {
		s->in_string = s->escaped || c != '"';
		s->escaped = !s->escaped && c == '\\';
	} else if (c >= '0' && c <= '9') {
		s->overflow |= __builtin_mul_overflow(s->number, 10, &s->number) ||
			       __builtin_add_overflow(s->number, (uint64_t)(c - '0'), &s->number);
	} else {
		s->number = 0;
		s->in_string = c == '"';
	}
}

static void consume(struct json_scan *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->line += s->buf[s->pos + i] == '\n';
		watch_number(s, s->buf[s->pos + i]);
	}
	s->pos += n;
}

int json_scan_value(struct json_scan *s, json_object **v, struct err *err)
{
	size_t total = 0;

	json_tokener_reset(s->tok);
	s->in_string = s->escaped = false;
	s->number = 0;
	if (json_scan_peek(s) == EOF)
		return err_image(err, "line %lu: the JSON ends too early", s->line);
	for (;;) {
		enum json_tokener_error e;

		*v = json_tokener_parse_ex(s->tok, s->buf + s->pos, (int)(s->len - s->pos));
		e = json_tokener_get_error(s->tok);
		if (e == json_tokener_success) {
			consume(s, json_tokener_get_parse_end(s->tok));
			if (!s->overflow)
				return 0;
			json_object_put(*v);
			*v = NULL;
			return err_image(err, "line %lu: a number needs more than 64 bits", s->line);
		}
		if (e != json_tokener_continue) {
			consume(s, MIN(json_tokener_get_parse_end(s->tok), s->len - s->pos));
			return err_image(err, "line %lu: not JSON: %s", s->line, json_tokener_error_desc(e));
		}
		total += s->len - s->pos;
		consume(s, s->len - s->pos);
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
