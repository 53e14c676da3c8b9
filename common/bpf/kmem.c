/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/bpf/kmem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>

#include "common/bpf/load.h"

#define AT_ONCE 65536u
#define GIB (1ull << 30)
#define BASES 65536 /* GiB of memory that a machine may have */
#define PAGE 4096u
#define TOKEN 64

struct kmem {
	int prog, map;
	unsigned char *shown; /* what the program has copied */
	struct btf *btf;
	/* Where the kernel has all memory, and the description of its first page; 0: not known yet. */
	uint64_t base, pages;
	uint32_t page_size; /* of such a description */
};

/* What the program is given and what it answers. */
struct question { uint64_t from, len, task, now; };

static int load_program(struct kmem *k, struct err *err)
{
	const struct bpf_insn code[] = {
		bpf_insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
		bpf_insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_task),
		bpf_insn(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_6, BPF_REG_0, offsetof(struct question, task), 0),
		bpf_insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns),
		bpf_insn(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_6, BPF_REG_0, offsetof(struct question, now), 0),
		bpf_insn(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_3, BPF_REG_6, offsetof(struct question, from), 0),
		bpf_insn(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_6, offsetof(struct question, len), 0),
		bpf_insn(BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, 3, AT_ONCE),
		bpf_insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, k->map),
		bpf_insn(0, 0, 0, 0, 0),
		bpf_insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel),
		bpf_insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SYSCALL, .prog_flags = BPF_F_SLEEPABLE, .insns = (uintptr_t)code,
				.insn_cnt = ARRAY_SIZE(code), .license = (uintptr_t)"GPL" };

	k->prog = bpf_load(&attr);
	return k->prog < 0 ? err_set(err, ERR_FEATURE, errno, "cannot load a program that reads the kernel's memory") : 0;
}

int kmem_open(struct kmem **out, struct err *err)
{
	struct kmem *k = xzalloc(sizeof(*k));
	int ret;

	*out = NULL;
	k->prog = k->map = -1;
	k->shown = MAP_FAILED;
	ret = btf_open(&k->btf, err);
	if (!ret) {
		k->map = bpf_map(BPF_MAP_TYPE_ARRAY, AT_ONCE, BPF_F_MMAPABLE);
		if (k->map >= 0)
			k->shown = mmap(NULL, AT_ONCE, PROT_READ, MAP_SHARED, k->map, 0);
		if (k->shown == MAP_FAILED)
			ret = err_set(err, ERR_FEATURE, errno, "cannot make a map for BPF programs");
	}
	if (!ret)
		ret = load_program(k, err);
	if (ret < 0) {
		kmem_close(k);
		return ret;
	}
	*out = k;
	return 0;
}

void kmem_close(struct kmem *k)
{
	if (!k)
		return;
	if (k->shown != MAP_FAILED)
		munmap(k->shown, AT_ONCE);
	if (k->map >= 0)
		close(k->map);
	if (k->prog >= 0)
		close(k->prog);
	btf_free(k->btf);
	free(k);
}

const struct btf *kmem_types(const struct kmem *k)
{
	return k->btf;
}

/* 0 or -errno of what was copied. */
static int ask(struct kmem *k, struct question *q, struct err *err)
{
	union bpf_attr attr = { .test.prog_fd = (uint32_t)k->prog, .test.ctx_in = (uintptr_t)q, .test.ctx_size_in = sizeof(*q) };
	int ret;

	do
		ret = bpf_sys(BPF_PROG_TEST_RUN, &attr);
	while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret < 0)
		return err_set(err, ERR_FEATURE, errno, "cannot run a program that reads the kernel's memory");
	return (int)attr.test.retval;
}

int kmem_read(struct kmem *k, uint64_t from, void *to, size_t len, struct err *err)
{
	for (size_t done = 0; done < len;) {
		struct question q = { .from = from + done, .len = MIN(len - done, AT_ONCE) };
		const int ret = ask(k, &q, err);

		if (ret < 0)
			return err_set(err, ERR_FEATURE, -ret, "the kernel's memory cannot be read at %#lx", (unsigned long)q.from);
		memcpy((char *)to + done, k->shown, q.len);
		done += q.len;
	}
	return 0;
}

int kmem_self(struct kmem *k, uint64_t *task, uint64_t *now, struct err *err)
{
	struct question q = { .len = 0 };
	struct err none = ERR_INIT;

	/* Nothing is copied from nowhere: whether that is an error does not matter. */
	if (ask(k, &q, &none) < 0 && none.kind) {
		*err = none;
		return -EOPNOTSUPP;
	}
	*task = q.task;
	*now = q.now;
	return 0;
}

