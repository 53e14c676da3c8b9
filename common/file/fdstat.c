// SPDX-License-Identifier: GPL-2.0-or-later
/* What stat(2) says of a frozen task's descriptors: asked once, for those who look for terminals and those who look at all of them. */
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/file/fdrows.h"
#include "common/file/file.h"

/* A description has one inode for its life. *at: numbers ascend. */
static bool inherits(const struct dump_task *task, const struct dump_task *maker, const struct fd_stats *its, size_t i, size_t *at)
{
	const struct fd_stats *s = maker ? maker->fd_stats : NULL;
	const int number = its->numbers[i];

	while (s && *at < s->n && s->numbers[*at] < number)
		++*at;
	if (!s || *at == s->n || s->numbers[*at] != number)
		return false;
	if (its->rows && s->rows ? its->rows[i].file != s->rows[*at].file :
				   syscall(SYS_kcmp, task->tid, maker->tid, KCMP_FILE, number, number) != 0)
		return false;
	its->st[i] = s->st[*at];
	return true;
}

static int read_numbers(struct dump *d, struct dump_task *task, struct fd_stats *s, struct err *err)
{
	struct fd_row *rows;

	/* Not "fd", which has the same numbers: to list them makes the kernel's entries, and fdinfo of each is going to be read. */
	if (!fd_rows_read(d->fd_rows, task, d->arena, d->log, &rows, &s->n))
		return proc_numbers(task->proc_fd, "fdinfo", d->arena, &s->numbers, &s->n, err);
	s->rows = rows;
	s->numbers = arena_alloc(d->arena, s->n * sizeof(*s->numbers));
	for (size_t i = 0; i < s->n; i++)
		s->numbers[i] = rows[i].number;
	return 0;
}

int file_stat(const struct dump_task *task, int number, struct stat *st, struct err *err)
{
	char path[32];

	snprintf(path, sizeof(path), "fd/%d", number);
	return fstatat(task->proc_fd, path, st, 0) < 0 ? err_sys(err, "cannot stat") : 0;
}

int file_numbers(struct dump *d, struct dump_task *task, const struct dump_task *maker, struct fd_stats **out, struct err *err)
{
	struct fd_stats *s = *out = task->fd_stats;
	size_t at = 0;
	int ret;

	if (s)
		return 0;
	s = arena_alloc(d->arena, sizeof(*s));
	ret = read_numbers(d, task, s, err);
	if (ret < 0)
		return ret;
	s->st = arena_alloc(d->arena, (s->n + 1) * sizeof(*s->st));
	s->inherited = arena_alloc(d->arena, s->n * sizeof(*s->inherited));
	for (size_t i = 0; i < s->n; i++) {
		s->inherited[i] = inherits(task, maker, s, i, &at);
		s->ninherited += s->inherited[i];
	}
	*out = task->fd_stats = s;
	return 0;
}

int file_stats(struct dump *d, struct dump_task *task, const struct fd_stats **out, struct err *err)
{
	struct fd_stats *s;
	int ret = file_numbers(d, task, NULL, &s, err);

	for (size_t i = 0; !ret && !s->known && i < s->n; i++)
		ret = s->inherited[i] ? 0 : err_object(err, file_stat(task, s->numbers[i], &s->st[i], err), "fd %d", s->numbers[i]);
	if (!ret)
		s->known = true;
	*out = s;
	return ret;
}
