/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O priority, in our own field, written when a class was set. */
#include <linux/ioprio.h>
#include <sys/syscall.h>

#include "common/task/task.h"

static int dump_ioprio(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		       struct err *err)
{
	ThreadCoreEntry *tcore = task_thread_core(d, thread);
	long v = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, thread->frozen->tid);

	if (v < 0)
		return err_sys(err, "cannot read the I/O priority of thread %d", thread->frozen->tid);
	if (IOPRIO_PRIO_CLASS(v) == IOPRIO_CLASS_NONE)
		return 0;
	tcore->has_ioprio = true;
	tcore->ioprio = (uint32_t)v;
	return 0;
}

static int plan_ioprio(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		       struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const ThreadCoreEntry *tcore = thread->core->thread_core;

	/* A restorer that was started with a priority of its own gives it to the leader, and this to its threads. */
	if (thread == &task->threads[0])
		program_call(pth->prog, TASK_LIMITS, "no I/O priority", SYS_ioprio_set, A(IOPRIO_WHO_PROCESS), A(0),
			     A(0));
	if (!tcore->has_ioprio)
		return 0;
	if (tcore->ioprio > UINT16_MAX)
		return err_image(err, "thread %d: I/O priority 0x%x", pth->tid, tcore->ioprio);
	program_call(pth->prog, THREAD_SELF, "I/O priority", SYS_ioprio_set, A(IOPRIO_WHO_PROCESS), A(0),
		     A(tcore->ioprio));
	return 0;
}

const struct state_kind ioprio_kind = {
	.name = "I/O priority",
	.scope = SCOPE_THREAD,
	.dump = dump_ioprio,
	.by_number = true,
	.plan = plan_ioprio,
};
