/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From JSON to images: {"magic": KIND, "entries": [...]}. */
#include <errno.h>
#include <string.h>

#include "common/image/json.h"
#include "common/image/json_message.h"
#include "common/image/json_scan.h"
#include "ipc-msg.pb-c.h"
#include "ipc-sem.pb-c.h"
#include "tcp-stream.pb-c.h"

struct encoder {
	FILE *out;
	enum image_kind kind; /* IMG_KINDS until "magic" is known */
	unsigned long entries;
};

static void add_word(struct strbuf *b, uint32_t v)
{
	const uint8_t le[4] = { v & 0xff, v >> 8 & 0xff, v >> 16 & 0xff, v >> 24 };

	strbuf_add(b, le, 4);
}

static void add_zeroes(struct strbuf *b, size_t n)
{
	static const char zeroes[8];

	strbuf_add(b, zeroes, n);
}

/* Appends one record: length and message. */
static int add_message(struct strbuf *b, const ProtobufCMessage *msg, struct err *err)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	cleanup_arena struct arena *arena = arena_new();
	cleanup_free uint8_t *packed = NULL;
	const char *why;

	if (len > IMAGE_ENTRY_MAX)
		return err_image(err, "an entry of %zu bytes; at most %u are possible", len, IMAGE_ENTRY_MAX);
	packed = xmalloc(len + 1);
	protobuf_c_message_pack(msg, packed);
	/* Nothing is written that would not read: "_unknown" and deep nesting can make such. */
	if (!image_unpack(msg->descriptor, arena, packed, len, &why))
		return err_image(err, "the entry would not be readable: %s", why);
	add_word(b, (uint32_t)len);
	strbuf_add(b, packed, len);
	return 0;
}

static int size_differs(struct err *err, size_t have, uint64_t want)
{
	return err_image(err, "\"extra\" has %zu bytes, but the entry says %llu", have, (unsigned long long)want);
}

static int tcp_queue(json_object *extra, const char *name, uint32_t want, struct strbuf *b, struct err *err)
{
	size_t before = b->len;
	json_object *v;
	int ret;

	if (!json_object_is_type(extra, json_type_object) || !json_object_object_get_ex(extra, name, &v))
		return err_image(err, "\"extra\" needs \"inq\" and \"outq\"");
	ret = bytes_from_json(v, b, err);
	if (!ret && b->len - before != want)
		ret = size_differs(err, b->len - before, want);
	return ret ? err_object(err, ret, "%s", name) : 0;
}

static int semaphores(json_object *extra, uint32_t n, struct strbuf *b, struct err *err)
{
	if (!json_object_is_type(extra, json_type_array) || json_object_array_length(extra) != n)
		return err_image(err, "\"extra\" must be an array of %u values", n);
	for (uint32_t i = 0; i < n; i++) {
		json_object *v = json_object_array_get_idx(extra, i);
		int64_t value = json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : -1;

		if (value < 0 || value > UINT16_MAX)
			return err_object(err, err_image(err, "not a 16-bit number"), "[%u]", i);
		strbuf_add(b, &(uint8_t[2]){ value & 0xff, (uint8_t)(value >> 8) }, 2);
	}
	add_zeroes(b, -(size_t)(2 * (size_t)n) & 7);
	return 0;
}

static int messages(json_object *extra, uint32_t n, struct arena *arena, struct strbuf *b, struct err *err)
{
	if (!json_object_is_type(extra, json_type_array) || json_object_array_length(extra) != 2 * (size_t)n)
		return err_image(err, "\"extra\" must be an array of %u pairs: message, text", n);
	for (uint32_t i = 0; i < n; i++) {
		ProtobufCMessage *msg;
		size_t before;
		int ret = message_from_json(&ipc_msg__descriptor, json_object_array_get_idx(extra, 2 * i), NULL, arena, &msg,
					    err);

		if (!ret)
			ret = add_message(b, msg, err);
		before = b->len;
		if (!ret)
			ret = bytes_from_json(json_object_array_get_idx(extra, 2 * i + 1), b, err);
		if (!ret && b->len - before != ((IpcMsg *)msg)->msize)
			ret = size_differs(err, b->len - before, ((IpcMsg *)msg)->msize);
		if (ret)
			return err_object(err, ret, "[%u]", i);
		add_zeroes(b, -(b->len - before) & 7);
	}
	return 0;
}

static int add_payload(enum image_kind kind, const ProtobufCMessage *msg, json_object *extra, struct arena *arena,
		       struct strbuf *b, struct err *err)
{
	uint64_t want = image_payload_size(kind, msg);
	size_t before = b->len;
	int ret = 0;

	switch (image_kinds[kind].payload) {
	case PAYLOAD_NONE:
		return extra ? err_image(err, "%s has no payload", image_kinds[kind].name) : 0;
	case PAYLOAD_TCP:
		ret = tcp_queue(extra, "inq", ((const TcpStreamEntry *)msg)->inq_len, b, err);
		return ret ? ret : tcp_queue(extra, "outq", ((const TcpStreamEntry *)msg)->outq_len, b, err);
	case PAYLOAD_SEM:
		return semaphores(extra, ((const IpcSemEntry *)msg)->nsems, b, err);
	case PAYLOAD_MSG:
		return messages(extra, ((const IpcMsgEntry *)msg)->qnum, arena, b, err);
	default:
		break;
	}
	if (extra)
		ret = bytes_from_json(extra, b, err);
	if (ret || want == UINT64_MAX)
		return ret;
	if (image_kinds[kind].payload == PAYLOAD_SHM) /* the text has the bytes without their padding */
		add_zeroes(b, -(b->len - before) & 3);
	return b->len - before == want ? 0 : size_differs(err, b->len - before, want);
}

