// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Protection keys, pkeys(7): which ones a process has allocated, and which one each mapping has. What they allow a thread is a
 * register of the processor, which comes with all others.
 *
 * pkey_alloc(2) gives the lowest key that is free, and changes the rights of the thread that asks. So a dump does not try it: it asks
 * pkey_mprotect(2) for a range where nothing can be mapped, which says whether the key is the program's before it looks for mappings
 * (mm/mprotect.c, do_mprotect_pkey(), Linux 4.9 to 6.18), and changes nothing. A restore allocates all, so that the leader may read
 * and write whatever has a key, until its own rights are loaded, and frees in the end those that are not wanted: also keys that were
 * freed while mappings still have them.
 *
 * The kernel takes a key for itself when somebody wants a mapping that may be executed only, the lowest that is free, and says of it
 * what it says of a free one (arch/x86/include/asm/pkeys.h, mm_pkey_is_allocated()). It is known by such a mapping (a key that the
 * program freed while a mapping of this kind has it looks the same; of two of them nobody knows, and they are refused), and given back by
 * leaving no other one free when the first of them is protected. Where it is the only key, and the first, that comes by itself, and
 * a host without keys will do.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/mm/private.h"

#define PKEYS_MAX 16u
/* Two pages below the last: no kernel maps there, for the upper half of the addresses is its own. */
#define NOWHERE (0ul - 2 * PAGE_BYTES)
/* What the program has when it never asked for any. */
#define KEY_0 1u

/* ---- dump ---- */

static bool any_sign(const struct dump_task *t)
{
	for (size_t i = 0; t->mm && i < t->mm->nvmas; i++)
		if (t->mm->vmas[i]->pkey)
			return true;
	for (size_t i = 0; i < t->fz.nthreads; i++)
		if (!t->fz.threads[i].dead && arch_pkeys_used(t->fz.threads[i].tid))
			return true;
	return false;
}

/* A filter may forbid the question, and then the whole dump: behind one it is asked only of who shows that it uses keys. */
void pkeys_ask(struct dump *d, struct program *prog, struct pkey_questions *q)
{
	q->asked = arch_pkeys() && (dump_calls_freely(d) || any_sign(d->task));
	for (unsigned k = 0; q->asked && k < PKEYS_MAX; k++) {
		struct step_ref step = program_try(prog, 0, "protection key", SYS_pkey_mprotect, A(NOWHERE), A(PAGE_BYTES),
						   A(PROT_NONE), A(k));

		q->first = k ? q->first : step;
	}
}

int pkeys_dump(const struct program *answers, const struct pkey_questions *q, MmEntry *mm, struct err *err)
{
	struct err why = ERR_INIT;
	struct pkeys keys;

	mm->pkeys = q->asked ? 0 : KEY_0;
	for (unsigned k = 0; q->asked && k < PKEYS_MAX; k++) {
		int64_t said = program_result(answers, (struct step_ref){ q->first.i + k });

		if (said == -ENOMEM)
			mm->pkeys |= 1u << k;
		else if (said != -EINVAL)
			return err_set(err, ERR_FEATURE, (int)-said, "the kernel does not tell whether protection key %u is allocated", k);
	}
	mm->has_pkeys = mm->pkeys != KEY_0;
	if (!pkeys_find(mm, &keys, &why))
		return 0;
	return err_refuse(err, "which protection key the kernel took cannot be told: %s", why.reason);
}

/* ---- restore ---- */

static bool may_have_key(const VmaEntry *v)
{
	return v->status & VS_REGULAR && !(v->status & (VS_VDSO | VS_VVAR | VS_VSYSCALL | VS_AIO | VS_GUARD));
}

int pkeys_find(const MmEntry *mm, struct pkeys *out, struct err *err)
{
	*out = (struct pkeys){ .allocated = mm->has_pkeys ? mm->pkeys : KEY_0 };
	if (out->allocated >> PKEYS_MAX)
		return err_image(err, "protection keys 0x%x, and there are %u", out->allocated, PKEYS_MAX);
	out->any = out->allocated != KEY_0;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];

		if (!v->has_pkey || !v->pkey)
			continue;
		if (v->pkey >= PKEYS_MAX || !may_have_key(v))
			return err_image(err, "mapping %lx-%lx: protection key %u", v->start, v->end, v->pkey);
		if (v->prot != PROT_EXEC || out->allocated >> v->pkey & 1) {
			out->any = true;
			continue;
		}
		if (out->exec_only && out->exec_only != v->pkey)
			return err_image(err, "mappings that may only be executed have keys %u and %u, which are not allocated",
					 out->exec_only, v->pkey);
		out->exec_only = v->pkey;
		out->any |= v->pkey != 1;
	}
	return 0;
}

int pkeys_need(const MmEntry *mm, struct pkeys *out, struct err *err)
{
	int ret = pkeys_find(mm, out, err);

	if (ret || !out->any || arch_pkeys())
		return ret;
	ret = err_set(err, ERR_FEATURE, 0, "the task uses memory protection keys, which this processor or kernel does not have");
	return err_hint(err, ret, "restore it where /proc/cpuinfo shows pku and ospke");
}

void pkeys_begin(struct mm_plan *mp)
{
	if (!mp->keys.any)
		return;
	/* Nobody has one yet: what is alive here comes from a restorer, which has none. */
	for (unsigned k = 1; k < PKEYS_MAX; k++)
		program_call_eq(mp->prog, TASK_PROTECT, "protection key", (int64_t)k, SYS_pkey_alloc, A(0), A(0));
	if (mp->keys.exec_only)
		program_call(mp->prog, TASK_PROTECT, "which the kernel will take", SYS_pkey_free, A(mp->keys.exec_only));
}

bool pkeys_protect(struct mm_plan *mp, const VmaEntry *v)
{
	uint32_t key = v->has_pkey ? v->pkey : 0;

	/* Without a key of its own, what may only be executed would be given the kernel's. */
	if (!mp->keys.any || (key ? key == mp->keys.exec_only : v->prot != PROT_EXEC))
		return false;
	program_call(mp->prog, TASK_PROTECT, "protection and key", SYS_pkey_mprotect, A(v->start), A(v->end - v->start), A(v->prot),
		     A(key));
	return true;
}

void pkeys_end(struct mm_plan *mp)
{
	for (unsigned k = 0; mp->keys.any && k < PKEYS_MAX; k++)
		if (!(mp->keys.allocated >> k & 1) && k != mp->keys.exec_only)
			program_call(mp->prog, TASK_PROTECT, "a key that is free", SYS_pkey_free, A(k));
}
