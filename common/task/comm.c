/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The name of a thread, of which the leader's is the name of the task. */
#include <linux/prctl.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define COMM_MAX 15

static int dump_comm(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		     struct err *err)
{
	char *name = arena_printf(d->arena, "%.*s", COMM_MAX, thread->status.comm);

	task_thread_core(d, thread)->comm = name;
	if (thread == &d->task->threads[0])
		task_core(d)->comm = name;
	return 0;
}

static const char *comm_of(const struct model_task *task, const struct model_thread *thread)
{
	const CoreEntry *leader = task->threads[0].core;

	return thread->core->thread_core->comm ?: leader->tc ? leader->tc->comm : NULL;
}

/* Threads are born with the leader's. */
static int plan_comm(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		     struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const char *name = comm_of(task, thread), *leaders = comm_of(task, &task->threads[0]);
	bool leader = thread == &task->threads[0];

	if (!name || (!leader && leaders && !strcmp(name, leaders)))
		return 0;
	if (strlen(name) > COMM_MAX)
		return err_image(err, "thread %d: a name longer than %d bytes", pth->tid, COMM_MAX);
	program_call(pth->prog, leader ? TASK_ALIKE : THREAD_SELF, "name", SYS_prctl, A(PR_SET_NAME),
		     A_DATA(program_string(pth->prog, name)));
	return 0;
}

const struct state_kind comm_kind = {
	.name = "comm",
	.scope = SCOPE_THREAD,
	.dump = dump_comm,
	.plan = plan_comm,
};
