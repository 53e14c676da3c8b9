/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From images to JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/image/json.h"
#include "common/image/text.h"
#include "ipc-msg.pb-c.h"
#include "ipc-sem.pb-c.h"
#include "ipc-shm.pb-c.h"
#include "tcp-stream.pb-c.h"

#define OUT_BUFFER (64u << 10)
#define HINTS 16
#define KEY_MAX 31

struct hints {
	const ProtobufCMessageDescriptor *desc;
	struct field_hint outer, of[32];
	struct { uint8_t n; char text[KEY_MAX]; } key[32]; /* , "name": */
};

struct writer {
	FILE *f;
	char *buf; /* of OUT_BUFFER bytes; a call of the library for each number would take most of the time */
	size_t n;
	struct hints *hints;
	struct image_json_opts opts;
	unsigned depth;
	bool first; /* nothing in the innermost object or array yet */
};

static void out_flush(struct writer *w)
{
	fwrite(w->buf, 1, w->n, w->f); /* image_to_json() asks ferror() */
	w->n = 0;
}

static inline void out_mem(struct writer *w, const void *p, size_t n)
{
	if (__builtin_expect(n > OUT_BUFFER - w->n, 0))
		out_flush(w);
	if (n > OUT_BUFFER) {
		fwrite(p, 1, n, w->f);
		return;
	}
	memcpy(w->buf + w->n, p, n);
	w->n += n;
}

static inline void out_char(struct writer *w, char c)
{
	if (w->n == OUT_BUFFER)
		out_flush(w);
	w->buf[w->n++] = c;
}

static void out_text(struct writer *w, const char *s)
{
	out_mem(w, s, strlen(s));
}

static void out_number(struct writer *w, uint64_t v)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
				    "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
				    "9899";
	unsigned digits = 1;
	char *end;

	for (uint64_t limit = 10; v >= limit && digits < 20; limit *= 10)
		if (++digits == 20)
			break;
	if (OUT_BUFFER - w->n < 20)
		out_flush(w);
	w->n += digits;
	for (end = w->buf + w->n; v >= 100; v /= 100)
		memcpy(end -= 2, pairs + v % 100 * 2, 2);
	if (v >= 10)
		memcpy(end - 2, pairs + v * 2, 2);
	else
		end[-1] = (char)('0' + v);
}

/* For short text: a name, a number. */
static void printf_like(2, 3) out_printf(struct writer *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (OUT_BUFFER - w->n < 1024)
		out_flush(w);
	va_start(ap, fmt);
	n = vsnprintf(w->buf + w->n, OUT_BUFFER - w->n, fmt, ap);
	va_end(ap);
	w->n += MIN((size_t)MAX(n, 0), OUT_BUFFER - w->n - 1);
}

static void writer_release(struct writer *w)
{
	out_flush(w);
	free(w->buf);
	free(w->hints);
}


static void newline(struct writer *w)
{
	if (!w->opts.indent)
		return;
	out_char(w, '\n');
	for (unsigned i = 0; i < w->depth; i++)
		out_text(w, "    ");
}

/* In front of each key of an object and each element of an array. */
static void item(struct writer *w)
{
	if (!w->first)
		out_mem(w, ", ", w->opts.indent ? 1 : 2);
	w->first = false;
	newline(w);
}

static void begin(struct writer *w, char bracket)
{
	out_char(w, bracket);
	w->depth++;
	w->first = true;
}

static void end(struct writer *w, char bracket)
{
	w->depth--;
	if (!w->first)
		newline(w);
	w->first = false;
	out_char(w, bracket);
}

