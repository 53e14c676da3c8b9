/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/strbuf.h"

#include <stdarg.h>
#include <string.h>

void strbuf_add(struct strbuf *b, const void *p, size_t n)
{
	array_reserve(&b->s, &b->cap, b->len + n, 1);
	if (n)
		memcpy(b->s + b->len, p, n);
	b->len += n;
	b->s[b->len] = 0;
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	for (;;) {
		array_reserve(&b->s, &b->cap, b->len, 1);
		va_start(ap, fmt);
		n = vsnprintf(b->s + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
		if (n < 0)
			return;
		if ((size_t)n < b->cap - b->len)
			break;
		array_reserve(&b->s, &b->cap, b->len + (size_t)n, 1);
	}
	b->len += (size_t)n;
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	if (b->s)
		b->s[0] = 0;
}

void strbuf_release(struct strbuf *b)
{
	free(b->s);
	*b = (struct strbuf)STRBUF_INIT;
}

/* Length of the well-formed UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates), 0 when there is none. */
static size_t utf8_length(const char *s, uint32_t *code)
{
	const unsigned char *p = (const unsigned char *)s;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;

	if (n < 2) {
		*code = p[0];
		return n;
	}
	*code = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) { /* the terminating NUL is no continuation byte, so this ends in time */
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff) ? 0 : n;
}

void strbuf_put_clean(struct strbuf *b, const char *s)
{
	while (*s) {
		uint32_t code;
		size_t n = utf8_length(s, &code);

		if (n && code >= 0x20 && (code < 0x7f || code > 0x9f)) {
			strbuf_add(b, s, n);
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				strbuf_printf(b, "\\%03o", (unsigned char)s[i]);
		}
		s += n;
	}
}

void strbuf_put_json(struct strbuf *b, const char *s)
{
	while (*s) {
		uint32_t code;
		size_t n = utf8_length(s, &code);

		if (!n)
			strbuf_puts(b, "\\ufffd");
		else if (code == '"' || code == '\\')
			strbuf_printf(b, "\\%c", (char)code);
		else if (code < 0x20 || (code >= 0x7f && code <= 0x9f))
			strbuf_printf(b, "\\u%04x", code);
		else
			strbuf_add(b, s, n);
		s += n ? n : 1;
	}
}

void strbuf_put_utf8(struct strbuf *b, const char *s)
{
	while (*s) {
		uint32_t code;
		size_t n = utf8_length(s, &code);

		if (n)
			strbuf_add(b, s, n);
		else
			strbuf_puts(b, "\xef\xbf\xbd");
		s += n ? n : 1;
	}
}
