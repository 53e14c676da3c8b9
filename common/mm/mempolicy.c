// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NUMA policies (mm/mempolicy.c): of threads, and of mappings, where shared memory has that of its object. Only the task
 * itself can ask for them. /proc/PID/numa_maps shows the thread's policy for mappings without one, shows less than was
 * asked for, and takes a walk over all pages.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/kinds.h"
#include "common/mm/private.h"

/* The kernel's own limit of nodes (CONFIG_NODES_SHIFT of x86-64 is 10 at most). */
#define NODES_MAX 1024
#define MODES_MAX 16
#define MODE_FLAGS (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | 1u << 13 /* MPOL_F_NUMA_BALANCING */)

/* One more than the highest node that this host may ever have: what masks have to have room for. */
static uint32_t possible_nodes(void)
{
	cleanup_free char *text = NULL;
	uint64_t last = NODES_MAX - 1;
	size_t len;
	char *end;

	if (read_file_at(-1, "/sys/devices/system/node/possible", 4096, &text, &len))
		return NODES_MAX;
	text[strcspn(text, "\n")] = 0;
	end = text + len;
	while (end > text && end[-1] != '-' && end[-1] != ',')
		end--;
	return parse_u64(end, 10, &last) || last >= NODES_MAX ? NODES_MAX : (uint32_t)last + 1;
}

static uint32_t nodes_of(struct dump *d)
{
	static const char key;
	bool fresh;
	uint32_t *nodes = dump_recall(d, &key, sizeof(*nodes), &fresh);

	if (fresh)
		*nodes = possible_nodes();
	return *nodes;
}

/* Bytes of a mask: whole words. */
static uint32_t mask_bytes(uint32_t nodes)
{
	return (nodes + 63) / 64 * 8;
}

/*
 * A filter may forbid the question, and then the whole dump. Where there is one node only, a policy chooses nothing: it is
 * not worth that.
 */
static bool may_ask(const struct dump *d, uint32_t nodes)
{
	for (size_t i = 0; i < d->task->nthreads && nodes == 1; i++)
		if (d->task->threads[i].status.seccomp)
			return false;
	return true;
}

static MempolicyEntry *entry_of(struct dump *d, uint32_t mode, const unsigned char *mask, size_t len)
{
	MempolicyEntry *e = arena_msg(d->arena, MempolicyEntry, mempolicy_entry__init);

	e->mode = mode;
	while (len && !mask[len - 1])
		len--;
	e->has_nodes = len > 0;
	e->nodes.len = len;
	e->nodes.data = arena_dup(d->arena, mask, len);
	return e;
}

/* ---- threads ---- */

struct thread_question { struct step_ref step; struct data_ref data; uint32_t len; };

static int ask_mempolicy(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct thread_question *q = slot;
	uint32_t nodes = nodes_of(d);

	if (!may_ask(d, nodes))
		return 0;
	q->len = mask_bytes(nodes);
	q->data = program_data(prog, NULL, 8 + q->len);
	q->step = program_try(prog, 0, "NUMA policy", SYS_get_mempolicy, A_DATA(q->data), A_DATA_AT(q->data, 8),
			      A(q->len * 8ul), A(0), A(0));
	return 0;
}

/* mm/mempolicy.c, do_get_mempolicy(): that of the thread, which shares it with nobody, or, where it has none, the default. */
static struct told_rule mempolicy_told(const void *slot)
{
	return (struct told_rule){ .same = ((const struct thread_question *)slot)->len ? TOLD(MEMPOLICY) : 0 };
}

static int dump_mempolicy(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			  struct err *err)
{
	const struct thread_question *q = slot;
	const unsigned char *data;
	uint32_t mode;

	if (!q->len || program_result(prog, q->step)) /* a kernel without NUMA */
		return 0;
	data = program_answer(prog, q->data);
	memcpy(&mode, data, sizeof(mode));
	if (mode != MPOL_DEFAULT)
		thread->core->thread_core->mempolicy = entry_of(d, mode, data + 8, q->len);
	return 0;
}

/* The mask as the kernel wants it; *max counts one bit too many (mm/mempolicy.c, get_nodes()). */
static int plan_mask(const MempolicyEntry *e, struct program *p, struct data_ref *mask, uint64_t *max, struct err *err)
{
	unsigned char bits[NODES_MAX / 8] = { 0 };
	size_t n = e->has_nodes ? e->nodes.len : 0;

	if ((e->mode & ~MODE_FLAGS) >= MODES_MAX || n > sizeof(bits))
		return err_image(err, "NUMA policy 0x%x over %zu nodes", e->mode, n * 8);
	if (n)
		memcpy(bits, e->nodes.data, n);
	n = (n + 7) & ~(size_t)7;
	*mask = program_data(p, bits, n);
	*max = n ? n * 8 + 1 : 0;
	return 0;
}

