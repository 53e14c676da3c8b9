/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/bpf/btf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/base/io.h"

#define BTF_BYTES_MAX (256u << 20)
#define NESTING_MAX 16 /* typedefs of typedefs, members of members: real kernels have four */
#define STRUCTS (1u << BTF_KIND_STRUCT | 1u << BTF_KIND_UNION)

struct btf {
	const char *types, *names; /* each type: struct btf_type, and what its kind adds */
	size_t names_len;
	uint32_t *at, n; /* of type i: its place in types */
	void *map, *copy; /* what is to be given back */
	size_t size;
	struct seen *seen; /* SEEN of them: names that were looked for, the last one first */
};

#define SEEN 8
struct seen { char name[64]; uint32_t kinds, id; };

/* What follows a type: some bytes, and more for each of its members. */
static const struct { uint8_t known, bytes, each; } extra[32] = {
	[BTF_KIND_INT] = { 1, 4, 0 },
	[BTF_KIND_VAR] = { 1, sizeof(struct btf_var), 0 },
	[BTF_KIND_DECL_TAG] = { 1, sizeof(struct btf_decl_tag), 0 },
	[BTF_KIND_ARRAY] = { 1, sizeof(struct btf_array), 0 },
	[BTF_KIND_STRUCT] = { 1, 0, sizeof(struct btf_member) },
	[BTF_KIND_UNION] = { 1, 0, sizeof(struct btf_member) },
	[BTF_KIND_ENUM] = { 1, 0, sizeof(struct btf_enum) },
	[BTF_KIND_ENUM64] = { 1, 0, sizeof(struct btf_enum64) },
	[BTF_KIND_FUNC_PROTO] = { 1, 0, sizeof(struct btf_param) },
	[BTF_KIND_DATASEC] = { 1, 0, sizeof(struct btf_var_secinfo) },
	[BTF_KIND_PTR] = { 1, 0, 0 },
	[BTF_KIND_FWD] = { 1, 0, 0 },
	[BTF_KIND_TYPEDEF] = { 1, 0, 0 },
	[BTF_KIND_VOLATILE] = { 1, 0, 0 },
	[BTF_KIND_CONST] = { 1, 0, 0 },
	[BTF_KIND_RESTRICT] = { 1, 0, 0 },
	[BTF_KIND_FUNC] = { 1, 0, 0 },
	[BTF_KIND_FLOAT] = { 1, 0, 0 },
	[BTF_KIND_TYPE_TAG] = { 1, 0, 0 },
};

static size_t type_bytes(const struct btf_type *t)
{
	const unsigned kind = BTF_INFO_KIND(t->info);

	return sizeof(*t) + extra[kind].bytes + (size_t)BTF_INFO_VLEN(t->info) * extra[kind].each;
}

static const struct btf_type *type_of(const struct btf *b, uint32_t id)
{
	return id && id < b->n ? (const struct btf_type *)(b->types + b->at[id]) : NULL;
}

static const char *name_of(const struct btf *b, uint32_t off)
{
	return off < b->names_len ? b->names + off : "";
}

/* Type 0 is void and is not stored. Behind a kind that is not known here nothing can be found. */
static bool find_types(struct btf *b, size_t len)
{
	b->at = xreallocarray(NULL, len / sizeof(struct btf_type) + 2, sizeof(*b->at)); /* no more than that: most of it is never touched */
	b->n = 1;
	for (size_t at = 0; at < len; b->n++) {
		const struct btf_type *t = (const struct btf_type *)(b->types + at);

		if (len - at < sizeof(*t) || !extra[BTF_INFO_KIND(t->info)].known || type_bytes(t) > len - at)
			return false;
		b->at[b->n] = (uint32_t)at;
		at += type_bytes(t);
	}
	return true;
}

