/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The running kernel's own description of its types (Documentation/bpf/btf.rst): where a field is, by its name. So what is read
 * by programs of common/bpf/iter.h goes by names that every kernel has for them, not by offsets of one version.
 */
#ifndef CR_BPF_BTF_H
#define CR_BPF_BTF_H

#include "common/base/err.h"

struct btf;

/* Of /sys/kernel/btf/vmlinux; *out is the caller's. Takes about two milliseconds. ERR_FEATURE: this kernel has none. */
int btf_open(struct btf **out, struct err *err);
/* Of bytes in memory, which must stay: pure, whatever they are. */
int btf_parse(const void *bytes, size_t size, struct btf **out, struct err *err);
void btf_free(struct btf *b);
static inline void btf_cleanup_(struct btf **b)
{
	btf_free(*b);
}
#define cleanup_btf cleanup(btf_cleanup_)

/* The id of a function's type; 0: there is none of that name. */
uint32_t btf_function(const struct btf *b, const char *name);
/* Of a field that has to be there, and is not: ERR_FEATURE. */
int btf_lacks(const char *type, const char *path, struct err *err);
/* What `name` of the enum stands for; -1: this kernel has none, or it is no number from 0 on. */
int btf_enumerator(const struct btf *b, const char *type, const char *name);

#define BTF_HOPS 6
/* Where a value is: the pointer at hop[0] of the object leads to one at hop[1] of what it points to, and so on; the last is that of
 * the value itself. */
struct btf_place { uint32_t hop[BTF_HOPS] /* modulo 2^32 */, n, size /* 1, 2, 4 or 8 bytes */; };
/*
 * Where struct type has what path names: fields, with "." into what is part of it, "->" to what is pointed to and "[i]" to an element,
 * as in C; fields of unnamed members as well. "->(x)" sees there a struct x, and "->(x.y)" the struct x of which that is member y. Of an
 * array of bytes, eight of them from [i] on, where there are so many. ":1", ":2", ":4" or ":8" at the end: so many bytes from the one
 * on in which the field begins, whatever it is; of bit fields there is no other way. False: this kernel has no such field, or it is no
 * number or pointer.
 */
bool btf_find(const struct btf *b, const char *type, const char *path, struct btf_place *out);

/* For who has a copy of a whole struct: where a member is in it, in bits. width: of a bit field; of any other member 0. */
struct btf_bits { uint64_t at; uint32_t width; };
/* path: fields, with "." between them. False: this kernel has none. */
bool btf_bits(const struct btf *b, const char *type, const char *path, struct btf_bits *out);
/* Bytes of a struct; 0: there is none of that name. */
uint32_t btf_size(const struct btf *b, const char *type);

#endif
