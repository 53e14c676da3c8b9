/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a task of a tree still has from its parent: where both have one object of the kernel, or the same number, what /proc tells of the
 * parent is true of it, and need not be read five hundred times.
 */
#ifndef CR_TASK_KIN_H
#define CR_TASK_KIN_H

#include "common/dump/dump.h"

/* Of dump_task.kin: the same for its parent. */
enum {
	KIN_NAMESPACES = 1,	 /* the links in ns */
	KIN_CGROUP = 2,		 /* cgroup */
	KIN_CWD = 4, KIN_ROOT = 8, KIN_EXE = 16, /* these links, and the inodes that they lead to */
	KIN_LOGINUID = 32, KIN_OOM = 64, KIN_FILTER = 128, /* loginuid, oom_score_adj, coredump_filter */
	KIN_NO_TIMERS = 256,	 /* timers is empty; whatever its parent has */
};
/* What is known without that the parent was looked at. */
#define KIN_ALONE (KIN_NAMESPACES | KIN_NO_TIMERS)

/* Numbers of a task that say which objects it has; equal ones are one object. */
struct kin { uint64_t vm, files, fs, sighand; };

/*
 * For many tasks that all stand still: says of each what it has from its parent, and which objects it has, by index of the task; arena
 * memory. False: nothing is known, and /proc and kcmp(2) are to be asked.
 */
bool kin_look(struct dump *d, struct kin **out);

/* What was found of the parent of d->task, when it is true of that one, too: one of the KIN_ above; else NULL. */
static inline const TaskCoreEntry *kin_core(const struct dump *d, unsigned kin)
{
	return d->task->kin & kin ? d->task->parent->threads[0].core->tc : NULL;
}

#endif
