/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a JSON object to a message. Everything that can be wrong is said with the path of the field. */
#include "common/image/json_message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/base/io.h"
#include "common/image/json.h"
#include "common/image/text.h"

struct value { /* a whole number of either sign */
	uint64_t v;
	bool negative;
};

static int wrong(struct err *err, json_object *v, const char *want)
{
	return err_image(err, "%.60s is not %s", json_object_to_json_string_ext(v, JSON_C_TO_STRING_NOSLASHESCAPE), want);
}

static int plain_number(const char *s, struct value *out)
{
	uint64_t u;

	*out = (struct value){ 0, *s == '-' };
	s += out->negative;
	if (parse_u64(s, s[0] == '0' && (s[1] | 0x20) == 'x' ? 16 : 10, &u))
		return -EINVAL;
	if (out->negative && u > (uint64_t)INT64_MAX + 1)
		return -EINVAL;
	out->negative = out->negative && u;
	out->v = out->negative ? -u : u;
	return 0;
}

/* "A | B | 0x10" by the table of a field; field NULL: flags. */
static int words_value(const char *table, const char *field, const char *text, struct value *out)
{
	cleanup_free char *copy = xstrdup(text);
	char *save = NULL;

	*out = (struct value){ 0, false };
	for (char *part = strtok_r(copy, "| ", &save); part; part = strtok_r(NULL, "| ", &save)) {
		const struct word *w = image_words;
		struct value rest;

		while (w->table && (strcmp(w->table, table) || strcmp(w->name, part) ||
				    (field && (!w->field || strcmp(w->field, field)))))
			w++;
		if (!w->table && (plain_number(part, &rest) || rest.negative))
			return -EINVAL;
		out->v |= w->table ? w->value : rest.v;
	}
	return 0;
}

static int dev_value(const char *text, bool kernel, struct value *out)
{
	const char *colon = strchr(text, ':');
	cleanup_free char *first = NULL;
	uint64_t maj, min;

	if (!colon)
		return plain_number(text, out);
	first = strndup(text, (size_t)(colon - text));
	if (!first || parse_u64(first, 10, &maj) || parse_u64(colon + 1, 10, &min) || maj > 0xfff || min > 0xfffff)
		return -EINVAL;
	*out = (struct value){ kernel ? maj << 20 | min : makedev((unsigned)maj, (unsigned)min), false };
	return 0;
}

static int number(const ProtobufCFieldDescriptor *f, struct field_hint hint, json_object *v, struct value *out,
		  struct err *err)
{
	const char *text = json_object_get_string(v);
	int ret = -EINVAL;

	switch (json_object_get_type(v)) {
	case json_type_int:
		*out = (struct value){ (uint64_t)json_object_get_int64(v), json_object_get_int64(v) < 0 };
		if (!out->negative)
			out->v = json_object_get_uint64(v);
		return 0;
	case json_type_string:
		if (hint.kind == HINT_FLAGS)
			ret = words_value(hint.table, NULL, text, out);
		else if (hint.kind == HINT_DICT)
			ret = *text ? words_value(hint.table, f->name, text, out) : -EINVAL;
		else if (hint.kind == HINT_DEV || hint.kind == HINT_ODEV)
			ret = dev_value(text, hint.kind == HINT_DEV, out);
		else
			ret = plain_number(text, out);
		break;
	default:
		break;
	}
	return ret ? wrong(err, v, "a number or a name that this field knows") : 0;
}

static bool in_range(ProtobufCType type, struct value v)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		return v.negative ? (int64_t)v.v >= INT32_MIN : v.v <= INT32_MAX;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return v.negative || v.v <= INT64_MAX;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return !v.negative && v.v <= UINT32_MAX;
	default:
		return !v.negative;
	}
}

int bytes_from_json(json_object *v, struct strbuf *out, struct err *err)
{
	if (!json_object_is_type(v, json_type_string) ||
	    base64_decode(out, json_object_get_string(v), (size_t)json_object_get_string_len(v)))
		return wrong(err, v, "base64 text");
	return 0;
}

