/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests: how they are read, and how their fields become uses of options. */
#include "common/opt/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <json-c/json.h>

#include "common/base/arena.h"
#include "common/base/io.h"
#include "common/image/json_message.h"
#include "common/opt/private.h"
#include "rpc.pb-c.h"

struct opt_rpc {
	struct arena *arena;
	const CriuOpts *opts; /* NULL: none */
	int type;	      /* of criu_req, -1 when there is none */
	const char *assumed;  /* configuration file when the request names none */
};

const struct opt_rpc_field opt_rpc_fields[] = {
#define OPT_RPC_AS_FIELD(name_, id_, kind_, form_) { name_, OPT_##id_, kind_, form_ },
	OPT_RPC_TABLE(OPT_RPC_AS_FIELD){ NULL, OPT_COUNT_, RPC_NONE, NULL },
};

struct opt_rpc *opt_rpc_new(void)
{
	struct opt_rpc *r = xzalloc(sizeof(*r));

	r->arena = arena_new();
	r->type = -1;
	return r;
}

void opt_rpc_free(struct opt_rpc *r)
{
	if (!r)
		return;
	arena_free(r->arena);
	free(r);
}

void opt_rpc_freep(struct opt_rpc **r)
{
	opt_rpc_free(*r);
}

void opt_rpc_assume_file(struct opt_rpc *r, const char *path)
{
	r->assumed = path;
}

unsigned opt_rpc_tool(const struct opt_rpc *r)
{
	switch (r->type) {
	case CRIU_REQ_TYPE__DUMP:
	case CRIU_REQ_TYPE__PRE_DUMP:
	case CRIU_REQ_TYPE__SINGLE_PRE_DUMP:
		return TOOL_DUMP;
	case CRIU_REQ_TYPE__RESTORE:
		return TOOL_RESTORE;
	case CRIU_REQ_TYPE__CHECK:
	case CRIU_REQ_TYPE__FEATURE_CHECK:
		return TOOL_CHECK;
	default:
		return 0;
	}
}

/* ---- reading ---- */

static bool is_json(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && memchr(" \t\r\n", s[i], 4))
		i++;
	return i < len && s[i] == '{';
}

/* The type of a request: a name or a number. */
static int type_from_json(json_object *v, int *type, struct err *err)
{
	const ProtobufCEnumValue *value = NULL;

	if (json_object_is_type(v, json_type_string))
		value = protobuf_c_enum_descriptor_get_value_by_name(&criu_req_type__descriptor,
								     json_object_get_string(v));
	else if (json_object_is_type(v, json_type_int))
		value = protobuf_c_enum_descriptor_get_value(&criu_req_type__descriptor, json_object_get_int(v));
	if (!value)
		return err_set(err, ERR_USAGE, 0, "type: not a type of request");
	*type = value->value;
	return 0;
}

static int from_json(struct opt_rpc *r, const char *text, size_t len, struct err *err)
{
	enum { DEPTH = 16 };
	struct json_tokener *t = json_tokener_new_ex(DEPTH);
	json_object *top, *opts = NULL, *type = NULL;
	ProtobufCMessage *msg = NULL;
	enum json_tokener_error wrong;
	size_t end;
	int ret = 0;

	if (!t)
		return err_set(err, ERR_FAILED, ENOMEM, "cannot parse JSON");
	top = json_tokener_parse_ex(t, text, (int)len);
	wrong = json_tokener_get_error(t);
	end = json_tokener_get_parse_end(t);
	json_tokener_free(t);
	while (end < len && memchr(" \t\r\n", text[end], 4))
		end++;
	if (wrong != json_tokener_success || end < len || !json_object_is_type(top, json_type_object)) {
		json_object_put(top);
		return err_set(err, ERR_USAGE, 0, "not valid JSON: %s at byte %zu",
			       wrong != json_tokener_success ? json_tokener_error_desc(wrong) : "more text", end);
	}
	json_object_object_get_ex(top, "type", &type);
	if (!json_object_object_get_ex(top, "opts", &opts) && !type)
		opts = top;
	if (type)
		ret = type_from_json(type, &r->type, err);
	if (!ret && opts) {
		/* Absent in what people write by hand; -1 is the protocol's word for none. */
		if (json_object_is_type(opts, json_type_object) &&
		    !json_object_object_get_ex(opts, "images_dir_fd", NULL))
			json_object_object_add(opts, "images_dir_fd", json_object_new_int(-1));
		ret = message_from_json(&criu_opts__descriptor, opts, NULL, r->arena, &msg, err);
		r->opts = (const CriuOpts *)msg;
	}
	json_object_put(top);
	err->kind = ret ? ERR_USAGE : ERR_NONE; /* it is what somebody asks for, not a damaged image */
	return ret;
}

