/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/coredump_filter: what a core dump contains. In our own field when it is not the kernel's default. */
#include <errno.h>

#include "common/task/kin.h"
#include "common/task/task.h"

#define DEFAULT_FILTER 0x33 /* MMF_DUMP_FILTER_DEFAULT with ELF headers */
#define FILTER_MAX 0x1ff    /* MMF_DUMP_FILTER_BITS is 9 */

static int look_filter(struct dump *d, struct err *err)
{
	struct err why = ERR_INIT;
	TaskCoreEntry *tc = task_core(d);
	const TaskCoreEntry *maker = kin_core(d, KIN_FILTER);
	int64_t v;
	int ret;

	if (maker) {
		tc->has_coredump_filter = maker->has_coredump_filter;
		tc->coredump_filter = maker->coredump_filter;
		return 0;
	}
	ret = proc_number(d->task->proc_fd, "coredump_filter", 16, &v, &why);
	if (ret == -ENOENT)
		return 0; /* a kernel without core dumps */
	if (ret) {
		*err = why;
		return ret;
	}
	if (v != DEFAULT_FILTER) {
		tc->has_coredump_filter = true;
		tc->coredump_filter = (uint32_t)v;
	}
	return 0;
}

static int plan_filter(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		       struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err)
{
	const TaskCoreEntry *tc = thread->core->tc, *maker = task_inherits(m, pt);
	uint32_t v = tc->has_coredump_filter ? tc->coredump_filter : DEFAULT_FILTER;
	char text[16];

	if (v > FILTER_MAX)
		return err_image(err, "coredump_filter is 0x%x", v);
	if (maker && (maker->has_coredump_filter ? maker->coredump_filter : DEFAULT_FILTER) == v)
		return 0;
	snprintf(text, sizeof(text), "0x%x", v);
	task_plan_proc_write(pth->prog, "coredump_filter", "/proc/self/coredump_filter", text, tc->has_coredump_filter);
	return 0;
}

const struct state_kind coredump_filter_kind = {
	.name = "coredump_filter",
	.scope = SCOPE_TASK,
	.look = look_filter,
	.plan = plan_filter,
};
