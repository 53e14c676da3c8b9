/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things that every file may use and that know nothing of checkpointing. */
#ifndef CR_BASE_UTIL_H
#define CR_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define must_check __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/*
 * Cleanup attributes. A local that owns something carries one of these and is always
 * initialised; ownership moves out of it only through take_ptr() or take_fd().
 */
#define cleanup(f) __attribute__((cleanup(f)))
#define cleanup_free cleanup(cleanup_free_)
#define cleanup_fd cleanup(cleanup_fd_)
#define cleanup_file cleanup(cleanup_file_)

static inline void cleanup_free_(void *p)
{
	free(*(void **)p);
}

/* close() is called once and never repeated: Linux frees the number even when it returns EINTR. */
static inline void cleanup_fd_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file_(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define take_ptr(p)                            \
	({                                     \
		__typeof__(p) taken_ = (p);    \
		(p) = NULL;                    \
		taken_;                        \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/*
 * Allocation that cannot fail: on exhaustion one line goes to stderr and the process exits
 * with 1. That is a sound answer here, because every tool is safe against its own death at
 * any instant; limits on sizes that come from images are checked before, by the decoders.
 */
void *xmalloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *xzalloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((alloc_size(2, 3), returns_nonnull));
/* What a library allocated: p, or the same end when it is NULL. */
void *xowned(void *p) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) printf_like(1, 2) __attribute__((malloc, returns_nonnull));

/* Grows *arr (elements of esize bytes, *cap allocated) so that index n is valid. */
void array_reserve(void *arr, size_t *cap, size_t n, size_t esize);

#endif
