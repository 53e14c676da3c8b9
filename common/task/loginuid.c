/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit login uid. Kernels refuse to write it without CAP_AUDIT_CONTROL once it is set, even to its own value. So the write is
 * tried, and the preflight has made sure that it succeeds or that there is nothing to change.
 */
#include <errno.h>
#include <fcntl.h>

#include "common/task/kin.h"
#include "common/task/task.h"

static int look_loginuid(struct dump *d, struct err *err)
{
	struct err why = ERR_INIT;
	TaskCoreEntry *tc = task_core(d);
	const TaskCoreEntry *maker = kin_core(d, KIN_LOGINUID);
	int64_t v;
	int ret;

	if (maker) {
		tc->has_loginuid = maker->has_loginuid;
		tc->loginuid = maker->loginuid;
		return 0;
	}
	ret = proc_number(d->task->proc_fd, "loginuid", 10, &v, &why);
	if (ret == -ENOENT)
		return 0; /* a kernel without audit */
	if (ret) {
		*err = why;
		return ret;
	}
	tc->has_loginuid = true;
	tc->loginuid = (uint32_t)v;
	return 0;
}

/* Then it is inherited, and so is our audit session: each writing begins a new one (kernel/audit.c, audit_set_loginuid()). */
static bool is_ours(uint32_t loginuid)
{
	struct err ignore = ERR_INIT;
	cleanup_fd int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int64_t v;

	return self >= 0 && !proc_number(self, "loginuid", 10, &v, &ignore) && (uint32_t)v == loginuid;
}

static int plan_loginuid(const struct model *m, const struct model_task *task, const struct model_thread *thread,
			 struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc, *maker = task_inherits(m, pt);
	char text[16];

	if (!tc->has_loginuid || (maker ? maker->has_loginuid && maker->loginuid == tc->loginuid : is_ours(tc->loginuid)))
		return 0;
	snprintf(text, sizeof(text), "%u", tc->loginuid);
	task_plan_proc_write(pth->prog, "audit login uid", "/proc/self/loginuid", text, false);
	return 0;
}

const struct state_kind loginuid_kind = {
	.name = "loginuid",
	.scope = SCOPE_TASK,
	.look = look_loginuid,
	.plan = plan_loginuid,
};
