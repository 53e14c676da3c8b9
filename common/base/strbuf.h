/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A growing byte buffer, always NUL-terminated. */
#ifndef CR_BASE_STRBUF_H
#define CR_BASE_STRBUF_H

#include "common/base/util.h"

struct strbuf {
	char *s; /* never NULL after the first append */
	size_t len, cap;
};
#define STRBUF_INIT { NULL, 0, 0 }

void strbuf_add(struct strbuf *b, const void *p, size_t n);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) printf_like(2, 3);
void strbuf_reset(struct strbuf *b);	/* empty, memory kept */
void strbuf_release(struct strbuf *b);	/* frees */
#define cleanup_strbuf cleanup(strbuf_release)

/*
 * Text from outside (names, paths, images) for a terminal: control characters, C1 controls and bytes that are no UTF-8
 * become \NNN, so that one line stays one line and no terminal is led astray.
 */
void strbuf_put_clean(struct strbuf *b, const char *s);
/* The text itself with U+FFFD for every byte that is no UTF-8, for libraries that take nothing else. */
void strbuf_put_utf8(struct strbuf *b, const char *s);
/* The same as the inside of a JSON string: always valid JSON; bytes that are no UTF-8 become U+FFFD. */
void strbuf_put_json(struct strbuf *b, const char *s);

#endif
