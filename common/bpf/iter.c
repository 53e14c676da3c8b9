/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/bpf/iter.h"

#include <errno.h>
#include <string.h>

#include "common/bpf/btf.h"
#include "common/bpf/load.h"

#define ROWS_MAX (1u << 24)
#define READ_BYTES (64u << 10) /* the kernel has half of that at a time (kernel/bpf/bpf_iter.c, bpf_seq_read()) */
/* All numbers of the row behind the last one. No object has that: its first number would be an address. */
#define THE_END UINT64_MAX

/* What each iterator gives to its program: pointers, the first to struct bpf_iter_meta (kernel/bpf/task_iter.c). */
static const struct { const char *function, *type; int16_t object; } kinds[] = {
	[ITER_TASK] = { "bpf_iter_task", "task_struct", 8 },
	[ITER_THREAD] = { "bpf_iter_task", "task_struct", 8 },
	[ITER_VMA] = { "bpf_iter_task_vma", "vm_area_struct", 16 },
	[ITER_FILE] = { "bpf_iter_task_file", "file", 24 },
	[ITER_ALL_FILES] = { "bpf_iter_task_file", "file", 24 },
};
#define FILE_TASK 8
#define FILE_FD 16

static bool of_files(enum iter_kind kind)
{
	return kind == ITER_FILE || kind == ITER_ALL_FILES;
}

/* What one number of a row is. */
struct number { enum { OF_OBJECT, OF_TASK, OBJECT, FD, FD_BIT } kind; struct btf_place place; };

#define HOP_INSNS 9
#define STACK_BYTES 512 /* MAX_BPF_STACK in include/linux/filter.h */
struct code {
	struct bpf_insn v[ITER_FIELDS_MAX * (BTF_HOPS * HOP_INSNS + 12) + 32];
	size_t n;
	int row, piece;		 /* on the stack, from its upper end: what is written, and below it what was read of one structure */
	uint32_t piece_size;
	struct number last; /* register 9 has what all hops of its place but the last one lead to */
};

static void put(struct code *c, unsigned op, unsigned to, unsigned from, int off, int imm)
{
	c->v[c->n++] = bpf_insn(op, to, from, off, imm);
}

#define LOAD(size, to, from, off) put(c, BPF_LDX | BPF_MEM | (size), to, from, off, 0)
#define STORE(off, from) put(c, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, from, off, 0)
#define SET(to, imm) put(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, imm)
#define COPY(to, from) put(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)

/* size bytes from what register 3 points to, by off. */
static void put_read(struct code *c, uint32_t off, int at, uint32_t size)
{
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, (int)off);
	COPY(BPF_REG_1, BPF_REG_10);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, at);
	SET(BPF_REG_2, (int)size);
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
}

static bool same_way(const struct number *x, const struct number *y)
{
	const struct btf_place *a = &x->place, *b = &y->place;

	return x->kind == y->kind && a->n == b->n && !memcmp(a->hop, b->hop, (a->n - 1) * sizeof(*a->hop));
}

/* The number that is the pointer at hop[0] of p, of the same object, and is in the row by now; -1: none. */
static long in_row(const struct number *numbers, size_t n, const struct number *number)
{
	const struct btf_place *p = &number->place;

	for (size_t i = 0; i < n; i++) {
		const struct btf_place *q = &numbers[i].place;

		if (numbers[i].kind == number->kind && q->n == 1 && q->size == 8 && q->hop[0] == p->hop[0])
			return (long)i;
	}
	return -1;
}

/* Register 9 gets what the last hop begins at; one that is NULL on the way leads to NULL. numbers: those that may be in the row. */
static void put_way(struct code *c, unsigned from, const struct number *number, const struct number *numbers, size_t n)
{
	const struct btf_place *p = &number->place;
	const long have = p->n > 1 ? in_row(numbers, n, number) : -1;

	if (c->last.place.n && same_way(number, &c->last))
		return;
	c->last = *number;
	if (have >= 0)
		LOAD(BPF_DW, BPF_REG_9, BPF_REG_10, c->row + (int)have * 8);
	else
		COPY(BPF_REG_9, from);
	for (uint32_t i = have >= 0; i + 1 < p->n; i++) {
		COPY(BPF_REG_3, BPF_REG_9);
		put_read(c, p->hop[i], c->piece, 8);
		LOAD(BPF_DW, BPF_REG_9, BPF_REG_10, c->piece);
	}
}

