/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of robust futexes that the kernel walks when the thread dies. */
#include <sys/syscall.h>

#include "common/task/task.h"

#define HEAD_SIZE 24 /* sizeof(struct robust_list_head); the kernel takes no other */

static int dump_robust_list(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			    struct err *err)
{
	ThreadCoreEntry *tcore = task_thread_core(d, thread);
	uint64_t head = 0;
	size_t len = 0;

	if (syscall(SYS_get_robust_list, thread->frozen->tid, &head, &len) < 0)
		return err_sys(err, "cannot read the robust futex list of thread %d", thread->frozen->tid);
	tcore->futex_rla = head;
	tcore->futex_rla_len = head ? (uint32_t)len : 0;
	return 0;
}

static int plan_robust_list(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core;

	if (!tcore->futex_rla)
		return 0;
	if (tcore->futex_rla_len != HEAD_SIZE)
		return err_image(err, "thread %d: a robust futex list head of %u bytes", pth->tid,
				 tcore->futex_rla_len);
	program_call(pth->prog, THREAD_SELF, "robust futex list", SYS_set_robust_list, A(tcore->futex_rla),
		     A(HEAD_SIZE));
	return 0;
}

const struct state_kind robust_list_kind = {
	.name = "robust futex list",
	.scope = SCOPE_THREAD,
	.dump = dump_robust_list,
	.by_number = true,
	.plan = plan_robust_list,
};