/* Threads inherit from the leader: it has none, until they exist. */
static int plan_mempolicy(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			  struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const MempolicyEntry *e = thread->core->thread_core->mempolicy;
	struct data_ref mask;
	uint64_t max;
	int ret;

	if (thread == &task->threads[0])
		program_try(pth->prog, TASK_ALIKE, "no NUMA policy", SYS_set_mempolicy, A(MPOL_DEFAULT), A(0), A(0));
	if (!e)
		return 0;
	ret = plan_mask(e, pth->prog, &mask, &max, err);
	if (ret)
		return ret;
	program_call(pth->prog, THREAD_SELF, "NUMA policy", SYS_set_mempolicy, A(e->mode), max ? A_DATA(mask) : A(0),
		     A(max));
	return 0;
}

const struct state_kind mempolicy_kind = {
	.name = "NUMA policy",
	.scope = SCOPE_THREAD,
	.ask = ask_mempolicy,
	.slot_size = sizeof(struct thread_question),
	.told = mempolicy_told,
	.dump = dump_mempolicy,
	.plan = plan_mempolicy,
};

/* ---- mappings ---- */

static bool has_policy(const VmaEntry *v)
{
	return !(v->status & (VS_VDSO | VS_VVAR | VS_VSYSCALL | VS_AIO | VS_GUARD));
}

static bool may_have_policy(const struct mm_dump *mm, size_t i)
{
	return has_policy(mm->vmas[i]) && !mm->maps[i]->no_policy;
}

void vma_policies_ask(struct dump *d, struct program *prog, struct policy_questions *q)
{
	const struct mm_dump *mm = d->task->mm;
	uint32_t nodes = nodes_of(d), len = mask_bytes(nodes), size = 8 + len;
	size_t n = 0;

	if (!mm || !may_ask(d, nodes))
		return;
	for (size_t i = 0; i < mm->nvmas; i++)
		n += may_have_policy(mm, i);
	q->data = program_data(prog, NULL, n * size);
	for (size_t i = 0; i < mm->nvmas; i++) {
		const uint32_t at = (uint32_t)q->n * size;
		struct step_ref step;

		if (!may_have_policy(mm, i))
			continue;
		step = program_try(prog, 0, "", SYS_get_mempolicy, A_DATA_AT(q->data, at), A_DATA_AT(q->data, at + 8),
				   A(len * 8ul), A(mm->vmas[i]->start), A(MPOL_F_ADDR));
		q->first = q->n++ ? q->first : step;
	}
}

void vma_policies_read(struct dump *d, const struct program *answers, const struct policy_questions *q)
{
	const struct mm_dump *mm = d->task->mm;
	uint32_t size = q->n ? q->data.len / (uint32_t)q->n : 0;
	const unsigned char *data;
	size_t k = 0;

	if (!q->n)
		return;
	data = program_answer(answers, q->data);
	for (size_t i = 0; i < mm->nvmas; i++) {
		const unsigned char *a = data + k * size;
		uint32_t mode;

		if (!may_have_policy(mm, i) || program_result(answers, (struct step_ref){ q->first.i + (uint32_t)k++ }))
			continue;
		memcpy(&mode, a, sizeof(mode));
		if (mode != MPOL_DEFAULT)
			mm->vmas[i]->mempolicy = entry_of(d, mode, a + 8, size - 8);
	}
}

int plan_policies(struct mm_plan *mp, struct err *err)
{
	const MmEntry *mm = mp->task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *v = mm->vmas[i];
		struct data_ref mask;
		uint64_t max;
		int ret;

		if (!v->mempolicy || !plan_is_mapped(mp, v) || !has_policy(v))
			continue;
		ret = plan_mask(v->mempolicy, mp->prog, &mask, &max, err);
		if (ret)
			return err_object(err, ret, "mapping %lx-%lx", v->start, v->end);
		program_call(mp->prog, TASK_MAP, "NUMA policy", SYS_mbind, A(v->start), A(v->end - v->start),
			     A(v->mempolicy->mode), max ? A_DATA(mask) : A(0), A(max), A(0));
	}
	return 0;
}