static unsigned load_of(uint32_t size)
{
	return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}

/* Where in its structure. */
static uint32_t offset(const struct btf_place *p)
{
	return p->hop[p->n - 1];
}

/* What is loaded from the stack has to be aligned there (kernel/bpf/verifier.c, check_ptr_alignment()). */
static uint32_t piece_from(const struct btf_place *p)
{
	return offset(p) % p->size ? offset(p) : offset(p) & ~7u;
}

/* Those of numbers[which[]] that are in one piece of one structure, beginning with the first: how many. *size: of the piece. */
static size_t piece_of(const struct code *c, const struct number *numbers, const size_t *which, size_t n, uint32_t *size)
{
	const struct btf_place *p = &numbers[which[0]].place;
	const uint32_t from = piece_from(p);
	size_t k = 1;

	for (*size = offset(p) + p->size - from; k < n; k++) {
		const struct btf_place *q = &numbers[which[k]].place;
		const uint32_t end = offset(q) + q->size - from;

		if (!same_way(&numbers[which[0]], &numbers[which[k]]) || end > c->piece_size || (offset(q) - from) % q->size)
			break;
		*size = MAX(*size, end);
	}
	return k;
}

/*
 * Copies by a helper, not by loads: for each load of a pointer the kernel looks through the names of all its types whether it may be
 * trusted (kernel/bpf/verifier.c, btf_nested_type_is_trusted(), Linux 6.18), which takes half a millisecond. What is near each other
 * is copied at once, for a call costs more than the bytes. which: k of n numbers, of one piece; those of the object itself come first.
 */
static void put_piece(struct code *c, const struct number *numbers, size_t n, const size_t *which, size_t k, uint32_t size)
{
	const struct btf_place *p = &numbers[which[0]].place;
	const uint32_t from = piece_from(p);
	size_t null = 0;

	put_way(c, numbers[which[0]].kind == OF_TASK ? BPF_REG_8 : BPF_REG_7, &numbers[which[0]], numbers, n);
	if (p->n > 1) {
		SET(BPF_REG_2, 0);
		for (size_t i = 0; i < k; i++)
			STORE(c->row + (int)which[i] * 8, BPF_REG_2);
		null = c->n;
		put(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_9, 0, 0, 0);
	}
	COPY(BPF_REG_3, BPF_REG_9);
	put_read(c, from, c->piece, size);
	for (size_t i = 0; i < k; i++) {
		const struct btf_place *q = &numbers[which[i]].place;

		put(c, BPF_LDX | BPF_MEM | load_of(q->size), BPF_REG_2, BPF_REG_10, c->piece + (int)(offset(q) - from), 0);
		STORE(c->row + (int)which[i] * 8, BPF_REG_2);
	}
	if (null)
		c->v[null].off = (int16_t)(c->n - null - 1);
}

/* The bits are in words of 64 (include/linux/fdtable.h). */
static void put_bits_of_fd(struct code *c, const struct number *number)
{
	put_way(c, BPF_REG_8, number, NULL, 0);
	COPY(BPF_REG_3, BPF_REG_9);
	put_read(c, offset(&number->place), c->piece, 8);
	LOAD(BPF_DW, BPF_REG_3, BPF_REG_10, c->piece);
	LOAD(BPF_W, BPF_REG_2, BPF_REG_6, FILE_FD);
	put(c, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_2, 0, 0, 6);
	put(c, BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_2, 0, 0, 3);
	put(c, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	put_read(c, 0, c->piece, 8);
	LOAD(BPF_DW, BPF_REG_2, BPF_REG_10, c->piece);
}

/* Those that are in no structure; register 2 gets it. */
static void put_number(struct code *c, const struct number *number, int at)
{
	switch (number->kind) {
	case OF_OBJECT:
	case OF_TASK:
		SET(BPF_REG_2, 0);
		break;
	case OBJECT:
		COPY(BPF_REG_2, BPF_REG_7);
		break;
	case FD:
		LOAD(BPF_W, BPF_REG_2, BPF_REG_6, FILE_FD);
		break;
	case FD_BIT:
		put_bits_of_fd(c, number);
		break;
	}
	STORE(at, BPF_REG_2);
}

static bool in_structure(const struct number *number)
{
	return (number->kind == OF_OBJECT || number->kind == OF_TASK) && number->place.n;
}

/* What is in one structure together, and there in the order of the places. */
static int by_place(const void *x, const void *y, void *arg)
{
	const struct number *numbers = arg, *m = &numbers[*(const size_t *)x], *k = &numbers[*(const size_t *)y];
	const struct btf_place *a = &m->place, *b = &k->place;

	if (m->kind != k->kind)
		return m->kind < k->kind ? -1 : 1;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->hop[i] != b->hop[i])
			return a->hop[i] < b->hop[i] ? -1 : 1;
	return 0;
}

