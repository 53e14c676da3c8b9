/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/task/task.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

TaskCoreEntry *task_core(struct dump *d)
{
	CoreEntry *core = d->task->threads[0].core;

	if (!core->tc)
		core->tc = arena_msg(d->arena, TaskCoreEntry, task_core_entry__init);
	return core->tc;
}

ThreadCoreEntry *task_thread_core(struct dump *d, struct dump_thread *thread)
{
	CoreEntry *core = thread->core;

	if (!core->thread_core)
		core->thread_core = arena_msg(d->arena, ThreadCoreEntry, thread_core_entry__init);
	return core->thread_core;
}

const TaskCoreEntry *task_inherits(const struct model *m, const struct plan_task *pt)
{
	return pt->maker ? m->tasks[pt->maker->index].threads[0].core->tc : NULL;
}

void task_plan_proc_write(struct program *prog, const char *note, const char *path, const char *text, bool must)
{
	struct data_ref name = program_string(prog, path), bytes = program_string(prog, text);
	size_t len = strlen(text);
	struct step_ref fd;

	fd = program_add(prog, TASK_SESSION, note, must ? EXPECT_OK : EXPECT_ANY, 0, SYS_openat,
			 PROGRAM_ARGS(A((uint64_t)AT_FDCWD), A_DATA(name), A(O_WRONLY | O_CLOEXEC)));
	/* Where opening may fail, the two further calls fail with EBADF and harm nothing. */
	program_add(prog, TASK_SESSION, note, must ? EXPECT_EQ : EXPECT_ANY, (int64_t)len, SYS_write,
		    PROGRAM_ARGS(A_RESULT(fd), A_DATA(bytes), A(len)));
	program_try(prog, TASK_SESSION, note, SYS_close, A_RESULT(fd));
}