int kmem_follow(struct kmem *k, uint64_t at, const char *type, const char *path, uint64_t *out, struct err *err)
{
	struct btf_place p;

	*out = at;
	if (!btf_find(k->btf, type, path, &p))
		return btf_lacks(type, path, err);
	for (uint32_t i = 0; i < p.n; i++) {
		const uint64_t from = *out + p.hop[i];
		int ret;

		*out = 0;
		ret = kmem_read(k, from, out, i + 1 < p.n ? 8 : p.size, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int kmem_file(struct kmem *k, int fd, uint64_t *file, struct err *err)
{
	uint64_t task, now, table;
	int ret = kmem_self(k, &task, &now, err);

	if (!ret)
		ret = kmem_follow(k, task, "task_struct", "files->fdt->fd", &table, err);
	return ret ? ret : kmem_read(k, table + 8 * (uint64_t)fd, file, 8, err);
}

uint64_t kmem_field(const void *p, const struct btf_bits *where, uint32_t size)
{
	const uint64_t at = where->at / 8;
	uint64_t v = 0;

	memcpy(&v, (const char *)p + at, where->width ? (where->at % 8 + where->width + 7) / 8 : size);
	return where->width ? v >> where->at % 8 & ((1ull << where->width) - 1) : v;
}

/* ---- pages ---- */

/* Two pages of ours, which the pipe holds where they are. */
struct tokens { int pipe[2]; unsigned char *bytes; uint64_t pfn[2], page[2]; };

static void close_tokens(struct tokens *t)
{
	for (int i = 0; i < 2; i++)
		if (t->pipe[i] >= 0)
			close(t->pipe[i]);
	if (t->bytes != MAP_FAILED)
		munmap(t->bytes, 2 * PAGE);
}

static int hold_tokens(struct tokens *t, struct err *err)
{
	struct iovec v[2];
	int fd;

	t->bytes = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->bytes == MAP_FAILED || pipe2(t->pipe, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make pages to compare with");
	for (size_t i = 0; i < 2; i++) {
		if (getrandom(t->bytes + i * PAGE, TOKEN, 0) != TOKEN)
			return err_sys(err, "getrandom");
		v[i] = (struct iovec){ t->bytes + i * PAGE, PAGE };
	}
	if (vmsplice(t->pipe[1], v, 2, 0) != 2 * PAGE)
		return err_sys(err, "vmsplice");
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, t->pfn, sizeof(t->pfn), (off_t)((uintptr_t)t->bytes / PAGE * 8)) != sizeof(t->pfn)) {
		if (fd >= 0)
			close(fd);
		return err_sys(err, "cannot read where pages are");
	}
	close(fd);
	for (int i = 0; i < 2; i++) {
		t->pfn[i] &= (1ull << 55) - 1;
		if (!t->pfn[i])
			return err_set(err, ERR_FEATURE, EPERM, "the kernel does not tell where pages are");
	}
	return 0;
}

static int find_tokens(struct kmem *k, struct tokens *t, struct err *err)
{
	const uint32_t step = btf_size(k->btf, "pipe_buffer");
	uint64_t file, pipe;
	int ret = kmem_file(k, t->pipe[0], &file, err);

	if (!ret)
		ret = kmem_follow(k, file, "file", "private_data->(pipe_inode_info)bufs", &pipe, err);
	for (int i = 0; !ret && i < 2; i++)
		ret = kmem_follow(k, pipe + (uint64_t)i * step, "pipe_buffer", "page", &t->page[i], err);
	return ret;
}

static bool has_token(struct kmem *k, const struct tokens *t, int i, uint64_t at)
{
	struct err ignore = ERR_INIT;
	unsigned char got[TOKEN];

	return !kmem_read(k, at, got, TOKEN, &ignore) && !memcmp(got, t->bytes + (size_t)i * PAGE, TOKEN);
}

static uint64_t bytes_of(const struct kmem *k, uint64_t page)
{
	return k->base + (page - k->pages) / k->page_size * PAGE;
}

/*
 * The kernel has all memory in one piece, at a GiB that is another one each time it starts (kernel_randomize_memory() in
 * arch/x86/mm/kaslr.c), and the descriptions of all pages in another. So has it what it takes for a task: one of the GiB before that is
 * the first, and it is where the page of the known number has the known content.
 */
static int learn(struct kmem *k, struct tokens *t, struct err *err)
{
	uint64_t task, now;
	int ret = kmem_self(k, &task, &now, err);

	k->page_size = btf_size(k->btf, "page");
	if (!ret && !k->page_size)
		ret = err_set(err, ERR_FEATURE, 0, "this kernel has no struct page");
	if (!ret)
		ret = hold_tokens(t, err);
	if (!ret)
		ret = find_tokens(k, t, err);
	if (ret)
		return ret;
	k->pages = t->page[0] - t->pfn[0] * k->page_size;
	for (uint64_t i = 0; i < BASES; i++) {
		k->base = (task & ~(GIB - 1)) - i * GIB;
		if (has_token(k, t, 0, k->base + t->pfn[0] * PAGE))
			break;
		k->base = 0;
	}
	if (k->base && has_token(k, t, 0, bytes_of(k, t->page[0])) && has_token(k, t, 1, bytes_of(k, t->page[1])))
		return 0;
	k->base = 0;
	return err_set(err, ERR_FEATURE, 0, "where the kernel has its pages is not found");
}

int kmem_learn_pages(struct kmem *k, struct err *err)
{
	struct tokens t cleanup(close_tokens) = { .pipe = { -1, -1 }, .bytes = MAP_FAILED };

	return k->base ? 0 : learn(k, &t, err);
}

int kmem_page(struct kmem *k, uint64_t page, uint64_t *bytes, struct err *err)
{
	int ret = kmem_learn_pages(k, err);

	if (ret < 0)
		return ret;
	if (page < k->pages || (page - k->pages) % k->page_size)
		return err_set(err, ERR_FEATURE, 0, "memory of a device, or what is no page");
	*bytes = bytes_of(k, page);
	return 0;
}
