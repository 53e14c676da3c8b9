/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes as text: base64 in lines of 76 characters, each ended by a newline (RFC 2045), and quoted-printable. */
#ifndef CR_IMAGE_TEXT_H
#define CR_IMAGE_TEXT_H

#include "common/base/strbuf.h"

/* Input of a whole number of these many bytes at a time can be encoded piece by piece. */
#define BASE64_LINE 57

void base64_encode(struct strbuf *out, const void *p, size_t n);
/* Blanks and newlines are skipped. -EINVAL for anything else that is not base64. */
int base64_decode(struct strbuf *out, const char *s, size_t n);

void quoted_encode(struct strbuf *out, const void *p, size_t n);
/* Cannot fail: what is no escape stands for itself. */
void quoted_decode(struct strbuf *out, const char *s, size_t n);

/* The length of the UTF-8 sequence at s (at most n bytes), or 0; *code is the character. */
size_t utf8_char(const char *s, size_t n, uint32_t *code);
bool utf8_valid(const char *s, size_t n);

#endif
