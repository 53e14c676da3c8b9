/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/bpf/iter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/bpf/btf.h"

#define ROWS_MAX (1u << 24)
#define READ_BYTES (64u << 10) /* the kernel has half of that at a time (kernel/bpf/bpf_iter.c, bpf_seq_read()) */
/* All numbers of the row behind the last one. No object has that: its first number would be an address. */
#define THE_END UINT64_MAX

/* What each iterator gives to its program: pointers, the first to struct bpf_iter_meta (kernel/bpf/task_iter.c). */
static const struct { const char *function, *type; int16_t object; } kinds[] = {
	[ITER_TASK] = { "bpf_iter_task", "task_struct", 8 },
	[ITER_VMA] = { "bpf_iter_task_vma", "vm_area_struct", 16 },
};

#define HOP_INSNS 8
struct code { struct bpf_insn v[ITER_FIELDS_MAX * BTF_HOPS * HOP_INSNS + 32]; size_t n; };

static void put(struct code *c, unsigned op, unsigned to, unsigned from, int off, int imm)
{
	c->v[c->n++] = (struct bpf_insn){ .code = (uint8_t)op, .dst_reg = to & 15, .src_reg = from & 15, .off = (int16_t)off, .imm = imm };
}

#define LOAD(size, to, from, off) put(c, BPF_LDX | BPF_MEM | (size), to, from, off, 0)
#define STORE(off, from) put(c, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, from, off, 0)
#define SET(to, imm) put(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, imm)
#define COPY(to, from) put(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)

/*
 * Copies by a helper, not by loads: for each load of a pointer the kernel looks through the names of all its types whether it may be
 * trusted (kernel/bpf/verifier.c, btf_nested_type_is_trusted(), Linux 6.18), which takes half a millisecond. A pointer that is NULL
 * on the way gives 0.
 */
static void put_field(struct code *c, const struct btf_place *p, int at)
{
	for (uint32_t i = 0; i < p->n; i++) {
		const bool last = i + 1 == p->n;

		if (i)
			LOAD(BPF_DW, BPF_REG_3, BPF_REG_10, at);
		else
			COPY(BPF_REG_3, BPF_REG_7);
		SET(BPF_REG_2, 0);
		STORE(at, BPF_REG_2); /* the value may be smaller than its place */
		put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, (int)p->hop[i]);
		COPY(BPF_REG_1, BPF_REG_10);
		put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, at);
		SET(BPF_REG_2, last ? (int)p->size : 8);
		put(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
	}
}

static void put_program(struct code *c, int16_t object, const struct btf_place *places, size_t n)
{
	const int row = -(int)(n * 8);
	size_t over, behind;

	COPY(BPF_REG_6, BPF_REG_1);
	LOAD(BPF_DW, BPF_REG_7, BPF_REG_6, object);
	over = c->n;
	put(c, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_7, 0, 0, 0);
	SET(BPF_REG_2, -1); /* called once more behind the last one, with none */
	for (size_t i = 0; i < n; i++)
		STORE(row + (int)i * 8, BPF_REG_2);
	behind = c->n;
	put(c, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	c->v[over].off = (int16_t)(c->n - over - 1);
	for (size_t i = 0; i < n; i++)
		if (places[i].n) {
			put_field(c, &places[i], row + (int)i * 8);
		} else {
			SET(BPF_REG_2, 0);
			STORE(row + (int)i * 8, BPF_REG_2);
		}
	c->v[behind].off = (int16_t)(c->n - behind - 1);
	LOAD(BPF_DW, BPF_REG_1, BPF_REG_6, 0);
	LOAD(BPF_DW, BPF_REG_1, BPF_REG_1, 0); /* bpf_iter_meta.seq */
	COPY(BPF_REG_2, BPF_REG_10);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, row);
	SET(BPF_REG_3, -row);
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_seq_write);
	SET(BPF_REG_0, 0);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* The kernel gives up with EAGAIN where a signal waits (kernel/bpf/verifier.c, do_check()), and others of our threads get many. */
static int load_undisturbed(union bpf_attr *attr)
{
	sigset_t all, before;
	int fd, errnum;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	fd = bpf(BPF_PROG_LOAD, attr);
	errnum = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = errnum;
	return fd;
}

static uint64_t find_places(const struct btf *b, const char *type, const char *const *paths, size_t n, struct btf_place *places)
{
	uint64_t absent = 0;

	for (size_t i = 0; i < n; i++)
		if (!btf_find(b, type, paths[i], &places[i])) {
			places[i].n = 0;
			absent |= 1ull << i;
		}
	return absent;
}

int iter_load(enum iter_kind kind, const char *const *paths, size_t n, uint64_t needed, struct iter *out, struct err *err)
{
	cleanup_free struct code *c = xzalloc(sizeof(*c));
	cleanup_btf struct btf *b = NULL;
	struct btf_place places[ITER_FIELDS_MAX];
	union bpf_attr attr = { 0 };
	int ret;

	*out = (struct iter){ .prog = -1, .kind = kind, .n = n };
	ret = btf_open(&b, err);
	if (ret)
		return ret;
	out->absent = find_places(b, kinds[kind].type, paths, n, places);
	if (out->absent & needed)
		return err_set(err, ERR_FEATURE, 0, "struct %s of this kernel has other fields", kinds[kind].type);
	put_program(c, kinds[kind].object, places, n);
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = BPF_TRACE_ITER;
	attr.attach_btf_id = btf_function(b, kinds[kind].function);
	attr.insns = (uintptr_t)c->v;
	attr.insn_cnt = (uint32_t)c->n;
	attr.license = (uintptr_t)"GPL"; /* bpf_seq_write() asks for it */
	if (!attr.attach_btf_id)
		return err_set(err, ERR_FEATURE, ENOENT, "the kernel has no %s", kinds[kind].function);
	out->prog = load_undisturbed(&attr);
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
	attr.link_create.iter_info = (uintptr_t)&which;
	attr.link_create.iter_info_len = sizeof(which);
	link = bpf(BPF_LINK_CREATE, &attr);
	if (link < 0)
		return -1;
	attr = (union bpf_attr){ .iter_create.link_fd = (uint32_t)link };
	return bpf(BPF_ITER_CREATE, &attr);
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
