/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/image/text.h"

#include <errno.h>
#include <string.h>

#define QUOTED_LINE 76

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct strbuf *out, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = MIN(n - i, (size_t)3);
		uint32_t v = (uint32_t)p[i] << 16 | (have > 1 ? p[i + 1] << 8 : 0) | (have > 2 ? p[i + 2] : 0);
		char q[5] = { digits64[v >> 18], digits64[v >> 12 & 63], have > 1 ? digits64[v >> 6 & 63] : '=',
			      have > 2 ? digits64[v & 63] : '=', '\n' };

		strbuf_add(out, q, (i + have) % BASE64_LINE == 0 || i + have == n ? 5 : 4);
	}
}

static int value64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(struct strbuf *out, const char *s, size_t n)
{
	unsigned have = 0, pads = 0;
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++) {
		int d;

		if (s[i] == '\n' || s[i] == '\r' || s[i] == ' ' || s[i] == '\t')
			continue;
		if (s[i] == '=') {
			pads++;
			continue;
		}
		d = value64(s[i]);
		if (d < 0 || pads)
			return -EINVAL;
		v = v << 6 | (uint32_t)d;
		if (++have == 4) {
			const uint8_t b[3] = { v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff };

			strbuf_add(out, b, 3);
			have = 0;
			v = 0;
		}
	}
	if (have == 1 || (have + pads) % 4 || pads > 2)
		return -EINVAL;
	if (have) {
		const uint8_t b[2] = { v >> (have == 2 ? 4 : 10) & 0xff, v >> 2 & 0xff };

		if (v & (have == 2 ? 15 : 3)) /* bits that no byte gets: not what an encoder writes */
			return -EINVAL;
		strbuf_add(out, b, have - 1);
	}
	return 0;
}

static bool quoted_plain(const uint8_t *p, size_t i, size_t n, size_t column)
{
	uint8_t c = p[i];
	bool ends = i + 1 == n || p[i + 1] == '\n';

	if (c == ' ' || c == '\t')
		return !ends;
	if (c == '.' && !column)
		return !(ends || p[i + 1] == '\r' || !p[i + 1]);
	return c > 32 && c < 127 && c != '=';
}

/* Newlines stay, as in text; carriage returns are always escaped, so that no transport can change them. */
void quoted_encode(struct strbuf *out, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t column = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			strbuf_add(out, "\n", 1);
			column = 0;
		} else if (quoted_plain(p, i, n, column)) {
			if (i + 1 < n && p[i + 1] != '\n' && column + 1 >= QUOTED_LINE) {
				strbuf_puts(out, "=\n");
				column = 0;
			}
			strbuf_add(out, p + i, 1);
			column++;
		} else {
			if (column + 3 >= QUOTED_LINE) {
				strbuf_puts(out, "=\n");
				column = 0;
			}
			strbuf_printf(out, "=%02X", p[i]);
			column += 3;
		}
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void quoted_decode(struct strbuf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int hi = s[i] == '=' && i + 2 < n ? hex_digit(s[i + 1]) : -1;
		int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;

		if (lo >= 0) {
			const char c = (char)(hi << 4 | lo);

			strbuf_add(out, &c, 1);
			i += 2;
		} else if (s[i] == '=' && i + 1 < n && s[i + 1] == '\n') {
			i++;
		} else if (s[i] == '=' && i + 2 < n && s[i + 1] == '\r' && s[i + 2] == '\n') {
			i += 2;
		} else {
			strbuf_add(out, s + i, 1);
		}
	}
}

size_t utf8_char(const char *s, size_t n, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)s;
	size_t len;

	if (!n)
		return 0;
	if (p[0] < 0x80) {
		*code = p[0];
		return 1;
	}
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
		return 0;
	*code = p[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return len;
}

bool utf8_valid(const char *s, size_t n)
{
	uint32_t code;

	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_char(s + i, n - i, &code);
		if (!len)
			return false;
	}
	return true;
}