/* The inside of a JSON string, in ASCII only. s is valid UTF-8. */
static void put_chars(struct writer *w, const char *s, size_t n)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0, len; i < n; i += len) {
		uint32_t code = 0;
		const char *esc = s[i] ? strchr(shorts, s[i]) : NULL;

		len = utf8_char(s + i, n - i, &code) ?: 1;
		/* Letters stand at odd places of the table, what they mean at even ones. */
		if (esc && (esc - shorts) % 2)
			esc = NULL;
		if (esc)
			out_printf(w, "\\%c", esc[1]);
		else if (code >= 0x20 && code < 0x7f)
			out_char(w, (char)code);
		else if (code < 0x10000)
			out_printf(w, "\\u%04x", code);
		else
			out_printf(w, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
	}
}

static void put_string(struct writer *w, const char *s, size_t n)
{
	out_char(w, '"');
	put_chars(w, s, n);
	out_char(w, '"');
}

static void key(struct writer *w, const char *name)
{
	item(w);
	out_char(w, '"');
	out_text(w, name);
	out_mem(w, "\": ", 3);
}

static void put_base64(struct writer *w, const void *p, size_t n)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	base64_encode(&b, p, n);
	put_string(w, b.s ? b.s : "", b.len);
}

static void put_text(struct writer *w, const char *s)
{
	size_t n = strlen(s);

	if (utf8_valid(s, n)) {
		put_string(w, s, n);
		return;
	}
	begin(w, '{');
	key(w, "_base64");
	put_base64(w, s, n);
	end(w, '}');
}

static void put_flags(struct writer *w, const char *table, uint64_t v)
{
	const char *sep = "";

	out_char(w, '"');
	for (const struct word *word = image_words; word->table; word++) {
		if (strcmp(word->table, table) || !word->value || (v & word->value) != word->value)
			continue;
		out_printf(w, "%s%s", sep, word->name);
		sep = " | ";
		v &= ~word->value;
	}
	if (v)
		out_printf(w, "%s0x%" PRIx64, sep, v);
	out_char(w, '"');
}

static bool put_dict(struct writer *w, const char *table, const char *field, uint64_t v)
{
	for (const struct word *word = image_words; word->table; word++)
		if (!strcmp(word->table, table) && word->field && !strcmp(word->field, field) && word->value == v) {
			out_printf(w, "\"%s\"", word->name);
			return true;
		}
	return false;
}

/* An unsigned number in words where its hint has some. */
static bool put_words(struct writer *w, const char *field, struct field_hint hint, uint64_t v)
{
	switch (hint.kind) {
	case HINT_HEX:
		out_printf(w, "\"0x%" PRIx64 "\"", v);
		return true;
	case HINT_FLAGS:
		put_flags(w, hint.table, v);
		return true;
	case HINT_DICT:
		return put_dict(w, hint.table, field, v);
	case HINT_DEV: /* the kernel's own dev_t: 12 bits of major over 20 of minor */
		out_printf(w, "\"%" PRIu64 ":%" PRIu64 "\"", v >> 20, v & 0xfffff);
		return true;
	case HINT_ODEV: /* as stat(2) gives it */
		out_printf(w, "\"%u:%u\"", major(v), minor(v));
		return true;
	case HINT_NONE:
	case HINT_IPADD:
	case HINT_QUOTED:
		break;
	}
	return false;
}

static void put_message(struct writer *w, const ProtobufCMessage *msg, struct field_hint hint);

static void put_enum(struct writer *w, const ProtobufCFieldDescriptor *f, int v)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(f->descriptor, v);

	if (value)
		out_printf(w, "\"%s\"", value->name);
	else
		out_printf(w, "%d", v);
}

static void put_bytes(struct writer *w, const ProtobufCBinaryData *b, struct field_hint hint)
{
	cleanup_strbuf struct strbuf q = STRBUF_INIT;

	if (hint.kind != HINT_QUOTED) {
		put_base64(w, b->data, b->len);
		return;
	}
	quoted_encode(&q, b->data, b->len);
	put_string(w, q.s ? q.s : "", q.len);
}

static void put_number(struct writer *w, const char *field, struct field_hint hint, bool negative, uint64_t v)
{
	if (negative)
		out_printf(w, "%" PRId64, (int64_t)v);
	else if (!w->opts.words || !put_words(w, field, hint, v))
		out_number(w, v);
}

