// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pidfd: a reference to a process, or with PIDFD_THREAD to a thread. Those of the tree are opened again by their holders
 * once all tasks (all threads) exist; until then a stand-in keeps the number. A process that is dead and reaped is like any
 * other: the controller makes one, and reaps it.
 */
#include <string.h>
#include <sys/syscall.h>

#include "common/file/file.h"

#define THREAD_FLAG O_EXCL /* PIDFD_THREAD */

static bool pidfd_match(const struct fd_source *src)
{
	return !strcmp(src->link, "anon_inode:[pidfd]") || !strncmp(src->link, "pidfd:[", 7);
}

static bool in_tree(const struct dump *d, pid_t id, bool thread)
{
	for (size_t i = 0; i < d->ntasks; i++) {
		const struct dump_task *t = d->tasks[i];

		if (t->pid == id)
			return true;
		for (size_t k = 0; thread && !t->zombie && k < t->fz.nthreads; k++)
			if (t->fz.threads[k].tid == id)
				return true;
	}
	return false;
}

static int pidfd_dump(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err)
{
	PidfdEntry *e = arena_msg(d->arena, PidfdEntry, pidfd_entry__init);
	const char *pid = strstr(src->info->text, "\nPid:");
	bool thread = src->flags & THREAD_FLAG;
	uint64_t id = 0;

	entry->pidfd = e;
	e->id = entry->id;
	e->ino = (uint32_t)src->st.st_ino;
	e->flags = (uint32_t)src->flags & ~(uint32_t)O_ACCMODE;
	if (!pid)
		return err_set(err, ERR_FEATURE, 0, "this kernel does not show which process a pidfd means");
	pid += strlen("\nPid:");
	pid += strspn(pid, " \t");
	if (!strncmp(pid, "-1", 2)) {
		e->nspid = -1;
	} else {
		if (fdinfo_number(&pid, 10, &id) < 0 || !id || id > INT32_MAX)
			return err_refuse(err, "pidfd of a process in another pid namespace");
		if (!in_tree(d, (pid_t)id, thread))
			return err_refuse(err, "pidfd of %s %d, which is not in the tree", thread ? "thread" : "process",
					  (int)id);
		e->nspid = (int32_t)id;
	}
	return fown_dump(d, src, &e->fown, err);
}

/* ---- restore ---- */

/* 1: a process or zombie of the checkpoint, 2: one of its further threads. */
static int known(const struct model *m, int32_t id)
{
	for (size_t i = 0; i < m->ntasks; i++) {
		if ((int32_t)m->tasks[i].pstree->pid == id)
			return 1;
		for (size_t k = 1; k < m->tasks[i].nthreads; k++)
			if (m->tasks[i].threads[k].tid == id)
				return 2;
	}
	return 0;
}

/* Here come only those of the dead: see pidfd_place(). */
static int pidfd_plan(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err)
{
	const PidfdEntry *e = entry->pidfd;

	if (e->nspid != -1)
		return err_image(err, "files.img: pidfd %u is passed on, before its process exists", e->id);
	plan_slot_dead(plan, slot, e->ino, e->flags & (O_NONBLOCK | THREAD_FLAG));
	return 0;
}

bool pidfd_of_thread(const struct model *m, const FileEntry *entry)
{
	return known(m, entry->pidfd->nspid) == 2;
}

int pidfd_place(const struct model *m, const FileEntry *entry, struct plan_task *pt, bool fetched, const FdinfoEntry **same,
		size_t n, struct err *err)
{
	const PidfdEntry *e = entry->pidfd;
	uint32_t flags = e->flags & (O_NONBLOCK | THREAD_FLAG);
	struct program *prog = pt->threads[0].prog;
	int what = known(m, e->nspid), phase = fetched ? TASK_MM : TASK_CLOSE;
	struct step_ref opened;

	if (!what || (what == 2 && !(flags & THREAD_FLAG)))
		return err_image(err, "files.img: pidfd %u of process %d, which is not in the checkpoint", e->id, e->nspid);
	if (what == 2) { /* threads of other tasks exist for certain only when all stand ready */
		if (!pt->threads[0].late)
			pt->threads[0].late = program_new();
		prog = pt->threads[0].late;
		phase = 0;
	}
	opened = program_call(prog, phase, "pidfd", SYS_pidfd_open, A((uint64_t)e->nspid), A(flags));
	for (size_t i = 0; i < n; i++)
		program_call_eq(prog, phase, "in its place", same[i]->fd, SYS_dup3, A_RESULT(opened), A(same[i]->fd),
				A(same[i]->flags & 1 ? O_CLOEXEC : 0));
	program_call(prog, phase, "was only for opening", SYS_close, A_RESULT(opened));
	return 0;
}

const struct file_kind pidfd_kind = {
	.name = "pidfd",
	.type = FD_TYPES__PIDFD,
	.match = pidfd_match,
	.dump = pidfd_dump,
	.plan = pidfd_plan,
};
