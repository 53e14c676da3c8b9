// SPDX-License-Identifier: GPL-2.0-or-later
/* What stat(2) says of a frozen task's descriptors: asked once, for those who look for terminals and those who look at all of them. */
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/file/file.h"

/* A description has one inode for its life. *at: numbers ascend. */
static bool inherits(const struct dump_task *task, const struct dump_task *maker, int number, size_t *at, struct stat *st)
{
	const struct fd_stats *s = maker ? maker->fd_stats : NULL;

	while (s && *at < s->n && s->numbers[*at] < number)
		++*at;
	if (!s || *at == s->n || s->numbers[*at] != number ||
	    syscall(SYS_kcmp, task->tid, maker->tid, KCMP_FILE, number, number))
		return false;
	*st = s->st[*at];
	return true;
}

int file_stats(struct dump *d, struct dump_task *task, const struct dump_task *maker, const struct fd_stats **out, struct err *err)
{
	struct fd_stats *s = task->fd_stats;
	size_t at = 0;
	char path[32];
	int ret;

	if (!s) {
		s = arena_alloc(d->arena, sizeof(*s));
		ret = proc_numbers(task->proc_fd, "fd", d->arena, &s->numbers, &s->n, err);
		if (ret < 0)
			return ret;
		s->st = arena_alloc(d->arena, (s->n + 1) * sizeof(*s->st));
		s->inherited = arena_alloc(d->arena, s->n * sizeof(*s->inherited));
		for (size_t i = 0; i < s->n; i++) {
			s->inherited[i] = inherits(task, maker, s->numbers[i], &at, &s->st[i]);
			if (s->inherited[i])
				continue;
			snprintf(path, sizeof(path), "fd/%d", s->numbers[i]);
			if (fstatat(task->proc_fd, path, &s->st[i], 0) < 0)
				return err_object(err, err_sys(err, "cannot stat"), "fd %d", s->numbers[i]);
		}
		task->fd_stats = s;
	}
	*out = s;
	return 0;
}