static int from_protobuf(struct opt_rpc *r, const void *data, size_t len, struct err *err)
{
	/* images_dir_fd -1, which an opts that has its own overrides: the last one of a field counts. */
	static const unsigned char none[] = { 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
	ProtobufCAllocator *allocator = arena_allocator(r->arena);
	unsigned char *bytes = arena_alloc(r->arena, sizeof(none) + len);
	const CriuReq *req;

	memcpy(bytes, none, sizeof(none));
	memcpy(bytes + sizeof(none), data, len);
	/* Field 2 is a number in one message and a message in the other: a request with options is never taken for both. */
	r->opts = criu_opts__unpack(allocator, sizeof(none) + len, bytes);
	if (r->opts)
		return 0;
	req = criu_req__unpack(allocator, len, data);
	if (!req)
		return err_set(err, ERR_USAGE, 0, "neither JSON nor a criu_req or criu_opts in protobuf");
	r->type = (int)req->type;
	r->opts = req->opts;
	return 0;
}

int opt_rpc_parse(const char *name, const void *data, size_t len, struct opt_rpc **out, struct err *err)
{
	cleanup_rpc struct opt_rpc *r = opt_rpc_new();
	int ret;

	*out = NULL;
	if (len > OPT_RPC_MAX)
		ret = err_set(err, ERR_USAGE, EFBIG, "a request of more than %u bytes", OPT_RPC_MAX);
	else
		ret = is_json(data, len) ? from_json(r, data, len, err) : from_protobuf(r, data, len, err);
	if (ret < 0)
		return err_object(err, ret, "%s", name);
	*out = take_ptr(r);
	return 0;
}

int opt_rpc_load(const char *path, struct opt_rpc **out, struct err *err)
{
	bool standard = !strcmp(path, "-");
	cleanup_fd int fd = standard ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup_free char *data = NULL;
	size_t len = 0;
	int ret;

	*out = NULL;
	ret = fd < 0 && !standard ? -errno : opt_read_all(standard ? STDIN_FILENO : fd, OPT_RPC_MAX, &data, &len);
	if (ret < 0)
		return err_object(err, err_set(err, ERR_USAGE, -ret, "cannot read the request"), "%s", path);
	return opt_rpc_parse(path, data, len, out, err);
}

/* ---- fields to options ---- */

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessage *m, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
}

static bool is_pointer(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* How many values a field has: 0 or 1, more for repeated ones. *at: the first one. */
static size_t values_of(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const void **at)
{
	const char *base = (const char *)m;

	*at = base + f->offset;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		*at = *(const void *const *)*at;
		return *(const size_t *)(base + f->quantifier_offset);
	}
	if (is_pointer(f))
		return *(const void *const *)*at != NULL;
	return f->label == PROTOBUF_C_LABEL_REQUIRED || *(const protobuf_c_boolean *)(base + f->quantifier_offset);
}

static int64_t number_at(const ProtobufCFieldDescriptor *f, const void *at)
{
	return f->type == PROTOBUF_C_TYPE_UINT32 ? (int64_t) * (const uint32_t *)at : (int64_t) * (const int32_t *)at;
}

static void put_scalar(struct strbuf *b, const ProtobufCFieldDescriptor *f, const void *at)
{
	if (f->type == PROTOBUF_C_TYPE_STRING)
		strbuf_puts(b, *(const char *const *)at);
	else
		strbuf_printf(b, "%lld", (long long)number_at(f, at));
}