static int write_bytes(struct encoder *e, const struct strbuf *b, struct err *err)
{
	if (b->len && fwrite(b->s, 1, b->len, e->out) != b->len)
		return err_sys(err, "cannot write");
	return 0;
}

static int encode_entry(struct encoder *e, json_object *o, struct err *err)
{
	const struct image_kind_info *info = &image_kinds[e->kind];
	cleanup_arena struct arena *arena = arena_new();
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	json_object *extra = NULL;
	ProtobufCMessage *msg;
	int ret;

	e->entries++;
	ret = message_from_json(e->entries == 1 && info->head ? info->head : info->message, o, "extra", arena, &msg, err);
	if (!ret)
		ret = add_message(&b, msg, err);
	if (!ret) {
		json_object_object_get_ex(o, "extra", &extra);
		ret = add_payload(e->kind, msg, extra, arena, &b, err);
	}
	if (!ret)
		ret = write_bytes(e, &b, err);
	return ret ? err_object(err, ret, "entry %lu", e->entries) : 0;
}

static int read_magic(struct encoder *e, struct json_scan *s, struct err *err)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;
	cleanup_json json_object *v = NULL;
	int ret = json_scan_value(s, &v, err);

	if (ret)
		return ret;
	if (e->kind != IMG_KINDS)
		return err_image(err, "\"magic\" is there twice");
	e->kind = json_object_is_type(v, json_type_string) ? image_kind_by_name(json_object_get_string(v)) : IMG_KINDS;
	if (e->kind == IMG_KINDS)
		return err_image(err, "unknown magic %.60s", json_object_to_json_string(v));
	if (!image_kinds[e->kind].message)
		return err_image(err, "%s is a raw image without entries", image_kinds[e->kind].name);
	if (image_kinds[e->kind].first_magic)
		add_word(&b, image_kinds[e->kind].first_magic);
	add_word(&b, image_kinds[e->kind].magic);
	return write_bytes(e, &b, err);
}

/* The usual case: the kind is known, so each entry goes out before the next is read. */
static int stream_entries(struct encoder *e, struct json_scan *s, struct err *err)
{
	if (!json_scan_take(s, '['))
		return err_image(err, "line %lu: \"entries\" must be an array", json_scan_line(s));
	if (json_scan_take(s, ']'))
		return 0;
	do {
		cleanup_json json_object *o = NULL;
		unsigned long line;
		int ret;

		json_scan_peek(s);
		line = json_scan_line(s);
		ret = json_scan_value(s, &o, err);
		if (ret)
			return ret;
		ret = encode_entry(e, o, err);
		if (ret)
			return err_object(err, ret, "line %lu", line);
	} while (json_scan_take(s, ','));
	return json_scan_take(s, ']') ? 0 : err_image(err, "line %lu: ',' or ']' expected", json_scan_line(s));
}

static int held_entries(struct encoder *e, json_object *held, struct err *err)
{
	int ret = 0;

	if (!json_object_is_type(held, json_type_array))
		return err_image(err, "\"entries\" must be an array");
	for (size_t i = 0; !ret && i < json_object_array_length(held); i++)
		ret = encode_entry(e, json_object_array_get_idx(held, i), err);
	return ret;
}

static int read_key(struct json_scan *s, json_object **name, struct err *err)
{
	int ret = json_scan_peek(s) == '"' ? json_scan_value(s, name, err) :
					     err_image(err, "line %lu: a key in quotes is expected", json_scan_line(s));

	if (!ret && !json_scan_take(s, ':'))
		ret = err_image(err, "line %lu: ':' expected", json_scan_line(s));
	return ret;
}

/* Keys may come in any order (jq -S sorts them): entries in front of the magic are held until it is known. */
static int encode(struct encoder *e, struct json_scan *s, struct err *err)
{
	cleanup_json json_object *held = NULL;
	bool entries = false;

	if (!json_scan_take(s, '{'))
		return err_image(err, "line %lu: '{' expected", json_scan_line(s));
	do {
		cleanup_json json_object *name = NULL;
		const char *k;
		int ret = read_key(s, &name, err);

		if (ret)
			return ret;
		k = json_object_get_string(name);
		if (!strcmp(k, "magic")) {
			ret = read_magic(e, s, err);
		} else if (strcmp(k, "entries") != 0) {
			ret = err_image(err, "line %lu: unknown key \"%.60s\"", json_scan_line(s), k);
		} else if (entries) {
			ret = err_image(err, "line %lu: \"entries\" is there twice", json_scan_line(s));
		} else {
			entries = true;
			ret = e->kind == IMG_KINDS ? json_scan_value(s, &held, err) : stream_entries(e, s, err);
		}
		if (ret)
			return ret;
	} while (json_scan_take(s, ','));
	if (!json_scan_take(s, '}'))
		return err_image(err, "line %lu: ',' or '}' expected", json_scan_line(s));
	if (json_scan_peek(s) != EOF)
		return err_image(err, "line %lu: something follows the image", json_scan_line(s));
	if (e->kind == IMG_KINDS || !entries)
		return err_image(err, "an image needs \"magic\" and \"entries\"");
	return held ? held_entries(e, held, err) : 0;
}

int image_from_json(FILE *in, const char *name, FILE *out, struct err *err)
{
	struct encoder e = { .out = out, .kind = IMG_KINDS };
	cleanup_scan struct json_scan *s = json_scan_new(in);
	int ret = encode(&e, s, err);

	if (!ret && fflush(out))
		ret = err_sys(err, "cannot write");
	return ret ? err_object(err, ret, "%s", name) : 0;
}
