/* SPDX-License-Identifier: GPL-2.0-or-later */
/* State of tasks and threads that is neither memory nor files. Each kernel object is a file of this folder. */
#ifndef CR_TASK_TASK_H
#define CR_TASK_TASK_H

#include "common/kinds.h"

/*
 * Before the agent is opened: refuses what would make the agent itself harmful (seccomp, syscall user dispatch, 32-bit
 * code) and what no image can say (namespaces, sessions, security labels, unshared threads). Only looks from outside.
 */
int task_check(struct dump *d, struct err *err);
/* The rest of it: what any thread of ours may look at, while the target is asked. Reads d only. */
int task_check_threads(const struct dump *d, struct err *err);

/*
 * Signals that came while memory was being copied: who sent them will not send them again. To be called last before the
 * images are complete. A task that was killed meanwhile is noticed here.
 */
int task_signals_late(struct dump *d, struct err *err);

/* Who we are, as far as a restore depends on it. */
struct task_own {
	struct proc_status st; /* groups are arena memory */
	struct proc_limits limits;
	uint64_t known_caps; /* by this kernel */
	uint32_t securebits;
	bool has_loginuid;
	uint32_t loginuid;
	int nice;
};
int task_own_read(struct arena *arena, struct task_own *own, struct err *err);

/*
 * The capabilities (bit 1 << CAP_*) that restoring the tasks takes beyond CAP_CHECKPOINT_RESTORE. What is as we are
 * already takes none: a user's own plain process needs no CAP_SETUID, CAP_SETGID or CAP_SETPCAP.
 */
uint64_t task_privileges(const struct model *m, const struct task_own *own);

/* Does this host allow what no capability helps with: resource limits, the bounding set? Every finding goes through
 * report. What differs without being a loss is a warning in the log. */
void task_preflight(const struct model *m, const struct task_own *own, finding_fn report,
		    void *ctx, const struct log *log);

/* ---- for the files of this folder ---- */

/* The leader's core_entry.tc and a thread's core_entry.thread_core, made (in d->arena) on first use. */
TaskCoreEntry *task_core(struct dump *d);
ThreadCoreEntry *task_thread_core(struct dump *d, struct dump_thread *thread);

/* Adds steps that write text to a file of the task's own /proc/self. Phase must be before TASK_FILES and TASK_FS: later
 * the descriptor table may be full, and /proc out of reach. must: failure is an error. */
void task_plan_proc_write(struct program *prog, const char *note, const char *path, const char *text, bool must);

/* What the one had in the images who makes the task, and sets by such steps before: the task has it from its birth on. NULL:
 * nobody of the images makes it. */
const TaskCoreEntry *task_inherits(const struct model *m, const struct plan_task *pt);

/* The union of two words of a capability list in an image: word 0 = capabilities 0-31. */
static inline uint64_t task_caps(size_t n, const uint32_t *word)
{
	return (n > 0 ? word[0] : 0) | (n > 1 ? (uint64_t)word[1] << 32 : 0);
}

/* The two halves of a preflight that live with their objects. */
struct task_report {
	finding_fn line;
	void *ctx;
	const struct log *log;
};
void task_rlimit_preflight(const TaskCoreEntry *tc, pid_t pid, bool may_raise, const struct proc_limits *own,
			   const struct task_report *report);
/* True when there was something to report. */
bool task_creds_preflight(const ThreadCoreEntry *tcore, pid_t tid, const struct task_own *own,
			  const struct task_report *report);
/* A step that gives the thread its final capabilities: for one that kept more of them. */
void task_creds_plan_capset(struct program *prog, int phase, const CredsEntry *c);
uint64_t task_creds_privileges(const CredsEntry *c, const struct task_own *own);
uint64_t task_sched_privileges(const ThreadCoreEntry *tcore, const struct task_own *own);

#endif