/* One value of a field, at p in its message. */
static void put_value(struct writer *w, const ProtobufCFieldDescriptor *f, struct field_hint hint, const void *p)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		put_number(w, f->name, hint, *(const int32_t *)p < 0, (uint64_t)(int64_t)*(const int32_t *)p);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		put_number(w, f->name, hint, *(const int64_t *)p < 0, (uint64_t)*(const int64_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		put_number(w, f->name, hint, false, *(const uint32_t *)p);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		put_number(w, f->name, hint, false, *(const uint64_t *)p);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		out_text(w, *(const protobuf_c_boolean *)p ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_ENUM:
		put_enum(w, f, *(const int *)p);
		break;
	case PROTOBUF_C_TYPE_STRING:
		put_text(w, *(char *const *)p);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		put_bytes(w, p, hint);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		begin(w, '{');
		put_message(w, *(ProtobufCMessage *const *)p, hint);
		end(w, '}');
		break;
	case PROTOBUF_C_TYPE_FLOAT: /* the format has none */
	case PROTOBUF_C_TYPE_DOUBLE:
		out_text(w, "null");
	}
}

static size_t value_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return 8;
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	default:
		return 4;
	}
}

/* Addresses of one IPv4 or IPv6 word list, as their kernel bytes. */
static bool put_address(struct writer *w, const uint32_t *words, size_t n)
{
	char text[INET6_ADDRSTRLEN];

	if (!w->opts.words || (n != 1 && n != 4))
		return false;
	inet_ntop(n == 1 ? AF_INET : AF_INET6, words, text, sizeof(text));
	begin(w, '[');
	item(w);
	out_printf(w, "\"%s\"", text);
	end(w, ']');
	return true;
}

static void put_array(struct writer *w, const ProtobufCFieldDescriptor *f, struct field_hint hint, const char *p, size_t n)
{
	if (hint.kind == HINT_IPADD && put_address(w, (const uint32_t *)p, n))
		return;
	begin(w, '[');
	for (size_t i = 0; i < n; i++) {
		item(w);
		put_value(w, f, hint, p + i * value_size(f->type));
	}
	end(w, ']');
}

static bool present(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)msg;

	if (f->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)(base + f->quantifier_offset);
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return *(void *const *)(base + f->offset);
	return *(const protobuf_c_boolean *)(base + f->quantifier_offset);
}

static void put_unknown(struct writer *w, const ProtobufCMessage *msg)
{
	key(w, "_unknown");
	begin(w, '[');
	for (unsigned i = 0; i < msg->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *u = &msg->unknown_fields[i];

		item(w);
		begin(w, '{');
		key(w, "field");
		out_printf(w, "%u", u->tag);
		key(w, "wire");
		out_printf(w, "%d", u->wire_type);
		key(w, "data");
		put_base64(w, u->data, u->len);
		end(w, '}');
	}
	end(w, ']');
}

/* Names and hints are made ready once a message type: entries are mostly of one type. NULL: it has too many fields. */
static const struct hints *hints_of(struct writer *w, const ProtobufCMessageDescriptor *desc, struct field_hint outer)
{
	struct hints *h = &w->hints[((uintptr_t)desc >> 5 ^ outer.kind) % HINTS];

	if (h->desc == desc && h->outer.kind == outer.kind && h->outer.table == outer.table)
		return h;
	if (desc->n_fields > ARRAY_SIZE(h->of))
		return NULL;
	h->desc = desc;
	h->outer = outer;
	for (unsigned i = 0; i < desc->n_fields; i++) {
		size_t n = strlen(desc->fields[i].name);

		h->of[i] = image_field_hint(desc, &desc->fields[i], outer);
		h->key[i].n = n + 6 < KEY_MAX ? (uint8_t)(n + 6) : 0;
		snprintf(h->key[i].text, KEY_MAX, ", \"%s\": ", desc->fields[i].name);
	}
	return h;
}

