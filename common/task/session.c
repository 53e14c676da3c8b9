/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Session and process group. A root that leads its session makes a new one; any other belongs to somebody's terminal
 * session, which is the restorer's then (--shell-job says that this is wanted).
 */
#include <sys/syscall.h>

#include "common/task/task.h"

static int dump_session(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			struct err *err)
{
	const struct proc_stat *st = &d->task->stat;

	/* Numbers of what is outside the pid namespace are 0. */
	if (st->session <= 0 || st->pgrp <= 0)
		return err_hint(err, err_refuse(err, "the leader of its %s is outside its pid namespace",
						st->session <= 0 ? "session" : "process group"),
				"start it in a session of its own (setsid COMMAND)");
	/* Below the root, leaders that live no more are stood in for by the restorer. */
	if (d->task->parent || st->session == st->pid || d->opts->shell_job)
		return 0;
	return err_hint(err, err_refuse(err, "it is not a session leader (session %d)", st->session),
			"use --shell-job if it is a job of this shell");
}

static int plan_session(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const PstreeEntry *ps = task->pstree;

	if (ps->sid == ps->pid) {
		if (ps->pgid != ps->pid)
			return err_image(err, "a session leader in process group %u", ps->pgid);
		program_call_eq(pth->prog, TASK_SESSION, "session leader", ps->pid, SYS_setsid, A(0));
	} else if (ps->pgid == ps->pid) {
		program_call(pth->prog, TASK_SESSION, "process group leader", SYS_setpgid, A(0), A(0));
	}
	return 0;
}

const struct state_kind session_kind = {
	.name = "session",
	.scope = SCOPE_TASK,
	.dump = dump_session,
	.plan = plan_session,
};