static int string_value(json_object *v, struct arena *arena, char **out, struct err *err)
{
	cleanup_strbuf struct strbuf raw = STRBUF_INIT;
	json_object *coded;
	const char *s;
	size_t n;

	if (json_object_is_type(v, json_type_string)) {
		s = json_object_get_string(v);
		n = (size_t)json_object_get_string_len(v);
	} else if (json_object_is_type(v, json_type_object) && json_object_object_get_ex(v, "_base64", &coded)) {
		int ret = bytes_from_json(coded, &raw, err);

		if (ret)
			return ret;
		s = raw.s ? raw.s : "";
		n = raw.len;
	} else {
		return wrong(err, v, "a string");
	}
	if (memchr(s, 0, n))
		return err_image(err, "a string holds a NUL character");
	*out = arena_alloc(arena, n + 1);
	memcpy(*out, s, n);
	return 0;
}

static int bytes_value(struct field_hint hint, json_object *v, struct arena *arena, ProtobufCBinaryData *out,
		       struct err *err)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	if (hint.kind != HINT_QUOTED) {
		int ret = bytes_from_json(v, &b, err);

		if (ret)
			return ret;
	} else if (json_object_is_type(v, json_type_string)) {
		quoted_decode(&b, json_object_get_string(v), (size_t)json_object_get_string_len(v));
	} else {
		return wrong(err, v, "quoted-printable text");
	}
	out->len = b.len;
	out->data = arena_dup(arena, b.s ? b.s : "", b.len);
	return 0;
}

static int enum_value(const ProtobufCFieldDescriptor *f, json_object *v, int *out, struct err *err)
{
	const ProtobufCEnumValue *value;
	struct value n;
	int ret;

	if (json_object_is_type(v, json_type_string)) {
		value = protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, json_object_get_string(v));
		if (value) {
			*out = value->value;
			return 0;
		}
	}
	ret = number(f, (struct field_hint){ HINT_NONE, NULL }, v, &n, err);
	if (!ret && !in_range(f->type, n))
		ret = wrong(err, v, "in the range of the field");
	if (!ret)
		*out = (int)(int64_t)n.v;
	return ret;
}

static int fill(ProtobufCMessage *msg, json_object *o, struct field_hint hint, const char *skip, struct arena *arena,
		struct err *err);

static int new_message(const ProtobufCMessageDescriptor *desc, json_object *o, struct field_hint hint, const char *skip,
		       struct arena *arena, ProtobufCMessage **msg, struct err *err)
{
	if (!json_object_is_type(o, json_type_object))
		return wrong(err, o, "an object");
	*msg = arena_alloc(arena, desc->sizeof_message);
	protobuf_c_message_init(desc, *msg);
	return fill(*msg, o, hint, skip, arena, err);
}

static int put_value(const ProtobufCFieldDescriptor *f, struct field_hint hint, json_object *v, struct arena *arena,
		     void *p, struct err *err)
{
	struct value n;
	int ret;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return string_value(v, arena, p, err);
	case PROTOBUF_C_TYPE_BYTES:
		return bytes_value(hint, v, arena, p, err);
	case PROTOBUF_C_TYPE_MESSAGE:
		return new_message(f->descriptor, v, hint, NULL, arena, p, err);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_value(f, v, p, err);
	case PROTOBUF_C_TYPE_BOOL:
		if (!json_object_is_type(v, json_type_boolean))
			return wrong(err, v, "true or false");
		*(protobuf_c_boolean *)p = json_object_get_boolean(v);
		return 0;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return wrong(err, v, "possible here");
	default:
		break;
	}
	ret = number(f, hint, v, &n, err);
	if (!ret && !in_range(f->type, n))
		ret = wrong(err, v, "in the range of the field");
	if (ret)
		return ret;
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		memcpy(p, &n.v, 8);
		break;
	default:
		memcpy(p, &(uint32_t){ (uint32_t)n.v }, 4);
	}
	return 0;
}

/* Size of one element of a repeated field in memory. */
static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return 8;
	default:
		return 4;
	}
}

/* One address in its usual form stands for all its words. */
static bool put_address(json_object *v, struct arena *arena, size_t *n, char **array)
{
	json_object *first = json_object_array_length(v) == 1 ? json_object_array_get_idx(v, 0) : NULL;
	uint32_t words[4];

	if (!json_object_is_type(first, json_type_string))
		return false;
	if (inet_pton(AF_INET, json_object_get_string(first), words) == 1)
		*n = 1;
	else if (inet_pton(AF_INET6, json_object_get_string(first), words) == 1)
		*n = 4;
	else
		return false;
	*array = arena_dup(arena, words, 4 * *n);
	return true;
}

