/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Borrowing a stopped thread. A frozen thread can be asked to make system calls; if this process dies at any
 * instant, the thread finishes by itself, cleans up, and goes on where it was, as if nothing had been.
 */
#ifndef CR_REMOTE_REMOTE_H
#define CR_REMOTE_REMOTE_H

#include "common/agent/program.h"
#include "common/arch/arch.h"
#include "common/base/err.h"
#include "common/base/findings.h"
#include "common/base/log.h"
#include "common/proc/proc.h"

struct burial; /* common/remote/burial.h */

/* One thread in ptrace-stop. */
struct frozen_thread {
	pid_t tid;
	int stop_signal; /* group-stop signal (SIGSTOP, ...) when it was stopped before we came, 0 otherwise */
	struct arch_regs regs; /* as found; what it is to go on with */
	uint64_t sigmask;      /* as found */
	unsigned options; /* PTRACE_O_* that it is traced with */
	bool pending; /* signals wait that it would take at once: set by the caller from its status */
	bool dead; /* a first thread that has ended before the others: nothing but tid, and what freeze_dead_leader() made up */
	int exit_code; /* of a dead one */
};

struct freeze {
	pid_t pid;
	uint64_t start_time; /* of the process, field 22 of /proc/PID/stat: identity against pid reuse */
	struct frozen_thread *threads; /* the leader first, the rest in order of creation */
	size_t nthreads, cap;
	size_t speaker; /* index of the thread that is asked for the process: the first that lives */
	size_t settled; /* the first so many are known to stand still */
	int mem_fd;	/* /proc/PID/mem, read-write */
	struct burial *burial; /* who reaps threads that die while others are seized; NULL: nobody */
	unsigned timeout_ms; /* that anything asked of a thread may take; 0 = no limit */
	uint64_t frozen_ns; /* CLOCK_MONOTONIC when the first thread was stopped */
};

/* Whom others look at when they mean the process: what a dead leader had is gone (mm, files, fs, namespaces). */
static inline pid_t freeze_tid(const struct freeze *fz)
{
	return fz->nthreads ? fz->threads[fz->speaker].tid : fz->pid;
}

/*
 * Seizes and stops all threads of pid, until a pass over /proc/PID/task finds nobody new. timeout_ms 0 = no limit.
 * On failure everything is thawed again. Refuses (with one line): kernel threads, init, ourselves and our own
 * ancestors' controller role, zombies, tasks that are traced already (naming the tracer), missing privilege.
 */
int freeze_process(pid_t pid, unsigned timeout_ms, const struct log *log, struct freeze *fz, struct err *err);
enum thaw { THAW_RUN, THAW_STOP, THAW_KILL };
/* Ends it, exactly one of three ways. Threads go on as they were found (a group-stop stays one). Never fails half way.
 */
void freeze_end(struct freeze *fz, enum thaw how);
/* The same for many at once, parents before their children: none of them runs before all are dealt with. */
void freeze_end_all(struct freeze *const *v, size_t n, enum thaw how);

/* A process of a tree. */
struct tree_task {
	pid_t pid;
	size_t parent; /* where in the tree; the root is its own */
	bool zombie;   /* dead, and its parent has not waited for it: only stat is known, nothing is frozen */
	bool gone;     /* used while the tree is being frozen */
	bool frozen;   /* the same */
	int proc_fd;   /* /proc/PID, -1 for a zombie */
	struct freeze fz;
	struct proc_stat stat; /* as it is frozen */
};
struct tree { struct tree_task *v; size_t n, cap; }; /* parents before their children, depth first */

/*
 * Freezes a process and all its descendants: children of all threads, and theirs, until a whole pass finds nobody new.
 * Orphans that are handed to a subreaper within the tree and children made meanwhile are found by the next pass. One
 * timeout for all. On failure all are thawed again. What is refused for the root is refused for each. found: NULL, or what is
 * wrong with tasks other than the root goes there, and they, with all below them, are left out.
 */
int freeze_tree(pid_t root, unsigned timeout_ms, const struct log *log, struct findings *found, struct tree *tree,
		struct err *err);
/* Thaws what is still frozen in it, and frees it. */
void tree_free(struct tree *tree, enum thaw how);

/* The place where the agent lives in the frozen process, made on first use. */
struct remote;
/* What it must have room for, and what is known already of the frozen process (NULL: it is looked up). */
struct remote_needs {
	size_t size;   /* of the largest program for the first thread */
	size_t others; /* of the one for the others; 0: none is asked */
	const struct proc_maps *maps;	  /* all mappings, or the executable ones */
	const struct proc_status *status; /* of the thread that is asked for the process; NULL: no filter either */
};
/*
 * Puts the agent into the process. The first thread is its holder. Nothing is left behind at any instant, whether by
 * remote_close() or by the death of this process. -EBUSY: a dumper died here a moment ago and threads are still on
 * their way out; thaw, wait a little, and freeze again.
 */
int remote_open(struct freeze *fz, const struct remote_needs *needs, const struct log *log, struct remote **r, struct err *err);
/* Adds the end that every program needs, once: for a program that runs in the first thread, or in the others. */
void remote_prepare(struct remote *r, struct program *prog, bool leader);
/* Runs prog in the first thread and absorbs results. A step that fails its expectation is an error that names it. */
int remote_run(struct remote *r, struct program *prog, struct err *err);
/* Runs prog in each of the other threads that are wanted (NULL: all), several at a time, and calls take() for each in turn when prog
 * has its answers; the thread is outside again then. */
struct remote_done {
	bool (*wanted)(void *ctx, size_t thread);
	int (*take)(void *ctx, size_t thread, struct err *err);
	void *ctx;
};
int remote_run_others(struct remote *r, struct program *prog, const struct remote_done *done, struct err *err);
/* Address range of the mapping that the agent uses, to be left out of a dump. */
void remote_region(const struct remote *r, uint64_t *start, uint64_t *end);
/* Removes the mapping and wipes the code. r is freed also on failure. */
int remote_close(struct remote *r, struct err *err);
/*
 * The same in parts, for who has many processes to ask: a part lets the thread run and does not wait, the next one waits first. So
 * others can be dealt with while one is on its way. After any failure, and at any time instead of the next part, remote_close() ends
 * it; remote_open_begin() gives NULL then, and remote_close_end() has freed r.
 */
int remote_open_begin(struct freeze *fz, const struct remote_needs *needs, const struct log *log, struct remote **r, struct err *err);
int remote_open_go_on(struct remote *r, struct err *err);
int remote_open_end(struct remote *r, struct err *err);
int remote_run_begin(struct remote *r, struct program *prog, struct err *err);
int remote_run_end(struct remote *r, struct program *prog, struct err *err);
int remote_close_begin(struct remote *r, struct err *err);
int remote_close_go_on(struct remote *r, struct err *err);
int remote_close_end(struct remote *r, struct err *err);

#endif
