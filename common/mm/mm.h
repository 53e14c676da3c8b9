/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The address space: mm_struct fields, mappings, pages, vdso. */
#ifndef CR_MM_MM_H
#define CR_MM_MM_H

#include "common/dump/dump.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"

/*
 * Before the agent is opened: reads the mappings (d->task->maps). Refuses what cannot come back by name (userfaultfd
 * ranges, io mappings, io_uring rings, device mappings, packet rings...).
 */
int mm_collect(struct dump *d, struct err *err);
/* Questions about the mm that only the task answers (dumpable, THP, brk, default flags, ...): one more state kind. */
extern const struct state_kind mm_kind;
/* Writes mm-P (all but pages). Runs while the agent is still there. */
int mm_dump(struct dump *d, const struct program *answers, const void *slot, struct err *err);
/* Fills what entries of mappings refer to: file ids and object ids. A part of mm_dump(). */
int vma_resolve_files(struct dump *d, struct err *err);
/* Waits for requests of io_submit(2) that are about to end. A part of pages_dump(). */
int aio_settle(struct dump *d, struct err *err);
/* For a stream, whose pages come too late for a plan: what its AIO rings look like. Refuses when they look different the next time. */
int aio_tell(struct dump *d, struct err *err);
/* Last, after remote_close(): pagemap-P, pages-N of all tasks. This is where the time goes. */
int pages_dump_all(struct dump *d, struct err *err);
/* Those of d->task. */
int pages_dump(struct dump *d, struct err *err);
/* While the task stands still, for a pages_dump() while it runs: what there is to be read, and what of it was written. */
int pages_list(struct dump *d, struct err *err);
void pages_unlist(struct dump_task *t);
/* After the pages of all tasks: the shared memory that any of them has, pagemap-shmem-*. */
int objects_dump(struct dump *d, struct err *err);
/* The part of it that refuses. */
int objects_check(struct dump *d, struct err *err);
/* To a stream: what the two above have listed, when all other images are sent. */
int pages_send(struct dump *d, struct err *err);
void pages_sets_free(struct dump *d);

/* Finds the range of addresses where the agent lives in all tasks while they are made: plan.hole. Once, before all
 * plan_mm(). */
int plan_hole(const struct model *m, struct plan *plan, struct err *err);
/* Adds TASK_UNMAP .. TASK_MM to the leader's program and fills pt->pages, hole; TASK_BARE too when the task makes children. Pure. */
int plan_mm(const struct model *m, const struct model_task *task, struct plan *plan, struct plan_task *pt,
	    struct err *err);

/* What a task that lives in another's address space has to do about it. Pure. */
void plan_mm_shared(const struct model *m, struct plan_task *pt);

/* When all tasks are made, or, with failed, have not been: gives up what the controller made only to fill it, and takes
 * back what would stay in the host without them. */
void shmem_finish(const struct plan *plan, bool failed);

/* Whether this host has the huge pages that a checkpoint needs, and room for its System V segments; each finding goes
 * through report. */
void mm_preflight(const struct model *m, finding_fn report, void *ctx);

/* When all is written: the step that gives up what the controller wrote by. */
void plan_fill_end(struct plan_task *pt, int phase);

/*
 * The controller's share of the pages (from pt->nown on), written into the task while that waits. uffd: what pt->uffd gave in the
 * task. tick is told now and then how many bytes are done, by the calling thread. The error says what could not be written, which may
 * be for the death of the task.
 */
int pages_restore(struct model *m, const struct plan_task *pt, pid_t pid, int uffd, void (*tick)(void *ctx, uint64_t done),
		  void *ctx, struct err *err);
/* And, at the same time, its copies of pages of files. slots: descriptors of the controller. Refused where a file has other bytes now. */
int file_copies_restore(const struct model *m, const struct plan_task *pt, pid_t pid, const int *slots, struct err *err);
/* The same question before there are tasks: which files have other bytes. */
void file_copies_preflight(const struct model *m, const struct plan *plan, finding_fn report, void *ctx);
/* Segments of an IPC namespace of the tree's own that no task has attached. forced: they go with their creators. */
int sysv_collect_detached(struct dump *d, bool forced, struct err *err);
/* Makes and fills a segment; the controller has it attached until the end. */
int sysv_plan(struct plan *plan, const struct model_shmem *s, struct err *err);

#endif