static int put_array(const ProtobufCFieldDescriptor *f, struct field_hint hint, json_object *v, struct arena *arena,
		     size_t *n, char **array, struct err *err)
{
	size_t size = element_size(f->type), len;

	if (!json_object_is_type(v, json_type_array))
		return wrong(err, v, "an array");
	if (hint.kind == HINT_IPADD && put_address(v, arena, n, array))
		return 0;
	len = json_object_array_length(v);
	*array = arena_alloc(arena, len * size);
	for (size_t i = 0; i < len; i++) {
		int ret = put_value(f, hint, json_object_array_get_idx(v, i), arena, *array + i * size, err);

		if (ret)
			return err_object(err, ret, "[%zu]", i);
	}
	*n = len;
	return 0;
}

/* Fields that our messages do not know, kept as they were. */
static int put_unknown(ProtobufCMessage *msg, json_object *v, struct arena *arena, struct err *err)
{
	size_t len;

	if (!json_object_is_type(v, json_type_array))
		return wrong(err, v, "an array");
	len = json_object_array_length(v);
	msg->unknown_fields = arena_alloc(arena, len * sizeof(*msg->unknown_fields));
	for (size_t i = 0; i < len; i++) {
		json_object *o = json_object_array_get_idx(v, i), *field, *wire, *data;
		cleanup_strbuf struct strbuf b = STRBUF_INIT;
		int64_t number_, type;
		int ret;

		if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "field", &field) ||
		    !json_object_object_get_ex(o, "wire", &wire) || !json_object_object_get_ex(o, "data", &data) ||
		    json_object_object_length(o) != 3)
			return wrong(err, o, "an unknown field (field, wire, data)");
		ret = bytes_from_json(data, &b, err);
		if (ret)
			return ret;
		number_ = json_object_get_int64(field);
		type = json_object_get_int64(wire);
		if (number_ < 1 || number_ > 0x1fffffff || (type != 0 && type != 1 && type != 2 && type != 5))
			return wrong(err, o, "an unknown field (field, wire, data)");
		msg->unknown_fields[i] = (ProtobufCMessageUnknownField){
			.tag = (uint32_t)number_,
			.wire_type = (ProtobufCWireType)type,
			.len = b.len,
			.data = arena_dup(arena, b.s ? b.s : "", b.len),
		};
	}
	msg->n_unknown_fields = (unsigned)len;
	return 0;
}

static int put_field(ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f, struct field_hint outer, json_object *v,
		     struct arena *arena, struct err *err)
{
	struct field_hint hint = image_field_hint(msg->descriptor, f, outer);
	char *base = (char *)msg;
	int ret;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return put_array(f, hint, v, arena, (size_t *)(base + f->quantifier_offset), (char **)(base + f->offset), err);
	ret = put_value(f, hint, v, arena, base + f->offset, err);
	if (!ret && f->label == PROTOBUF_C_LABEL_OPTIONAL && f->type != PROTOBUF_C_TYPE_STRING &&
	    f->type != PROTOBUF_C_TYPE_MESSAGE)
		*(protobuf_c_boolean *)(base + f->quantifier_offset) = 1;
	return ret;
}

/* Depth is bounded by the parser of the JSON. */
static int fill(ProtobufCMessage *msg, json_object *o, struct field_hint hint, const char *skip, struct arena *arena,
		struct err *err)
{
	const ProtobufCMessageDescriptor *desc = msg->descriptor;

	json_object_object_foreach(o, name, v) {
		const ProtobufCFieldDescriptor *f;
		int ret;

		if (skip && !strcmp(name, skip))
			continue;
		if (!strcmp(name, "_unknown")) {
			ret = put_unknown(msg, v, arena, err);
		} else {
			f = protobuf_c_message_descriptor_get_field_by_name(desc, name);
			if (!f)
				return err_image(err, "%s has no field \"%.60s\"", desc->name, name);
			ret = put_field(msg, f, hint, v, arena, err);
		}
		if (ret)
			return err_object(err, ret, "%s", name);
	}
	for (unsigned i = 0; i < desc->n_fields; i++)
		if (desc->fields[i].label == PROTOBUF_C_LABEL_REQUIRED &&
		    !json_object_object_get_ex(o, desc->fields[i].name, NULL))
			return err_image(err, "%s needs a field \"%s\"", desc->name, desc->fields[i].name);
	return 0;
}

int message_from_json(const ProtobufCMessageDescriptor *desc, json_object *o, const char *skip, struct arena *arena,
		      ProtobufCMessage **msg, struct err *err)
{
	return new_message(desc, o, (struct field_hint){ HINT_NONE, NULL }, skip, arena, msg, err);
}
