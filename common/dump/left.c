/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/left.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/io.h"

struct numbers { pid_t *v; size_t n; };

static int by_number(const void *va, const void *vb)
{
	const pid_t a = *(const pid_t *)va, b = *(const pid_t *)vb;

	return (a > b) - (a < b);
}

static void settle(struct numbers *s)
{
	size_t k = 0;

	qsort(s->v, s->n, sizeof(*s->v), by_number);
	for (size_t i = 0; i < s->n; i++)
		if (!i || s->v[i] != s->v[i - 1])
			s->v[k++] = s->v[i];
	s->n = k;
}

static bool has(const struct numbers *s, pid_t number)
{
	return s->n && bsearch(&number, s->v, s->n, sizeof(*s->v), by_number);
}

/* Still a number of somebody: F_SETOWN tells (common/restore/taken.c). */
static bool is_taken(int probe, pid_t number)
{
	return probe < 0 || !fcntl(probe, F_SETOWN, number) || errno != ESRCH;
}

static void tell(const struct log *log, const char *what, pid_t number, pid_t pid)
{
	char path[40];
	cleanup_free char *comm = NULL;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (read_file_at(AT_FDCWD, path, 64, &comm, &len))
		return; /* gone by now */
	log_warn(log, "pid %d (%.*s), which is not dumped, is in %s %d of the tree: as long as it is there, nobody else can have that"
		 " number on this host, so end it before a restore", pid, (int)strcspn(comm, "\n"), comm, what, number);
}

/* Each number once, by one of those who have it. */
static void look(const struct dump *d, const struct numbers *tree, struct numbers *ids)
{
	cleanup_arena struct arena *arena = arena_new();
	struct err ignore = ERR_INIT;
	int *pids = NULL;
	size_t n = 0;

	if (proc_numbers(AT_FDCWD, "/proc", arena, &pids, &n, &ignore))
		return;
	for (size_t i = 0; i < n && ids->n; i++) {
		pid_t sid, pgid;

		if (pids[i] == getpid() || has(tree, pids[i]))
			continue;
		sid = getsid(pids[i]);
		pgid = getpgid(pids[i]);
		if (!has(ids, sid) && !has(ids, pgid))
			continue;
		tell(d->log, has(ids, sid) ? "session" : "process group", has(ids, sid) ? sid : pgid, pids[i]);
		for (size_t k = 0; k < ids->n;) {
			if (ids->v[k] == sid || ids->v[k] == pgid)
				memmove(&ids->v[k], &ids->v[k + 1], (--ids->n - k) * sizeof(*ids->v));
			else
				k++;
		}
	}
}

void left_tell(const struct dump *d, bool dead)
{
	cleanup_free pid_t *all = xreallocarray(NULL, d->ntasks, sizeof(*all));
	cleanup_free pid_t *wanted = xreallocarray(NULL, 2 * d->ntasks, sizeof(*wanted));
	struct numbers tree = { all, 0 }, ids = { wanted, 0 };
	cleanup_fd int probe = dead ? eventfd(0, EFD_CLOEXEC) : -1;
	size_t taken = 0;

	for (size_t i = 0; i < d->ntasks; i++)
		tree.v[tree.n++] = d->tasks[i]->pid;
	settle(&tree);
	for (size_t i = 0; i < d->ntasks; i++) {
		const pid_t of[] = { d->tasks[i]->stat.session, d->tasks[i]->stat.pgrp };

		/* With --shell-job, what is not the tree's is its next caller's. */
		for (size_t k = 0; k < ARRAY_SIZE(of); k++)
			if (of[k] > 0 && (has(&tree, of[k]) || !d->opts->shell_job))
				ids.v[ids.n++] = of[k];
	}
	settle(&ids);
	for (size_t i = 0; i < ids.n; i++)
		if (is_taken(probe, ids.v[i]))
			ids.v[taken++] = ids.v[i];
	ids.n = taken;
	if (ids.n)
		look(d, &tree, &ids);
}
