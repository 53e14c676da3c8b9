/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The notes of a core file: process, auxiliary vector, mapped files, and of each thread registers. */
#include <elf.h>
#include <signal.h>
#include <string.h>
#include <sys/procfs.h>

#include "bin/cr-image/core.h"
#include "common/arch/arch.h"

#define NOTES_MAX (256u << 20)

static void note(struct strbuf *out, uint32_t type, const char *name, const void *desc, size_t n)
{
	static const char zeros[4];
	Elf64_Nhdr h = { .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)n, .n_type = type };

	strbuf_add(out, &h, sizeof(h));
	strbuf_add(out, name, h.n_namesz);
	strbuf_add(out, zeros, -h.n_namesz & 3);
	strbuf_add(out, desc, n);
	strbuf_add(out, zeros, -n & 3);
}

static unsigned long pending(const SignalQueueEntry *q)
{
	unsigned long set = 0;

	for (size_t i = 0; q && i < q->n_signals; i++) {
		uint32_t signo = 0;

		if (q->signals[i]->siginfo.len >= sizeof(signo))
			memcpy(&signo, q->signals[i]->siginfo.data, sizeof(signo));
		if (signo >= 1 && signo <= 64)
			set |= 1ul << (signo - 1);
	}
	return set;
}

static int stop_signal(const struct ckpt_task *t)
{
	const CoreEntry *core = t->threads[0].core;

	if (t->state != CKPT_STOPPED)
		return 0;
	return core->tc->has_stop_signo ? (int)core->tc->stop_signo : SIGSTOP;
}

static int add_thread(const struct ckpt_task *t, size_t i, struct strbuf *out, struct strbuf *floats, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	const struct ckpt_thread *th = &t->threads[i];
	const ThreadCoreEntry *tc;
	struct elf_prstatus s = { .pr_pid = (pid_t)th->tid, .pr_ppid = (pid_t)t->ppid, .pr_pgrp = (pid_t)t->pgid,
				  .pr_sid = (pid_t)t->sid, .pr_fpvalid = 1 };
	struct arch_regs regs;
	struct arch_fpu fpu;
	int ret;

	if (!th->core)
		return err_object(err, err_image(err, "the image is missing"), "core-%u.img", th->tid);
	tc = th->core->thread_core;
	ret = arch_core_notes(t->threads[0].core, th->core, arena, &regs, &fpu, err);
	if (ret)
		return err_object(err, ret, "core-%u.img", th->tid);
	_Static_assert(sizeof(regs.r) == sizeof(s.pr_reg), "the note has the registers as ptrace gives them");
	memcpy(&s.pr_reg, &regs.r, sizeof(s.pr_reg));
	s.pr_info.si_signo = s.pr_cursig = (short)stop_signal(t);
	s.pr_sighold = !i && th->core->tc ? th->core->tc->blk_sigset : tc ? tc->blk_sigset : 0;
	s.pr_sigpend = pending(tc ? tc->signals_p : NULL) | pending(!i && th->core->tc ? th->core->tc->signals_s : NULL);
	note(out, NT_PRSTATUS, "CORE", &s, sizeof(s));
	note(floats, NT_FPREGSET, "CORE", fpu.area, MIN(fpu.size, (size_t)512));
	if (fpu.size > 512)
		note(floats, NT_X86_XSTATE, "LINUX", fpu.area, fpu.size);
	return 0;
}

static int add_process(struct ckpt *c, struct ckpt_task *t, struct strbuf *out, struct err *err)
{
	const CoreEntry *core = t->threads[0].core;
	const CredsEntry *creds = core->thread_core ? core->thread_core->creds : NULL;
	struct elf_prpsinfo p = { .pr_sname = t->state == CKPT_STOPPED ? 'T' : 'S', .pr_pid = (pid_t)t->pid, .pr_ppid = (pid_t)t->ppid,
				  .pr_pgrp = (pid_t)t->pgid, .pr_sid = (pid_t)t->sid };
	siginfo_t info = { .si_signo = stop_signal(t) };
	ssize_t n;

	p.pr_state = t->state == CKPT_STOPPED ? 3 : 1;
	p.pr_flag = core->tc ? core->tc->flags : 0;
	p.pr_nice = core->thread_core ? (char)core->thread_core->sched_nice : 0;
	p.pr_uid = creds ? creds->uid : 0;
	p.pr_gid = creds ? creds->gid : 0;
	snprintf(p.pr_fname, sizeof(p.pr_fname), "%s", t->comm);
	n = ckpt_read(c, t, t->mm->mm_arg_start, p.pr_psargs,
		      (size_t)MIN(t->mm->mm_arg_end - MIN(t->mm->mm_arg_start, t->mm->mm_arg_end), sizeof(p.pr_psargs) - 1), err);
	if (n < 0)
		return (int)n;
	for (ssize_t i = 0; i + 1 < n; i++)
		if (!p.pr_psargs[i])
			p.pr_psargs[i] = ' ';
	note(out, NT_PRPSINFO, "CORE", &p, sizeof(p));
	_Static_assert(sizeof(info) == 128, "the note is the kernel's siginfo");
	note(out, NT_SIGINFO, "CORE", &info, sizeof(info));
	note(out, NT_AUXV, "CORE", t->mm->mm_saved_auxv, t->mm->n_mm_saved_auxv * 8);
	return 0;
}

static const char *mapped_file(const struct ckpt *c, const VmaEntry *v)
{
	const FileEntry *f;

	if (!(v->status & (CKPT_VMA_FILE_PRIVATE | CKPT_VMA_FILE_SHARED)) || v->status & CKPT_VMA_MEMFD || v->shmid > UINT32_MAX)
		return NULL;
	f = ckpt_file(c, (uint32_t)v->shmid);
	return f && f->reg ? f->reg->name : NULL;
}

/* NT_FILE: a count and the page size, then start, end and offset in pages of each mapping, then all their names. */
static void add_files(const struct ckpt *c, const struct ckpt_task *t, struct strbuf *out)
{
	cleanup_strbuf struct strbuf desc = STRBUF_INIT, names = STRBUF_INIT;
	uint64_t head[2] = { 0, CKPT_PAGE };

	for (size_t i = 0; i < t->nvmas; i++)
		head[0] += mapped_file(c, t->vmas[i]) != NULL;
	strbuf_add(&desc, head, sizeof(head));
	for (size_t i = 0; i < t->nvmas; i++) {
		const VmaEntry *v = t->vmas[i];
		const char *name = mapped_file(c, v);
		uint64_t row[3] = { v->start, v->end, v->pgoff / CKPT_PAGE };

		if (!name)
			continue;
		strbuf_add(&desc, row, sizeof(row));
		strbuf_add(&names, name, strlen(name) + 1);
	}
	if (names.len)
		strbuf_add(&desc, names.s, names.len);
	if (head[0])
		note(out, NT_FILE, "CORE", desc.s, desc.len);
}

int core_notes(struct ckpt *c, struct ckpt_task *t, struct strbuf *out, struct err *err)
{
	for (size_t i = 0; i < t->nthreads; i++) {
		cleanup_strbuf struct strbuf floats = STRBUF_INIT;
		int ret = add_thread(t, i, out, &floats, err);

		if (!ret && !i) {
			ret = add_process(c, t, out, err);
			add_files(c, t, out);
		}
		if (!ret && out->len > NOTES_MAX)
			ret = err_image(err, "more than %u MiB of notes", NOTES_MAX >> 20);
		if (ret)
			return ret;
		strbuf_add(out, floats.s, floats.len);
	}
	return 0;
}
