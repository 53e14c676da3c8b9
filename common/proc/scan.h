/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scanning of NUL-terminated text, private to this folder. Each function moves *p only on success. */
#ifndef CR_PROC_SCAN_H
#define CR_PROC_SCAN_H

#include <errno.h>
#include <string.h>

#include "common/proc/proc.h"

static inline bool scan_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static inline void scan_blanks(const char **p)
{
	while (**p == ' ' || **p == '\t')
		(*p)++;
}

/* Digits of base 8, 10 or 16 (lower case, as the kernel writes them); at least one; no overflow. */
static inline bool scan_u64(const char **p, unsigned base, uint64_t *out)
{
	const char *s = *p;
	uint64_t v = 0;

	for (;; s++) {
		unsigned d = (unsigned char)*s - '0';

		if (d > 9) {
			d = (unsigned char)*s - 'a';
			d = d <= 5 ? d + 10 : 99;
		}
		if (d >= base)
			break;
		if (v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	if (s == *p)
		return false;
	*p = s;
	*out = v;
	return true;
}

/* The same for the hot columns of maps: base 16 by shifts. */
static inline bool scan_hex(const char **p, uint64_t *out)
{
	const char *s = *p;
	uint64_t v = 0;

	for (;; s++) {
		unsigned d = (unsigned char)*s - '0';

		if (d > 9) {
			d = (unsigned char)*s - 'a';
			if (d > 5)
				break;
			d += 10;
		}
		if (v >> 60)
			return false;
		v = v << 4 | d;
	}
	if (s == *p)
		return false;
	*p = s;
	*out = v;
	return true;
}

static inline bool scan_u32(const char **p, unsigned base, uint32_t *out)
{
	const char *s = *p;
	uint64_t v;

	if (!scan_u64(&s, base, &v) || v > UINT32_MAX)
		return false;
	*p = s;
	*out = (uint32_t)v;
	return true;
}

static inline bool scan_i64(const char **p, int64_t *out)
{
	const char *s = *p;
	bool neg = scan_char(&s, '-');
	uint64_t v;

	if (!scan_u64(&s, 10, &v) || v > (uint64_t)INT64_MAX + neg)
		return false;
	*p = s;
	*out = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static inline bool scan_int(const char **p, int *out)
{
	const char *s = *p;
	int64_t v;

	if (!scan_i64(&s, &v) || v < INT32_MIN || v > INT32_MAX)
		return false;
	*p = s;
	*out = (int)v;
	return true;
}

/* Moves over word when the text begins with it. */
static inline bool scan_word(const char **p, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*p, word, n))
		return false;
	*p += n;
	return true;
}

/* The end of the line: its newline or the final NUL. */
static inline const char *scan_eol(const char *p)
{
	return strchrnul(p, '\n');
}

/* Number of lines: newlines, and a last line without one. */
size_t scan_lines(const char *text);

/* Error text of a wrapper whose file could not be read, and of one whose file could be read but not understood. */
int proc_fail(int proc_fd, const char *path, int ret, struct err *err);
int scan_bad(struct err *err, const char *path, int ret);

#endif
