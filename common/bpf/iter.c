/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/bpf/iter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#define ROWS_MAX (1u << 24)
#define READ_BYTES (64u << 10) /* the kernel has half of that at a time (kernel/bpf/bpf_iter.c, bpf_seq_read()) */
/* All numbers of the row behind the last one. No object has that: its first number would be an address. */
#define THE_END UINT64_MAX

/* What each iterator gives to its program: pointers, the first to struct bpf_iter_meta (kernel/bpf/task_iter.c). */
static const struct { const char *function, *type; int16_t object; } kinds[] = {
	[ITER_TASK] = { "bpf_iter_task", "task_struct", 8 },
	[ITER_VMA] = { "bpf_iter_task_vma", "vm_area_struct", 16 },
};

struct code { struct bpf_insn v[ITER_FIELDS_MAX * (BTF_HOPS + 2) + 32]; size_t n; };

static void put(struct code *c, unsigned op, unsigned to, unsigned from, int off, int imm)
{
	c->v[c->n++] = (struct bpf_insn){ .code = (uint8_t)op, .dst_reg = to & 15, .src_reg = from & 15, .off = (int16_t)off, .imm = imm };
}

#define LOAD(size, to, from, off) put(c, BPF_LDX | BPF_MEM | (size), to, from, off, 0)
#define STORE(off, from) put(c, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, from, off, 0)
#define SET(to, imm) put(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, imm)
#define COPY(to, from) put(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)

static unsigned load_size(uint32_t bytes)
{
	return bytes == 1 ? BPF_B : bytes == 2 ? BPF_H : bytes == 4 ? BPF_W : BPF_DW;
}

/* A pointer that is NULL on the way gives 0: such loads are checked by the kernel's own fault table. */
static void put_field(struct code *c, const struct btf_place *p, int at)
{
	unsigned from = BPF_REG_7;

	for (uint32_t i = 0; i + 1 < p->n; i++, from = BPF_REG_2)
		LOAD(BPF_DW, BPF_REG_2, from, (int)p->hop[i]);
	LOAD(load_size(p->size), BPF_REG_2, from, (int)p->hop[p->n - 1]);
	STORE(at, BPF_REG_2);
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

int iter_load(const struct btf *b, enum iter_kind kind, const char *const *paths, size_t n, struct iter *out, struct err *err)
{
	cleanup_free struct code *c = xzalloc(sizeof(*c));
	struct btf_place places[ITER_FIELDS_MAX];
	union bpf_attr attr = { 0 };

	*out = (struct iter){ .prog = -1, .kind = kind, .n = n };
	for (size_t i = 0; i < n; i++)
		if (!btf_find(b, kinds[kind].type, paths[i], &places[i])) {
			places[i].n = 0;
			out->absent |= 1ull << i;
		}
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
