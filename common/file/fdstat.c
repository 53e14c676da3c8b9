// SPDX-License-Identifier: GPL-2.0-or-later
/* What stat(2) says of a frozen task's descriptors: asked once, for those who look for terminals and those who look at all of them. */
#include <sys/stat.h>

#include "common/file/file.h"

int file_stats(struct dump *d, struct dump_task *task, const struct fd_stats **out, struct err *err)
{
	struct fd_stats *s = task->fd_stats;
	char path[32];
	int ret;

	if (!s) {
		s = arena_alloc(d->arena, sizeof(*s));
		ret = proc_numbers(task->proc_fd, "fd", d->arena, &s->numbers, &s->n, err);
		if (ret < 0)
			return ret;
		s->st = arena_alloc(d->arena, (s->n + 1) * sizeof(*s->st));
		for (size_t i = 0; i < s->n; i++) {
			snprintf(path, sizeof(path), "fd/%d", s->numbers[i]);
			if (fstatat(task->proc_fd, path, &s->st[i], 0) < 0)
				return err_object(err, err_sys(err, "cannot stat"), "fd %d", s->numbers[i]);
		}
		task->fd_stats = s;
	}
	*out = s;
	return 0;
}
