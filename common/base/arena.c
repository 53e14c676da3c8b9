/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/arena.h"

#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

/* Many arenas hold little: each block is twice as large as the one before, from the first to the last size. */
#define FIRST_BLOCK (2u << 10)
#define LAST_BLOCK (1u << 20)
#define PAGE 4096ul
#define MANY_PAGES (32 * PAGE)
#define ALIGN 16u

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(ALIGN) unsigned char bytes[];
};

struct spare {
	struct spare *next;
	size_t size;
};

struct arena {
	struct block *blocks; /* the first one is being filled */
	size_t next; /* size of the next one */
	struct spare *spares; /* given back */
	ProtobufCAllocator allocator;
};

static void *pb_alloc(void *data, size_t n)
{
	return arena_alloc(data, n);
}

static void pb_free(void *data, void *p)
{
}

struct arena *arena_new(void)
{
	struct arena *a = xzalloc(sizeof(*a));

	a->next = FIRST_BLOCK;
	a->allocator = (ProtobufCAllocator){ pb_alloc, pb_free, a };
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

void arena_reset(struct arena *a)
{
	struct block *keep = NULL;

	for (struct block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		if (!keep && b->size <= LAST_BLOCK) {
			keep = b;
			continue;
		}
		free(b);
	}
	if (keep) {
		memset(keep->bytes, 0, keep->used);
		keep->used = 0;
		keep->next = NULL;
	}
	a->blocks = keep;
	a->spares = NULL;
}

void arena_freep(struct arena **a)
{
	arena_free(*a);
}

/* All pages of a large block at once: one by one, when they are first written to, takes three times as long. */
static void populate(struct block *b)
{
	const uintptr_t from = ((uintptr_t)b + PAGE - 1) & ~(uintptr_t)(PAGE - 1), to = (uintptr_t)b->bytes + b->size;

	if (b->size >= MANY_PAGES)
		madvise((void *)from, (to - from) & ~(size_t)(PAGE - 1), MADV_POPULATE_WRITE);
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct block *b = a->blocks;
	void *p;

	if (n > PTRDIFF_MAX / 2)
		need = PTRDIFF_MAX / 2; /* sums below must not wrap; no machine has it, so xzalloc() ends this */
	if (!b || b->size - b->used < need) {
		const bool large = b && need > a->next / 4;
		const size_t size = large ? need : MAX(need, a->next);

		/* Fresh memory is zero; blocks are never reused, so allocations need no clearing. */
		struct block *fresh = xzalloc(sizeof(*fresh) + size);

		fresh->size = size;
		a->next = MIN(2 * a->next, LAST_BLOCK);
		if (large) { /* does not end the block being filled */
			fresh->next = b->next;
			b->next = fresh;
		} else {
			populate(fresh);
			fresh->next = b;
			a->blocks = fresh;
		}
		b = fresh;
	}
	p = b->bytes + b->used;
	b->used += need;
	return p;
}

void arena_give_back(struct arena *a, void *p, size_t n)
{
	struct spare *s = p;

	if (n < sizeof(*s))
		return;
	*s = (struct spare){ a->spares, n };
	a->spares = s;
}

void *arena_again(struct arena *a, size_t n)
{
	for (struct spare **at = &a->spares; *at; at = &(*at)->next) {
		struct spare *s = *at;

		if (s->size != n)
			continue;
		*at = s->next;
		return s;
	}
	return NULL;
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);

	if (n)
		memcpy(q, p, n);
	return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_dup(a, s, strlen(s) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	s = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	va_start(ap, fmt);
	vsnprintf(s, (size_t)(n < 0 ? 0 : n) + 1, fmt, ap);
	va_end(ap);
	return s;
}

ProtobufCAllocator *arena_allocator(struct arena *a)
{
	return &a->allocator;
}