static bool find_parts(struct btf *b, const char *bytes, size_t size)
{
	const struct btf_header *h = (const struct btf_header *)bytes;
	uint64_t types, names;

	if (size < sizeof(*h) || size > BTF_BYTES_MAX || h->magic != BTF_MAGIC || h->hdr_len < sizeof(*h) || h->hdr_len % 4)
		return false;
	types = (uint64_t)h->hdr_len + h->type_off;
	names = (uint64_t)h->hdr_len + h->str_off;
	if (types % 4 || types + h->type_len > size || names + h->str_len > size || !h->str_len || bytes[names + h->str_len - 1])
		return false;
	b->types = bytes + types;
	b->names = bytes + names;
	b->names_len = h->str_len;
	return find_types(b, h->type_len);
}

int btf_parse(const void *bytes, size_t size, struct btf **out, struct err *err)
{
	struct btf *b = xzalloc(sizeof(*b));

	b->seen = xzalloc(SEEN * sizeof(*b->seen));
	if ((uintptr_t)bytes % 4 || !find_parts(b, bytes, size)) {
		btf_free(b);
		return err_set(err, ERR_FEATURE, EINVAL, "the description of the kernel's types cannot be read");
	}
	*out = b;
	return 0;
}

/* Before Linux 6.16 the file cannot be mapped. */
static int take_file(int fd, size_t size, void **map, void **copy, struct err *err)
{
	size_t have = 0;

	*map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (*map != MAP_FAILED)
		return 0;
	*map = NULL;
	*copy = xmalloc(size);
	while (have < size) {
		ssize_t got = read(fd, (char *)*copy + have, size - have);

		if (got <= 0)
			return err_set(err, ERR_FEATURE, got ? errno : EIO, "/sys/kernel/btf/vmlinux");
		have += (size_t)got;
	}
	return 0;
}

int btf_open(struct btf **out, struct err *err)
{
	cleanup_fd int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	cleanup_free void *copy = NULL;
	void *map = NULL;
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, ERR_FEATURE, errno, "/sys/kernel/btf/vmlinux");
	if (st.st_size <= 0 || st.st_size > BTF_BYTES_MAX)
		return err_set(err, ERR_FEATURE, EFBIG, "/sys/kernel/btf/vmlinux");
	ret = take_file(fd, (size_t)st.st_size, &map, &copy, err);
	if (!ret)
		ret = btf_parse(map ?: copy, (size_t)st.st_size, out, err);
	if (ret) {
		if (map)
			munmap(map, (size_t)st.st_size);
		return ret;
	}
	(*out)->map = map;
	(*out)->copy = take_ptr(copy);
	(*out)->size = (size_t)st.st_size;
	return 0;
}

void btf_free(struct btf *b)
{
	if (!b)
		return;
	if (b->map)
		munmap(b->map, b->size);
	free(b->copy);
	free(b->at);
	free(b->seen);
	free(b);
}

static uint32_t search_named(const struct btf *b, uint32_t kinds, const char *name)
{
	for (uint32_t i = 1; i < b->n; i++) {
		const struct btf_type *t = type_of(b, i);

		if (1u << BTF_INFO_KIND(t->info) & kinds && !strcmp(name_of(b, t->name_off), name))
			return i;
	}
	return 0;
}

/* Dozens of paths begin with the same few, and there are a hundred thousand. */
static uint32_t find_named(const struct btf *b, uint32_t kinds, const char *name)
{
	struct seen found = { .kinds = kinds };

	for (size_t i = 0; i < SEEN; i++)
		if (b->seen[i].id && b->seen[i].kinds == kinds && !strcmp(b->seen[i].name, name))
			return b->seen[i].id;
	found.id = search_named(b, kinds, name);
	if (!found.id || strlen(name) >= sizeof(found.name))
		return found.id;
	memcpy(found.name, name, strlen(name) + 1);
	memmove(b->seen + 1, b->seen, (SEEN - 1) * sizeof(found));
	b->seen[0] = found;
	return found.id;
}

int btf_lacks(const char *type, const char *path, struct err *err)
{
	return err_set(err, ERR_FEATURE, 0, "struct %s of this kernel has no %s", type, path);
}