/* key() without the call of memcpy(): copies more than is needed. */
static inline void out_key(struct writer *w, const char text[KEY_MAX], size_t n)
{
	unsigned skip = w->first ? 2 : 0; /* the comma */

	if (OUT_BUFFER - w->n < KEY_MAX)
		out_flush(w);
	memcpy(w->buf + w->n, text + skip, KEY_MAX - 2);
	w->n += n - skip;
	w->first = false;
}

/* The keys of a message; the braces are the caller's. */
static void put_message(struct writer *w, const ProtobufCMessage *msg, struct field_hint outer)
{
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		const struct hints *h = hints_of(w, msg->descriptor, outer); /* an inner message may have taken the place */
		struct field_hint hint = h ? h->of[i] : image_field_hint(msg->descriptor, f, outer);
		const char *base = (const char *)msg;

		if (!present(msg, f))
			continue;
		if (h && h->key[i].n && !w->opts.indent)
			out_key(w, h->key[i].text, h->key[i].n);
		else
			key(w, f->name);
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			put_array(w, f, hint, *(char *const *)(base + f->offset), *(const size_t *)(base + f->quantifier_offset));
		else
			put_value(w, f, hint, base + f->offset);
	}
	if (msg->n_unknown_fields)
		put_unknown(w, msg);
}

/* ---- payloads ---- */

/* n bytes of the payload as one string. */
static int put_raw(struct writer *w, struct image_reader *rd, uint64_t n, struct err *err)
{
	char buf[BASE64_LINE * 256];
	int ret = 0;

	out_char(w, '"');
	while (n && !ret) {
		cleanup_strbuf struct strbuf b = STRBUF_INIT;
		size_t part = (size_t)MIN(n, (uint64_t)sizeof(buf));

		ret = image_reader_payload(rd, buf, part, err);
		if (ret)
			break;
		base64_encode(&b, buf, part);
		put_chars(w, b.s, b.len);
		n -= part;
	}
	out_char(w, '"');
	return ret;
}

static int put_semaphores(struct writer *w, struct image_reader *rd, uint32_t n, struct err *err)
{
	int ret = 0;

	begin(w, '[');
	for (; n && !ret; n--) {
		uint8_t v[2];

		ret = image_reader_payload(rd, v, 2, err);
		item(w);
		out_printf(w, "%u", ret ? 0 : v[0] | v[1] << 8);
	}
	end(w, ']');
	return ret;
}

static int put_messages(struct writer *w, struct image_reader *rd, uint32_t n, struct err *err)
{
	int ret = 0;

	begin(w, '[');
	for (; n && !ret; n--) {
		cleanup_arena struct arena *arena = arena_new();
		cleanup_free void *head = NULL;
		ProtobufCMessage *msg;
		const char *why;
		uint8_t word[4], pad[8];
		uint32_t len, size;

		ret = image_reader_payload(rd, word, 4, err);
		if (ret)
			break;
		len = word[0] | word[1] << 8 | word[2] << 16 | (uint32_t)word[3] << 24;
		if (len > image_reader_payload_left(rd) || len > IMAGE_ENTRY_MAX)
			return err_image(err, "a queued message is damaged");
		head = xmalloc(len + 1);
		ret = image_reader_payload(rd, head, len, err);
		if (ret)
			break;
		msg = image_unpack(&ipc_msg__descriptor, arena, head, len, &why);
		if (!msg)
			return err_image(err, "a queued message: %s", why);
		item(w);
		begin(w, '{');
		put_message(w, msg, (struct field_hint){ HINT_NONE, NULL });
		end(w, '}');
		size = ((IpcMsg *)msg)->msize;
		item(w);
		ret = put_raw(w, rd, size, err);
		if (!ret)
			ret = image_reader_payload(rd, pad, -size & 7, err);
	}
	end(w, ']');
	return ret;
}

