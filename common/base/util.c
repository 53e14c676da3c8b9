/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/util.h"

#include <stdarg.h>
#include <string.h>

static _Noreturn void out_of_memory(void)
{
	static const char line[] = "out of memory\n";
	ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);

	_exit(n < 0 ? 1 : 1);
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xzalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);

	if (!q)
		out_of_memory();
	return q;
}

void *xowned(void *p)
{
	if (!p)
		out_of_memory();
	return p;
}

char *xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory();
	return s;
}

void array_reserve(void *arr, size_t *cap, size_t n, size_t esize)
{
	void **p = arr;

	if (n < *cap)
		return;
	/* What is large begins with few: of thousands, most need no more. */
	*cap = MAX(n + 1, *cap ? *cap * 2 : MAX((size_t)4, MIN((size_t)16, 1024 / esize)));
	*p = xreallocarray(*p, *cap, esize);
}