static void put_numbers(struct code *c, const struct number *numbers, size_t n)
{
	size_t which[ITER_FIELDS_MAX], nwhich = 0, k;
	uint32_t size;

	for (size_t i = 0; i < n; i++)
		if (in_structure(&numbers[i]))
			which[nwhich++] = i;
		else
			put_number(c, &numbers[i], c->row + (int)i * 8);
	qsort_r(which, nwhich, sizeof(*which), by_place, (void *)numbers);
	for (size_t i = 0; i < nwhich; i += k) {
		k = piece_of(c, numbers, which + i, nwhich - i, &size);
		put_piece(c, numbers, n, which + i, k, size);
	}
}

static void put_program(struct code *c, enum iter_kind kind, const struct number *numbers, size_t n)
{
	size_t over, none = 0, behind;

	c->row = -(int)(n * 8);
	c->piece = -STACK_BYTES;
	c->piece_size = STACK_BYTES - (uint32_t)n * 8;
	COPY(BPF_REG_6, BPF_REG_1);
	if (of_files(kind)) {
		LOAD(BPF_DW, BPF_REG_8, BPF_REG_6, FILE_TASK);
		none = c->n;
		put(c, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_8, 0, 0, 0);
	}
	LOAD(BPF_DW, BPF_REG_7, BPF_REG_6, kinds[kind].object);
	over = c->n;
	put(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_7, 0, 0, 0);
	if (none)
		c->v[none].off = (int16_t)(c->n - none - 1);
	SET(BPF_REG_2, -1); /* called once more behind the last one, with none */
	for (size_t i = 0; i < n; i++)
		STORE(c->row + (int)i * 8, BPF_REG_2);
	behind = c->n;
	put(c, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	c->v[over].off = (int16_t)(c->n - over - 1);
	put_numbers(c, numbers, n);
	c->v[behind].off = (int16_t)(c->n - behind - 1);
	LOAD(BPF_DW, BPF_REG_1, BPF_REG_6, 0);
	LOAD(BPF_DW, BPF_REG_1, BPF_REG_1, 0); /* bpf_iter_meta.seq */
	COPY(BPF_REG_2, BPF_REG_10);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, c->row);
	SET(BPF_REG_3, -c->row);
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_seq_write);
	SET(BPF_REG_0, 0);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static bool find_number(const struct btf *b, enum iter_kind kind, const char *path, struct number *out)
{
	const size_t of_task = strlen(ITER_OF_TASK);

	*out = (struct number){ .kind = OF_OBJECT };
	if (!strcmp(path, ITER_OBJECT))
		out->kind = OBJECT;
	else if (of_files(kind) && !strcmp(path, ITER_FD))
		out->kind = FD;
	else if (of_files(kind) && !strcmp(path, ITER_CLOEXEC) &&
		 btf_find(b, "task_struct", "files->fdt->close_on_exec", &out->place))
		out->kind = FD_BIT;
	else if (of_files(kind) && !strncmp(path, ITER_OF_TASK, of_task) &&
		 btf_find(b, "task_struct", path + of_task, &out->place))
		out->kind = OF_TASK;
	else if (!btf_find(b, kinds[kind].type, path, &out->place))
		out->place.n = 0;
	return out->kind != OF_OBJECT || out->place.n;
}

