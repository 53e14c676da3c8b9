/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena: many small allocations that live exactly as long as their owner (a dump, a model
 * of images). protobuf messages are built and unpacked in it, so nothing is freed one by one.
 */
#ifndef CR_BASE_ARENA_H
#define CR_BASE_ARENA_H

#include <protobuf-c/protobuf-c.h>

#include "common/base/util.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
void arena_freep(struct arena **a);
/* Takes all allocations back and keeps a block of memory: for loops that need little each time. */
void arena_reset(struct arena *a);
#define cleanup_arena cleanup(arena_freep)

/* Zeroed memory, 16-byte aligned. Never NULL. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_dup(struct arena *a, const void *p, size_t n);
/*
 * Memory of the arena that was needed for a moment only. Another one who needs exactly so much may have it, as it was left: NULL when
 * there is none. For a few sizes that come again and again.
 */
void arena_give_back(struct arena *a, void *p, size_t n);
void *arena_again(struct arena *a, size_t n);
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) printf_like(2, 3);

/* A new message of a protobuf-c type, initialised: struct X *m = arena_msg(a, x) calls x__init(). */
#define arena_msg(a, T, init)                                 \
	({                                                    \
		T *msg_ = arena_alloc((a), sizeof(T));        \
		init(msg_);                                   \
		msg_;                                         \
	})

/* An allocator for X__unpack() that takes from the arena; free is a no-op. Lives as long as the arena. */
ProtobufCAllocator *arena_allocator(struct arena *a);

#endif
