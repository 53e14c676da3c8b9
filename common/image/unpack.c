/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unpacking of messages that nobody vouches for. */
#include <string.h>

#include "common/image/image.h"

/* Memory that a message may take for each of its bytes. Real ones need less than 20, the worst legal one about 50. */
#define MEMORY_PER_BYTE 64
#define MEMORY_BASE (64u << 10)

struct wire {
	const uint8_t *p, *end;
};

static bool get_varint(struct wire *w, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 70 && w->p < w->end; shift += 7) {
		uint8_t b = *w->p++;

		*v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

static bool skip(struct wire *w, uint64_t n)
{
	if (n > (uint64_t)(w->end - w->p))
		return false;
	w->p += n;
	return true;
}

/*
 * Walks the encoding before protobuf-c does, for the two things that it does not mind: messages nested so deep that its
 * recursion would overflow the stack, and NUL bytes in strings, which would vanish with all that follows them.
 * Returns NULL or the reason for refusal.
 */
static const char *walk(const ProtobufCMessageDescriptor *desc, const uint8_t *p, size_t len, unsigned depth)
{
	struct wire w = { p, p + len };
	uint64_t tag, n;

	if (depth > IMAGE_NESTING_MAX)
		return "messages are nested too deep";
	while (w.p < w.end) {
		const ProtobufCFieldDescriptor *f;
		const char *why;

		if (!get_varint(&w, &tag) || !(tag >> 3) || tag >> 3 > 0x1fffffff)
			return "bad field number";
		switch (tag & 7) {
		case PROTOBUF_C_WIRE_TYPE_VARINT:
			if (!get_varint(&w, &n))
				return "bad number";
			break;
		case PROTOBUF_C_WIRE_TYPE_64BIT:
		case PROTOBUF_C_WIRE_TYPE_32BIT:
			if (!skip(&w, (tag & 7) == PROTOBUF_C_WIRE_TYPE_64BIT ? 8 : 4))
				return "a number is cut short";
			break;
		case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
			p = get_varint(&w, &n) ? w.p : NULL;
			if (!p || !skip(&w, n))
				return "a field is longer than its message";
			f = protobuf_c_message_descriptor_get_field(desc, (unsigned)(tag >> 3));
			if (f && f->type == PROTOBUF_C_TYPE_STRING && memchr(p, 0, n))
				return "a string holds a NUL byte";
			if (f && f->type == PROTOBUF_C_TYPE_MESSAGE) {
				why = walk(f->descriptor, p, n, depth + 1);
				if (why)
					return why;
			}
			break;
		default:
			return "unknown wire type";
		}
	}
	return NULL;
}

/*
 * Of a message of many fields protobuf-c makes a list first, in pieces from 2 KiB on, each twice as large as the one before, and frees
 * them at the end: for the core image of a thread 30 KiB. The next message takes the same pieces, instead of fresh pages.
 */
#define PIECE_MIN 2048u
#define PIECES 32

struct budget {
	struct arena *arena;
	size_t left;
	struct { void *p; size_t n; } piece[PIECES]; /* that may be freed; who finds no room here just stays */
	unsigned npieces;
};

static void *budget_alloc(void *data, size_t n)
{
	struct budget *b = data;

	if (n > b->left)
		return NULL;
	b->left -= n;
	if (n < PIECE_MIN || b->npieces == PIECES)
		return arena_alloc(b->arena, n);
	b->piece[b->npieces].n = n;
	return b->piece[b->npieces++].p = arena_again(b->arena, n) ?: arena_alloc(b->arena, n);
}

static void budget_free(void *data, void *p)
{
	struct budget *b = data;

	for (unsigned i = b->npieces; i-- > 0;) {
		if (b->piece[i].p != p)
			continue;
		arena_give_back(b->arena, p, b->piece[i].n);
		b->piece[i] = b->piece[--b->npieces];
		return;
	}
}

ProtobufCMessage *image_unpack(const ProtobufCMessageDescriptor *desc, struct arena *arena, const void *bytes, size_t len,
			       const char **why)
{
	struct budget budget = { .arena = arena, .left = MEMORY_BASE + MEMORY_PER_BYTE * len };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
	ProtobufCMessage *msg;

	*why = walk(desc, bytes, len, 0);
	if (*why)
		return NULL;
	msg = protobuf_c_message_unpack(desc, &allocator, len, bytes);
	if (!msg)
		*why = "a required field is missing or a field has the wrong type";
	return msg;
}