static uint64_t find_numbers(const struct btf *b, enum iter_kind kind, const char *const *paths, size_t n, struct number *numbers)
{
	uint64_t absent = 0;

	for (size_t i = 0; i < n; i++)
		if (!find_number(b, kind, paths[i], &numbers[i]))
			absent |= 1ull << i;
	return absent;
}

int iter_load(enum iter_kind kind, const char *const *paths, size_t n, uint64_t needed, struct iter *out, struct err *err)
{
	cleanup_free struct code *c = xzalloc(sizeof(*c));
	cleanup_btf struct btf *b = NULL;
	struct number numbers[ITER_FIELDS_MAX];
	union bpf_attr attr = { 0 };
	int ret;

	*out = (struct iter){ .prog = -1, .kind = kind, .n = n };
	ret = btf_open(&b, err);
	if (ret)
		return ret;
	out->absent = find_numbers(b, kind, paths, n, numbers);
	if (out->absent & needed)
		return err_set(err, ERR_FEATURE, 0, "struct %s of this kernel has other fields", kinds[kind].type);
	put_program(c, kind, numbers, n);
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = BPF_TRACE_ITER;
	attr.attach_btf_id = btf_function(b, kinds[kind].function);
	attr.insns = (uintptr_t)c->v;
	attr.insn_cnt = (uint32_t)c->n;
	attr.license = (uintptr_t)"GPL"; /* bpf_seq_write() asks for it */
	if (!attr.attach_btf_id)
		return err_set(err, ERR_FEATURE, ENOENT, "the kernel has no %s", kinds[kind].function);
	out->prog = bpf_load(&attr);
	return out->prog < 0 ? err_set(err, ERR_FEATURE, errno, "cannot load a program for %s", kinds[kind].function) : 0;
}

void iter_close(struct iter *it)
{
	if (it->prog >= 0)
		close(it->prog);
	it->prog = -1;
}

/* A descriptor from which rows can be read, once. The link may go before it. */
static int open_rows(const struct iter *it, pid_t tid)
{
	union bpf_iter_link_info which = { 0 };
	union bpf_attr attr = { 0 };
	cleanup_fd int link = -1;

	if (it->kind == ITER_TASK)
		which.task.pid = (uint32_t)tid;
	else
		which.task.tid = (uint32_t)tid;
	attr.link_create.prog_fd = (uint32_t)it->prog;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	if (it->kind != ITER_ALL_FILES) {
		attr.link_create.iter_info = (uintptr_t)&which;
		attr.link_create.iter_info_len = sizeof(which);
	}
	link = bpf_sys(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return -1;
	attr = (union bpf_attr){ .iter_create.link_fd = (uint32_t)link };
	return bpf_sys(BPF_ITER_CREATE, &attr);
}

/* The row behind the last one is the end: after it the iterator of one task begins anew with its last mapping (seen in 6.18). */
static bool at_end(const struct iter *it, struct iter_rows *rows, size_t from, size_t words)
{
	for (size_t i = from; i + it->n <= words; i += it->n)
		if (rows->v[i] == THE_END && rows->v[i + it->n - 1] == THE_END) {
			rows->n = i / it->n;
			return true;
		}
	return false;
}

int iter_read(const struct iter *it, pid_t tid, struct iter_rows *rows, struct err *err)
{
	cleanup_fd int fd = open_rows(it, tid);
	const size_t row = it->n * sizeof(uint64_t);
	size_t have = 0, seen = 0, cap = 0;

	*rows = (struct iter_rows){ 0 };
	if (fd < 0)
		return err_set(err, ERR_FEATURE, errno, "cannot use %s", kinds[it->kind].function);
	for (;;) {
		ssize_t got;

		array_reserve(&rows->v, &cap, have + READ_BYTES, 1);
		got = read(fd, (char *)rows->v + have, READ_BYTES);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0 || have > ROWS_MAX * row) {
			iter_rows_free(rows);
			*rows = (struct iter_rows){ 0 };
			return err_set(err, ERR_FAILED, got < 0 ? errno : EIO, "%s does not end", kinds[it->kind].function);
		}
		have += (size_t)got;
		if (at_end(it, rows, seen, have / sizeof(uint64_t)))
			return 0;
		seen = have / row * it->n;
	}
}