/* One message by its form: see RPC_FORM. */
static void put_form(struct strbuf *b, const ProtobufCMessage *m, const char *form)
{
	size_t before = 0;
	bool absent = false;

	strbuf_puts(b, "");
	for (const char *p = form; *p; p++) {
		const ProtobufCFieldDescriptor *f;
		const void *at = NULL;
		char name[32];
		size_t n;

		switch (*p) {
		case '<':
			before = b->len;
			absent = false;
			break;
		case '>':
			if (absent)
				b->s[b->len = before] = 0;
			break;
		case '{':
			n = strcspn(++p, "}");
			snprintf(name, sizeof(name), "%.*s", (int)n, p);
			p += n;
			f = field_of(m, name);
			if (!f)
				abort(); /* a form that the protocol does not have: the table's mistake */
			absent = !values_of(m, f, &at);
			if (!absent)
				put_scalar(b, f, at);
			break;
		default:
			strbuf_add(b, p, 1);
		}
	}
}

struct field {
	struct opts *o;
	const struct opt_rpc_field *row;
	struct opt_origin origin;
	struct err *err;
};

static int use(const struct field *f, const char *value, bool negated)
{
	int ret;

	if (value && !value[0]) {
		opt_note(f->o, "rpc.%s is empty, which counts as absent", f->origin.field);
		return 0;
	}
	ret = opt_use(f->o, f->row->id, value, negated, &f->origin, f->err);
	return ret < 0 ? opt_at(f->err, ret, &f->origin, 0) : 0;
}

static int unknown_value(const struct field *f, int64_t v)
{
	int ret = err_set(f->err, ERR_USAGE, 0, "%s: the request's value %lld has no meaning",
			  opt_defs[f->row->id].name, (long long)v);

	return opt_at(f->err, ret, &f->origin, 0);
}

/* The word of a number in "a|b|c". */
static int use_word(const struct field *f, int64_t v)
{
	const char *p = f->row->form;
	cleanup_free char *word = NULL;

	for (int64_t i = 0; i < v && p; i++) {
		p = strchr(p, '|');
		p = p ? p + 1 : NULL;
	}
	if (v < 0 || !p || !strcspn(p, "|"))
		return unknown_value(f, v);
	word = xasprintf("%.*s", (int)strcspn(p, "|"), p);
	return use(f, word, false);
}

/* The words of the bits of v, each one for itself or all in one value. */
static int use_bits(const struct field *f, uint32_t v)
{
	cleanup_free char *copy = xstrdup(f->row->form);
	cleanup_strbuf struct strbuf all = STRBUF_INIT;
	bool joined = f->row->kind == RPC_BITS;
	uint32_t rest = v;
	char *save = NULL;
	int ret = 0;

	if (joined && (v == 0 || v == UINT32_MAX))
		return use(f, v ? "all" : "none", false);
	for (char *bit = strtok_r(copy, " ", &save); bit && ret >= 0; bit = strtok_r(NULL, " ", &save)) {
		const char *word = strtok_r(NULL, " ", &save);
		uint64_t mask = 0;

		if (!word || parse_u64(bit, 10, &mask) < 0)
			abort(); /* the table's mistake */
		if (!(v & mask))
			continue;
		rest &= ~(uint32_t)mask;
		strbuf_printf(&all, "%s%s", all.len ? "," : "", word);
		if (!joined)
			ret = use(f, word, false);
	}
	if (rest)
		return unknown_value(f, v);
	return joined ? use(f, all.s, false) : ret;
}

static int use_plain(const struct field *f, const ProtobufCFieldDescriptor *d, const void *at)
{
	cleanup_strbuf struct strbuf b = STRBUF_INIT;

	if (d->type == PROTOBUF_C_TYPE_BOOL)
		return use(f, NULL, !*(const protobuf_c_boolean *)at);
	strbuf_puts(&b, "");
	if (d->type == PROTOBUF_C_TYPE_MESSAGE)
		put_form(&b, *(const ProtobufCMessage *const *)at, f->row->form);
	else
		put_scalar(&b, d, at);
	return use(f, b.s, false);
}

