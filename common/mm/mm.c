// SPDX-License-Identifier: GPL-2.0-or-later
/* What belongs to the mm_struct as a whole: its addresses, auxiliary vector, executable, and the switches of prctl. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/file/table.h"
#include "common/kinds.h"
#include "common/mm/private.h"
#include "common/task/kin.h"

#ifndef PR_GET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
/* Words that the format has for the auxiliary vector, padded with zeros; more are written only when they are used. */
#define AUXV_WORDS 44
#define AUXV_BYTES_MAX 4096

/* What /proc tells of it. */
struct mm_seen { uint64_t *auxv; size_t nauxv; struct path_seen *exe; };
struct mm_questions {
	struct step_ref dumpable, thp, merge, brk, locked;
	bool locked_asked;
	struct policy_questions policies;
	struct pkey_questions pkeys;
};

static int mm_ask(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct mm_questions *q = slot;

	if (d->task->vm_shared)
		return 0;
	q->dumpable = program_call(prog, 0, "dumpable", SYS_prctl, A(PR_GET_DUMPABLE), A(0), A(0), A(0), A(0));
	q->thp = program_try(prog, 0, "huge pages", SYS_prctl, A(PR_GET_THP_DISABLE), A(0), A(0), A(0), A(0));
	q->merge = program_try(prog, 0, "page merging", SYS_prctl, A(PR_GET_MEMORY_MERGE), A(0), A(0), A(0), A(0));
	q->brk = program_call(prog, 0, "program break", SYS_brk, A(0));
	/* EBUSY: the agent's own memory is locked (msync(2)). */
	q->locked_asked = dump_calls_freely(d);
	if (q->locked_asked)
		q->locked = program_try(prog, 0, "whether new memory is locked", SYS_msync, A_PAGE(program_data(prog, NULL, 8)),
					A(PAGE_BYTES), A(MS_INVALIDATE));
	vma_policies_ask(d, prog, &q->policies);
	pkeys_ask(d, prog, &q->pkeys);
	return 0;
}

static int mm_look(struct dump *d, struct err *err)
{
	cleanup_free char *text = NULL;
	struct mm_seen *s;
	size_t len, words;
	int ret;

	if (d->task->vm_shared)
		return 0;
	ret = read_piece_at(d->task->proc_fd, "auxv", AUXV_BYTES_MAX, &text, &len);
	if (ret)
		return err_set(err, ERR_FAILED, -ret, "cannot read its auxiliary vector");
	words = len / sizeof(uint64_t);
	s = d->task->mm_seen = arena_alloc(d->arena, sizeof(*s));
	s->nauxv = MAX(words, (size_t)AUXV_WORDS);
	s->auxv = arena_alloc(d->arena, s->nauxv * sizeof(*s->auxv));
	memcpy(s->auxv, text, words * sizeof(*s->auxv));
	while (s->nauxv > AUXV_WORDS && !s->auxv[s->nauxv - 1])
		s->nauxv--;
	if (d->task->kin & KIN_EXE && d->task->parent->mm_seen)
		s->exe = d->task->parent->mm_seen->exe;
	return s->exe ? 0 : err_object(err, file_see_path(d, "exe", &s->exe, err), "executable");
}

/*
 * MCL_FUTURE is a flag of the mm that nothing shows. It shows in what is mapped while it is on: the agent's own
 * region. The agent has asked about it; else its pages are the difference between what status counts as locked and what was
 * locked before.
 */
static int find_mlock_future(struct dump *d, const struct program *answers, const struct mm_questions *q, MmEntry *mm,
			     struct err *err)
{
	struct proc_status st;
	struct proc_maps maps;
	uint64_t start, end;
	bool more;
	int ret;

	if (!d->task->remote || (q->locked_asked && program_result(answers, q->locked) != -EBUSY))
		return 0;
	remote_region(d->task->remote, &start, &end);
	ret = proc_status(d->task->proc_fd, "status", d->arena, &st, err);
	if (ret)
		return ret;
	if (st.vm_lck_kb < d->task->mm->locked_kb + (end - start) / 1024)
		return 0;
	/* Rare: only now is it worth to read all flags again. */
	ret = proc_smaps(d->task->proc_fd, d->arena, &maps, SIZE_MAX, &more, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < maps.n; i++) {
		const struct proc_map *m = &maps.v[i];

		if (m->start > start || m->end < end || !(m->vmflags & VMF(lo)))
			continue;
		mm->has_mlock_future = true;
		mm->mlock_future = MCL_FUTURE | (m->vmflags & VMF(lf) ? MCL_ONFAULT : 0);
	}
	return 0;
}

static void copy_addresses(const struct proc_stat *st, MmEntry *mm)
{
	mm->mm_start_code = st->start_code;
	mm->mm_end_code = st->end_code;
	mm->mm_start_data = st->start_data;
	mm->mm_end_data = st->end_data;
	mm->mm_start_stack = st->start_stack;
	mm->mm_start_brk = st->start_brk;
	mm->mm_arg_start = st->arg_start;
	mm->mm_arg_end = st->arg_end;
	mm->mm_env_start = st->env_start;
	mm->mm_env_end = st->env_end;
}

int mm_dump(struct dump *d, const struct program *answers, const void *slot, struct err *err)
{
	const struct mm_questions *q = slot;
	const struct mm_seen *seen = d->task->mm_seen;
	MmEntry *mm = d->task->mm->entry = arena_msg(d->arena, MmEntry, mm_entry__init);
	int64_t dumpable = program_result(answers, q->dumpable), thp = program_result(answers, q->thp);
	int ret;

	copy_addresses(&d->task->stat, mm);
	vma_policies_read(d, answers, &q->policies);
	mm->mm_brk = (uint64_t)program_result(answers, q->brk);
	mm->has_dumpable = true;
	mm->dumpable = dumpable == 1;
	if (dumpable > 1) {
		mm->has_dumpable_raw = true;
		mm->dumpable_raw = (uint32_t)dumpable;
	}
	if (thp > 1)
		return err_refuse(err,
				  "huge pages are disabled but where they are asked for (prctl says %ld), which the "
				  "image format cannot say",
				  (long)thp);
	mm->has_thp_disabled = true;
	mm->thp_disabled = thp == 1;
	if (program_result(answers, q->merge) == 1) {
		mm->has_memory_merge = true;
		mm->memory_merge = true;
	}
	mm->n_mm_saved_auxv = seen->nauxv;
	mm->mm_saved_auxv = seen->auxv;
	ret = find_mlock_future(d, answers, q, mm, err);
	if (!ret)
		ret = err_object(err, file_dump_seen(d, "exe", seen->exe, O_RDONLY, &mm->exe_file_id, err), "executable");
	if (!ret)
		ret = vma_resolve_files(d, err);
	if (!ret)
		ret = aio_dump(d, mm, err);
	mm->vmas = d->task->mm->vmas;
	mm->n_vmas = d->task->mm->nvmas;
	return ret ? ret : pkeys_dump(answers, &q->pkeys, mm, err);
}

static int mm_kind_dump(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			struct err *err)
{
	return d->task->vm_shared || !d->task->mm_seen ? 0 : mm_dump(d, prog, slot, err); /* not seen: a check was told why */
}

/* The restore side is plan_mm(): it needs what the other kinds planned before it. */
const struct state_kind mm_kind = {
	.name = "address space",
	.scope = SCOPE_TASK,
	.look = mm_look,
	.ask = mm_ask,
	.slot_size = sizeof(struct mm_questions),
	.dump = mm_kind_dump,
};
