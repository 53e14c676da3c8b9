/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one table of kernel objects. The engines know this table and nothing of the kinds in it: adding a kind is one
 * source file (dump and restore side next to each other), one .proto, one test and one line in kinds.c.
 */
#ifndef CR_KINDS_H
#define CR_KINDS_H

#include <sys/stat.h>

#include "common/agent/program.h"
#include "common/dump/dump.h"
#include "common/dump/told.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"

/* ---- state of a task or a thread ---- */

enum scope { SCOPE_TASK, SCOPE_THREAD };

struct state_kind {
	const char *name; /* the kernel's or the field's own term: "credentials" */
	enum scope scope;
	/*
	 * Asks /proc what the others will need, and keeps it with d->task; also fills what asks no more than that. Once for a task, before
	 * the others; by any thread of ours, and of many tasks by one that goes ahead. May be NULL, as ask and dump may.
	 */
	int (*look)(struct dump *d, struct err *err);
	/*
	 * Adds the questions that only the task itself can answer to a program that will run in the leader (task scope) or
	 * once in each thread (thread scope; the same program for all, so it must not depend on the thread). slot is the
	 * kind's own memory of slot_size zeroed bytes: handles of the questions. May be NULL.
	 */
	int (*ask)(struct dump *d, struct program *prog, void *slot, struct err *err);
	size_t slot_size;
	/*
	 * Of which numbers of the kernel's the answers are a function (common/dump/told.h), and, where they are numbers themselves, how
	 * they get into prog, which holds the answers of another thread. For thread scope. told NULL: of none, each thread is asked.
	 */
	struct told_rule (*told)(const void *slot);
	void (*tell)(const uint64_t numbers[TOLDS], struct program *prog, const void *slot);
	/*
	 * Fills its part of thread->core, or of other images. prog holds the answers. For task scope thread is the leader.
	 * State that cannot be brought back is refused here (err_refuse), before the target is harmed.
	 */
	int (*dump)(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
		    struct err *err);
	/* dump asks by number alone, and needs no answers: any thread of ours may do it, beside the others. For thread scope. */
	bool by_number;
	/* Adds steps to the plan. thread is the leader's for task scope. Pure. May be NULL. */
	int (*plan)(const struct model *m, const struct model_task *task, const struct model_thread *thread,
		    struct plan *plan, struct plan_task *pt, struct plan_thread *pth, struct err *err);
};

extern const struct state_kind *const state_kinds[]; /* NULL-terminated */

/* ---- open file descriptions ---- */

struct fd_source { /* a description, seen from the dumper: of a descriptor of the frozen task, or of a message on its way */
	int number;	 /* in the task; -1: only a message holds it, and no number of the task is any of its */
	int fd;		 /* our own descriptor of the same description (pidfd_getfd); -1: row says it all */
	const struct fd_row *row; /* common/file/fdrows.h; NULL: not known */
	char place[32];	 /* opens its file anew, for as long as the dump lasts: struct file_place.magic */
	int flags;	 /* F_GETFL */
	struct stat st;	 /* fstat */
	const char *link; /* readlink of that */
	const struct proc_fdinfo *info;
	int domain, type, protocol; /* of a socket: SO_DOMAIN, SO_TYPE, SO_PROTOCOL; else -1 */
	struct sock_ahead *ahead; /* common/sock/ahead.h; NULL: nobody has read its options */
	bool *kept; /* a kind that sets it has taken fd over; NULL: it may not */
};

struct file_kind {
	const char *name; /* "pipe" */
	FdTypes type;
	/* Whether a description is of this kind; the first kind that says yes takes it. */
	bool (*match)(const struct fd_source *src);
	/* Writes what it needs and fills entry (type and id are set) in d->arena. Refuses what cannot come back. 1: it
	 * will put the entry itself, later. */
	int (*dump)(struct dump *d, const struct fd_source *src, FileEntry *entry, struct err *err);
	/* Adds the controller's steps that make the description and binds them to slot. Pure. */
	int (*plan)(const struct model *m, const FileEntry *entry, struct plan *plan, uint32_t slot, struct err *err);
	/* Adds steps of the task itself, which holds the description as fd: once for each description, or, with each_holder, in
	 * every task that holds it. Pure. May be NULL. */
	bool each_holder;
	int (*plan_task)(const struct model *m, const FileEntry *entry, int fd, struct plan *plan, struct plan_task *pt,
			 struct err *err);
};

extern const struct file_kind *const file_kinds[]; /* NULL-terminated */

#endif
