// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptions that no controller can open, because they mean a task of the tree or its terminal, and that several tasks hold:
 * the first one opens it, the others take it from there (pidfd_getfd(2)). The barrier of process groups stands in between.
 */
#include <linux/capability.h>
#include <sys/syscall.h>

#include "common/file/file.h"

#define SEVERAL (1u << 31)

static void build(const struct model *m, struct plan *plan)
{
	struct file_plan *fp = file_plan_of(plan);

	for (size_t i = 0; i < m->ntasks; i++)
		for (size_t k = 0; k < m->tasks[i].nfds; k++) {
			const FdinfoEntry *e = m->tasks[i].fds[k];
			const uint64_t key = (uint64_t)e->type << 32 | e->id;
			uint32_t first;

			if (!id_map_get(&fp->holders, key, &first)) {
				id_map_put(&fp->holders, plan->arena, key, (uint32_t)i);
				id_map_put(&fp->holder_fds, plan->arena, key, e->fd);
			} else if ((first & ~SEVERAL) != i) {
				id_map_put(&fp->holders, plan->arena, key, first | SEVERAL);
			}
		}
	fp->holders_built = true;
}

bool file_opened_by(const struct model *m, struct plan *plan, const FileEntry *entry, size_t *task, int *fd)
{
	struct file_plan *fp = file_plan_of(plan);
	const uint64_t key = (uint64_t)entry->type << 32 | entry->id;
	uint32_t first, number;

	/* Then each opens its own, rather than nobody any: they differ in nothing but that flags and position are not shared. */
	if (plan->lacks >> CAP_SYS_PTRACE & 1)
		return false;
	if (!fp->holders_built)
		build(m, plan);
	if (!id_map_get(&fp->holders, key, &first) || !(first & SEVERAL) || !id_map_get(&fp->holder_fds, key, &number))
		return false;
	*task = first & ~SEVERAL;
	*fd = (int)number;
	return true;
}

void file_pull(struct plan *plan, struct plan_task *pt, size_t from, int fd, const FdinfoEntry *const *same, size_t n)
{
	struct program *prog = pt->threads[0].prog;
	struct step_ref pidfd = program_call(prog, TASK_CLOSE, "who has opened it", SYS_pidfd_open,
					     A((uint64_t)plan->tasks[from].pid), A(0));
	struct step_ref got = program_call(prog, TASK_CLOSE, "what was opened there", SYS_pidfd_getfd, A_RESULT(pidfd),
					   A((uint64_t)fd), A(0));

	for (size_t i = 0; i < n; i++)
		program_call_eq(prog, TASK_CLOSE, "in its place", same[i]->fd, SYS_dup3, A_RESULT(got), A(same[i]->fd),
				A(same[i]->flags & 1 ? O_CLOEXEC : 0));
	program_call(prog, TASK_CLOSE, "was only for fetching", SYS_close, A_RESULT(got));
	program_call(prog, TASK_CLOSE, "was only for fetching", SYS_close, A_RESULT(pidfd));
}