uint32_t btf_function(const struct btf *b, const char *name)
{
	return find_named(b, 1u << BTF_KIND_FUNC, name);
}

int btf_enumerator(const struct btf *b, const char *type, const char *name)
{
	const struct btf_type *t = type_of(b, find_named(b, 1u << BTF_KIND_ENUM, type));
	const struct btf_enum *e = (const struct btf_enum *)(t + 1);

	for (uint32_t i = 0; t && i < BTF_INFO_VLEN(t->info); i++)
		if (!strcmp(name_of(b, e[i].name_off), name))
			return e[i].val < 0 ? -1 : e[i].val;
	return -1;
}

/* What it is apart from const, volatile and other names. */
static uint32_t plain(const struct btf *b, uint32_t id)
{
	const uint32_t wrappers = 1u << BTF_KIND_TYPEDEF | 1u << BTF_KIND_VOLATILE | 1u << BTF_KIND_CONST | 1u << BTF_KIND_RESTRICT |
				  1u << BTF_KIND_TYPE_TAG;
	const struct btf_type *t = type_of(b, id);

	for (int i = 0; t && i < NESTING_MAX && 1u << BTF_INFO_KIND(t->info) & wrappers; i++) {
		id = t->type;
		t = type_of(b, id);
	}
	return id;
}

static bool is_struct(const struct btf_type *t)
{
	return t && 1u << BTF_INFO_KIND(t->info) & STRUCTS;
}

/* The member of struct id, by name of len bytes: its type, *at plus its place in bits, and of a bit field *width. 0: none. */
static uint32_t find_bits(const struct btf *b, uint32_t id, const char *name, size_t len, uint64_t *at, uint32_t *width, int depth)
{
	const struct btf_type *t = type_of(b, id);
	const struct btf_member *m = (const struct btf_member *)(t + 1);

	if (!is_struct(t) || depth == NESTING_MAX)
		return 0;
	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++, m++) {
		const bool flagged = BTF_INFO_KFLAG(t->info);
		const char *its = name_of(b, m->name_off);
		uint64_t here = *at + (flagged ? BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset);
		uint32_t found = 0;

		if (!*its) {
			found = find_bits(b, plain(b, m->type), name, len, &here, width, depth + 1);
		} else if (!strncmp(its, name, len) && !its[len]) {
			found = m->type;
			*width = flagged ? BTF_MEMBER_BITFIELD_SIZE(m->offset) : 0;
		}
		if (found) {
			*at = here;
			return plain(b, found);
		}
	}
	return 0;
}

/* The same in bytes. 0: none, or it is a bit field, unless a colon behind the name asks for bytes. */
static uint32_t find_member(const struct btf *b, uint32_t id, const char *name, size_t len, uint32_t *at)
{
	uint64_t bits = 0;
	uint32_t width = 0;

	id = find_bits(b, id, name, len, &bits, &width, 0);
	if (!id || ((width || bits % 8) && name[len] != ':'))
		return 0;
	*at += (uint32_t)(bits / 8);
	return id;
}

/* Bytes of a number or pointer; 0: neither. */
static uint32_t value_size(const struct btf_type *t)
{
	const uint32_t numbers = 1u << BTF_KIND_INT | 1u << BTF_KIND_ENUM | 1u << BTF_KIND_ENUM64;

	if (!t)
		return 0;
	if (BTF_INFO_KIND(t->info) == BTF_KIND_PTR)
		return 8;
	if (!(1u << BTF_INFO_KIND(t->info) & numbers))
		return 0;
	return t->size == 1 || t->size == 2 || t->size == 4 || t->size == 8 ? t->size : 0;
}

/* Bytes of an object; 0: not known. */
static uint32_t object_size(const struct btf_type *t)
{
	return is_struct(t) ? t->size : value_size(t);
}