static int put_tcp(struct writer *w, struct image_reader *rd, const TcpStreamEntry *tcp, struct err *err)
{
	int ret;

	begin(w, '{');
	key(w, "inq");
	ret = put_raw(w, rd, tcp->inq_len, err);
	if (!ret) {
		key(w, "outq");
		ret = put_raw(w, rd, tcp->outq_len, err);
	}
	end(w, '}');
	return ret;
}

static int put_payload(struct writer *w, struct image_reader *rd, const ProtobufCMessage *msg, struct err *err)
{
	enum image_kind kind = image_reader_kind(rd);
	enum image_payload payload = image_kinds[kind].payload;
	uint64_t left = image_reader_payload_left(rd);

	/* Ghosts in pieces have nothing behind the first entry. */
	if (payload == PAYLOAD_NONE || (payload == PAYLOAD_GHOST && !image_payload_size(kind, msg)))
		return 0;
	key(w, "extra");
	if (w->opts.no_payload) {
		out_printf(w, "\"... <%" PRIu64 "B>\"", left);
		return 0;
	}
	switch (payload) {
	case PAYLOAD_TCP:
		return put_tcp(w, rd, (const TcpStreamEntry *)msg, err);
	case PAYLOAD_SEM:
		return put_semaphores(w, rd, ((const IpcSemEntry *)msg)->nsems, err);
	case PAYLOAD_MSG:
		return put_messages(w, rd, ((const IpcMsgEntry *)msg)->qnum, err);
	case PAYLOAD_SHM:
		return put_raw(w, rd, left ? ((const IpcShmEntry *)msg)->size : 0, err); /* the padding is not shown */
	default:
		return put_raw(w, rd, left, err);
	}
}

static int put_entry(struct writer *w, struct image_reader *rd, const ProtobufCMessage *msg, struct err *err)
{
	int ret;

	begin(w, '{');
	put_message(w, msg, (struct field_hint){ HINT_NONE, NULL });
	ret = put_payload(w, rd, msg, err);
	end(w, '}');
	return ret;
}

static void line_start(struct writer *w, enum image_kind kind)
{
	begin(w, '{');
	key(w, "file");
	put_text(w, w->opts.lines);
	key(w, "magic");
	out_printf(w, "\"%s\"", image_magic_name(kind));
	key(w, "entry");
}

int image_to_json(struct image_reader *rd, const struct image_json_opts *opts, FILE *out, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	cleanup(writer_release) struct writer w = { .f = out, .opts = *opts, .depth = opts->depth,
						    .first = true, .buf = xmalloc(OUT_BUFFER),
						    .hints = xzalloc(HINTS * sizeof(*w.hints)) };
	enum image_kind kind = image_reader_kind(rd);
	int ret;

	if (!image_kinds[kind].message)
		return err_image(err, "a raw image (%s) has no entries to show", image_kinds[kind].name);
	if (!opts->lines) {
		begin(&w, '{');
		key(&w, "magic");
		out_printf(&w, "\"%s\"", image_magic_name(kind));
		key(&w, "entries");
		begin(&w, '[');
	}
	for (;;) {
		ProtobufCMessage *msg;

		ret = image_reader_next(rd, arena, &msg, err);
		if (ret <= 0)
			break;
		if (opts->lines)
			line_start(&w, kind);
		else
			item(&w);
		ret = put_entry(&w, rd, msg, err);
		if (opts->lines) {
			end(&w, '}');
			out_char(&w, '\n');
		}
		if (ret || ferror(out))
			break;
		arena_reset(arena);
	}
	/* After a failure the JSON stays open, so that nobody takes a part for the whole. */
	if (!opts->lines && ret >= 0) {
		end(&w, ']');
		end(&w, '}');
		if (!opts->depth)
			out_char(&w, '\n');
	}
	out_flush(&w);
	if (ret >= 0 && ferror(out))
		ret = err_set(err, ERR_FAILED, errno, "cannot write");
	return ret;
}
