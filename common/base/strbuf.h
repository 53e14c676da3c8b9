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

#endif