/* The element of array id that *path, "[i]", names, or a piece of eight of its bytes; *path goes behind it. 0: it has none. */
static uint32_t find_element(const struct btf *b, uint32_t id, const char **path, uint32_t *at, uint32_t *piece)
{
	const struct btf_type *t = type_of(b, id);
	const struct btf_array *a = (const struct btf_array *)(t + 1);
	const char *end = *path + 1;
	uint32_t size, i = 0;

	for (; *end >= '0' && *end <= '9' && i < INT16_MAX; end++)
		i = i * 10 + (uint32_t)(*end - '0');
	if (!t || BTF_INFO_KIND(t->info) != BTF_KIND_ARRAY || *end != ']')
		return 0;
	id = plain(b, a->type);
	size = object_size(type_of(b, id));
	/* One without a length is at the end of what has it, and as long as that was made. */
	if (!size || i > INT16_MAX / size || (a->nelems && i >= a->nelems))
		return 0;
	*piece = size == 1 && a->nelems >= 8 && i <= a->nelems - 8 ? 8 : 0;
	*at += i * size;
	*path = end + 1;
	return id;
}

/*
 * What is to be seen behind a pointer, "(type)" or "(type.member)": a struct that it leads to, or one of which that is a member; *path
 * goes behind it. 0: this kernel has none.
 */
static uint32_t find_cast(const struct btf *b, const char **path, uint32_t *at)
{
	const char *name = *path + 1, *end = strchr(name, ')');
	size_t len = strcspn(name, ".)");
	char type[64];
	uint32_t id;

	if (!end || len >= sizeof(type))
		return 0;
	memcpy(type, name, len);
	type[len] = 0;
	*path = end + 1;
	id = find_named(b, 1u << BTF_KIND_STRUCT, type);
	if (id && name[len] == '.') {
		uint32_t before = 0;

		if (!find_member(b, id, name + len + 1, (size_t)(end - name) - len - 1, &before))
			return 0;
		*at -= before;
	}
	return id;
}

bool btf_find(const struct btf *b, const char *type, const char *path, struct btf_place *out)
{
	uint32_t id = find_named(b, 1u << BTF_KIND_STRUCT, type), at = 0;

	*out = (struct btf_place){ 0 };
	while (id) {
		size_t len = strcspn(path, ".-[:");
		const struct btf_type *t;
		uint32_t piece = 0;

		id = find_member(b, id, path, len, &at);
		path += len;
		if (*path == '[')
			id = find_element(b, id, &path, &at, &piece);
		t = type_of(b, id);
		if (!t || out->n == BTF_HOPS)
			return false;
		if (*path == ':') {
			out->hop[out->n++] = at;
			out->size = path[1] == '1' || path[1] == '2' || path[1] == '4' || path[1] == '8' ? (uint32_t)(path[1] - '0') : 0;
			return out->size && !path[2];
		}
		if (*path == '.') {
			path++;
			continue;
		}
		out->hop[out->n++] = at;
		at = 0;
		if (!*path) {
			out->size = piece ? piece : value_size(t);
			return out->size;
		}
		if (BTF_INFO_KIND(t->info) != BTF_KIND_PTR)
			return false;
		id = plain(b, t->type);
		path += 2; /* -> */
		if (*path == '(')
			id = find_cast(b, &path, &at);
	}
	return false;
}

bool btf_bits(const struct btf *b, const char *type, const char *path, struct btf_bits *out)
{
	uint32_t id = find_named(b, 1u << BTF_KIND_STRUCT, type);

	*out = (struct btf_bits){ 0 };
	while (id) {
		const size_t len = strcspn(path, ".");

		id = find_bits(b, id, path, len, &out->at, &out->width, 0);
		if (!path[len])
			return id;
		if (out->width)
			return false;
		path += len + 1;
	}
	return false;
}

uint32_t btf_size(const struct btf *b, const char *type)
{
	const struct btf_type *t = type_of(b, find_named(b, 1u << BTF_KIND_STRUCT, type));

	return t ? t->size : 0;
}