static int use_value(const struct field *f, const ProtobufCFieldDescriptor *d, const void *at)
{
	cleanup_free char *path = NULL;

	switch (f->row->kind) {
	case RPC_WORDS:
		return use_word(f, number_at(d, at));
	case RPC_BITS:
	case RPC_FLAGS:
		return use_bits(f, (uint32_t)number_at(d, at));
	case RPC_FD:
		if (number_at(d, at) < 0)
			return 0;
		path = xasprintf("/proc/self/fd/%lld", (long long)number_at(d, at));
		opt_note(f->o, "rpc.%s is a descriptor of the asking process, to which alone %s means this directory",
			 f->origin.field, path);
		return use(f, path, false);
	case RPC_FDNUM:
		return number_at(d, at) < opt_defs[f->row->id].min ? 0 : use_plain(f, d, at);
	case RPC_TRUE:
		if (d->type == PROTOBUF_C_TYPE_BOOL && !*(const protobuf_c_boolean *)at)
			return 0;
		return use(f, f->row->form, false);
	case RPC_NONE:
		if (d->type != PROTOBUF_C_TYPE_BOOL || *(const protobuf_c_boolean *)at)
			opt_note(f->o, "rpc.%s is no option: it %s", f->origin.field, f->row->form);
		return 0;
	case RPC_LAST:
		return 0;
	default:
		return use_plain(f, d, at);
	}
}

static int apply_field(struct opts *o, const ProtobufCMessage *m, const struct opt_rpc_field *row, struct err *err)
{
	struct field f = { .o = o, .row = row, .err = err, .origin = { .layer = OPT_L_RPC } };
	const char *dot = strchr(row->name, '.'), *name = dot ? dot + 1 : row->name;
	const ProtobufCFieldDescriptor *d;
	const void *at = NULL;
	size_t n, size;
	int ret = 0;

	if (dot) {
		cleanup_free char *outer = xasprintf("%.*s", (int)(dot - row->name), row->name);

		d = field_of(m, outer);
		if (!d)
			abort(); /* the table's mistake, here and below */
		if (!values_of(m, d, &at))
			return 0;
		m = *(const ProtobufCMessage *const *)at;
	}
	d = field_of(m, name);
	if (!d)
		abort();
	n = values_of(m, d, &at);
	size = is_pointer(d) ? sizeof(void *) : 4;
	if (row->kind == RPC_TRUE)
		n = MIN(n, (size_t)1);
	for (size_t i = 0; i < n && ret >= 0; i++) {
		cleanup_free char *indexed = d->label == PROTOBUF_C_LABEL_REPEATED && row->kind != RPC_TRUE
						     ? xasprintf("%s[%zu]", row->name, i)
						     : NULL;

		f.origin.field = indexed ? opt_keep_name(o, indexed) : row->name;
		ret = use_value(&f, d, (const char *)at + i * size);
	}
	return ret;
}

int opt_read_rpc(struct opts *o, const struct opt_rpc *rpc, struct err *err)
{
	struct opt_origin last = { .layer = OPT_L_RPC_FILE };
	const CriuOpts *opts = rpc->opts;
	int ret = 0;

	for (const struct opt_rpc_field *row = opt_rpc_fields; opts && row->name && ret >= 0; row++)
		ret = apply_field(o, &opts->base, row, err);
	for (unsigned i = 0; opts && i < opts->base.n_unknown_fields; i++)
		opt_note(o, "rpc: field %u of the options is not known", opts->base.unknown_fields[i].tag);
	if (ret < 0)
		return ret;
	if (opts && opts->config_file && opts->config_file[0]) {
		last.field = "config_file";
		return opt_read_file(o, opts->config_file, &last, false, err);
	}
	return rpc->assumed ? opt_read_file(o, rpc->assumed, &last, true, err) : 0;
}
