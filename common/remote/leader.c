/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A first thread that has ended before the others. It stays in the process as a zombie, and its exit code is the process's
 * when the last thread ends. No image can say that a thread is dead, but any can say that it is about to die: this one comes
 * back in front of an exit(2), which it makes as soon as it is let go.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/remote/frozen.h"

#define CHUNK 65536u
#define WHOLE_MAX (64u << 20) /* of one mapping: a program whose code has no system call in so much has it elsewhere */

static bool is_call(const struct freeze *fz, uint64_t at)
{
	unsigned char code[ARCH_SYSCALL_LEN];

	return at <= INT64_MAX - sizeof(code) && !pread_full(fz->mem_fd, code, sizeof(code), (off_t)at) &&
	       arch_find_syscall(code, sizeof(code)) == 0;
}

static uint64_t find_in(const struct freeze *fz, const struct proc_map *m)
{
	cleanup_free unsigned char *code = xmalloc(CHUNK + ARCH_SYSCALL_LEN);
	uint64_t end = MIN(m->end, m->start + WHOLE_MAX);

	for (uint64_t at = m->start; at < end; at += CHUNK) {
		size_t n = MIN(end - at, (uint64_t)CHUNK + ARCH_SYSCALL_LEN - 1);
		ssize_t off;

		if (pread_full(fz->mem_fd, code, n, (off_t)at))
			return 0;
		off = arch_find_syscall(code, n);
		if (off >= 0)
			return at + (uint64_t)off;
	}
	return 0;
}

static bool is_kernels(const struct proc_map *m)
{
	return !strcmp(m->name, "[vdso]") || !strcmp(m->name, "[vsyscall]");
}

/* Address of a system call instruction of the program's own. The vdso is the last resort: another kernel has another one. */
static int find_call(const struct freeze *fz, int proc_fd, uint64_t *insn, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct proc_maps maps;
	int ret = proc_exec_maps(proc_fd, arena, &maps, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < fz->nthreads; i++) {
		*insn = arch_ip(&fz->threads[i].regs) - ARCH_SYSCALL_LEN;
		for (size_t k = 0; k < maps.n; k++)
			if (*insn >= maps.v[k].start && *insn < maps.v[k].end && !is_kernels(&maps.v[k]) && is_call(fz, *insn))
				return 0;
	}
	for (int round = 0; round < 2; round++)
		for (size_t k = 0; k < maps.n; k++) {
			if (is_kernels(&maps.v[k]) != (round != 0) || !strcmp(maps.v[k].name, "[vsyscall]"))
				continue;
			*insn = find_in(fz, &maps.v[k]);
			if (*insn)
				return 0;
		}
	return err_refuse(err, "its first thread has ended, and no system call instruction is there for it to end again");
}

int freeze_dead_leader(struct freeze *fz, int *proc_fd, struct err *err)
{
	struct frozen_thread dead = { .tid = fz->pid, .dead = true, .sigmask = ~0ull };
	struct proc_stat st;
	uint64_t insn = 0;
	char path[64];
	int fd, ret;

	if (!fz->nthreads || fz->threads[0].tid == fz->pid)
		return 0;
	snprintf(path, sizeof(path), "task/%d/stat", fz->pid);
	ret = proc_stat(*proc_fd, path, &st, err);
	if (ret)
		return ret;
	/* One that is being replaced by a thread that calls execve(2) looks dead, too; then nobody else is left standing. */
	if (st.state != 'Z' || !freeze_stands(fz))
		return 1;
	if (st.exit_code & 0x7f)
		return err_refuse(err, "its first thread alone was killed, by signal %d", st.exit_code & 0x7f);
	ret = proc_open(fz->threads[0].tid, &fd, err);
	if (ret)
		return ret;
	close(*proc_fd);
	*proc_fd = fd;
	ret = freeze_memory(fz, fd, err);
	if (!ret)
		ret = find_call(fz, fd, &insn, err);
	if (ret)
		return ret;
	dead.exit_code = st.exit_code >> 8 & 0xff;
	dead.stop_signal = fz->threads[0].stop_signal;
	dead.regs = fz->threads[0].regs;
	arch_syscall_regs(&dead.regs, insn, SYS_exit, (const uint64_t[6]){ (uint64_t)dead.exit_code });
	array_reserve(&fz->threads, &fz->cap, fz->nthreads, sizeof(*fz->threads));
	memmove(fz->threads + 1, fz->threads, fz->nthreads * sizeof(*fz->threads));
	fz->threads[0] = dead;
	fz->nthreads++;
	fz->settled++;
	fz->speaker = 1;
	return 0;
}
