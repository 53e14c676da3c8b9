/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>

/* Nothing of this takes memory. n: what was wanted, 0 for something small. */
static _Noreturn void out_of_memory(size_t n)
{
	char line[256];
	struct rlimit lim;
	ssize_t done;
	int len = snprintf(line, sizeof(line), "%s: out of memory", program_invocation_short_name);

	if (n)
		len += snprintf(line + len, sizeof(line) - (size_t)len, ": no room for %zu bytes", n);
	if (!getrlimit(RLIMIT_AS, &lim) && lim.rlim_cur != RLIM_INFINITY)
		len += snprintf(line + len, sizeof(line) - (size_t)len, "; address space is limited to %llu KiB: raise that (ulimit -v)",
				(unsigned long long)lim.rlim_cur >> 10);
	line[len] = '\n';
	done = write(STDERR_FILENO, line, (size_t)len + 1);
	_exit(done < 0 ? 1 : 1);
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *xzalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	void *q = reallocarray(p, n ? n : 1, size ? size : 1);
	size_t all;

	if (!q)
		out_of_memory(__builtin_mul_overflow(n, size, &all) ? SIZE_MAX : all);
	return q;
}

void *xowned(void *p)
{
	if (!p)
		out_of_memory(0);
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
		out_of_memory(0);
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
