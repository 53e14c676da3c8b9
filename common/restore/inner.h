/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of a running restore. Nothing outside common/restore includes this. */
#ifndef CR_RESTORE_INNER_H
#define CR_RESTORE_INNER_H

#include "common/arch/arch.h"
#include "common/base/findings.h"
#include "common/base/progress.h"
#include "common/restore/model.h"
#include "common/restore/plan.h"
#include "common/restore/restore.h"

#define PAGE 4096ul

/* Each task may need a helper for its session and one for its group. */
#define PLAN_TASKS_MAX(n) (3 * (n))

/*
 * The region: the agent's home in all tasks while they are being made, at plan.hole. Code first (read and execute),
 * then, shared with the controller: the words of the whole tree, the words of each task, then the programs.
 */
struct shared_control {
	uint32_t held;	       /* set when the controller traces the root: one that is not our child waits for that */
	int32_t clone_errno;   /* of a clone3 that another process makes for us */
	uint32_t born_left, born_gate;	     /* tasks that are not born yet, and what the others wait for */
	uint32_t grouped_left, grouped_gate; /* the same for process groups */
	uint32_t left_leaders; /* tasks that are not through with their programs */
	uint32_t pad[9];
};
struct control {
	uint32_t left_threads; /* further threads that have not parked yet */
	uint32_t gate;	       /* the leader waits here until all other threads have their credentials */
	uint32_t unmade;       /* 1 until all mappings are there: then the controller writes its share of the pages */
	uint32_t filled;       /* set when it has */
	uint32_t pad[4];
};
size_t region_code_len(void);
static inline uint64_t region_control(const struct plan_task *pt)
{
	return pt->hole + region_code_len() + sizeof(struct shared_control) + pt->index * sizeof(struct control);
}

/* Births, sessions and groups of all tasks; adds helpers to the plan. Their programs must be there, and plan.hole. */
int plan_tree(const struct model *m, struct plan *plan, struct err *err);

/* Adds the leader's clone3 steps of all further threads. */
void plan_clones(struct plan_task *pt);

/* Descriptors that the controller's program made, by slot. */
struct slots {
	int *fd;
	size_t n;
	int low, high; /* numbers that they may have: [low, high) */
};
/*
 * Steps in the name of somebody else; the process that makes them stays for the next ones, until all end. As many at once as can
 * be: to hand something over to another process and back costs more than any of these calls. *done: how many of the n were made,
 * at least one; the last of them may have failed.
 */
#define STAND_IN_CALLS 64
struct stand_in;
struct stand_in_call { long nr; uint64_t a[6]; int64_t result; };
int stand_in_calls(struct stand_in **list, const struct plan_identity *who, struct stand_in_call *v, size_t n, size_t *done,
		   const struct log *log, struct err *err);
void stand_ins_end(struct stand_in **list);
int controller_run(struct plan *plan, const struct log *log, struct slots *slots, struct err *err);
/* plan.last: closes all slots that it does not use, then executes it. */
int last_run(struct plan *plan, struct slots *slots, struct err *err);
void done_run(struct plan *plan);
void slots_close(struct slots *slots);

/* "openat(...) (why)" with the errno of the result, or what was expected. */
int step_error(const struct plan *plan, const struct program *p, size_t i, struct err *err);
/* When a call that failed with errnum needs a feature or privilege that is not there: its sentence and hint. Else 0. */
int step_blame(const struct program *p, size_t i, int errnum, struct err *err);

/* Whose child a new task is. */
enum born {
	BORN_CHILD,   /* ours */
	BORN_SIBLING, /* our parent's */
	BORN_ORPHAN,  /* of the next subreaper or init, from the beginning */
};

/* One task that is being made. */
struct birth {
	struct births *all;
	const struct plan_task *pt;
	size_t *prog_off;  /* of each thread's program in the region */
	size_t scratch_off; /* 16 bytes for each thread */
	size_t late_off;   /* programs that the tracer makes threads execute, one after the other */
	uint64_t memory_bytes; /* that the task will read */
	uint64_t written;      /* of them, by us */
	struct arch_regs after; /* of the leader, when it was inside the call that it is in again (plan_thread.restart) */
	size_t seized;	   /* threads that are traced: the first ones of pt->threads */
	bool call_known, call_is; /* a system call instruction stands at call_at, or not */
	uint64_t call_at;
	bool beyond;	   /* has ids by which we may not kill it */
	bool dead;	   /* was killed, or has ended, and we know */
};

/* All of them, parents before children. */
struct births {
	const struct plan *plan;
	struct model *model; /* where pages come from; set before births_run() */
	const struct slots *slots;
	struct birth *v; /* as plan->tasks */
	char *at;	 /* the region in our address space */
	size_t len;
	int memfd;
	int *kept; /* numbers of all slots, ascending: what a task inherits */
	size_t nkept;
	enum born how;
	struct progress progress;
	uint64_t memory_bytes; /* that all tasks will read */
	uint64_t late_us; /* how long the pages took that were written when all were born */
	bool begun;	 /* a root was made */
	/* Called when nothing can fail any more and no task runs yet; may be NULL. Set before births_finish(). */
	void (*committed)(void *arg);
	void *committed_arg;
};
int births_prepare(struct births *b, const struct plan *plan, const struct slots *slots, struct err *err);
/* Makes the tree and waits until all threads have run their programs. Errors name the task. */
int births_run(struct births *b, enum born how, struct err *err);
/* How long the tasks took to fill their memory, together; after births_run(). */
uint64_t births_memory_us(const struct births *b);
/* Final registers of all threads, the region unmapped, then all let go. */
int births_finish(struct births *b, bool leave_stopped, struct err *err);
/* Kills and reaps what there is. */
void births_abort(struct births *b);
void births_release(struct births *b);
struct shared_control *births_shared(const struct births *b);
struct control *birth_control(const struct birth *b);
/* Whether the thread has loaded its floating point state when it is parked. */
bool birth_loads_fpu(const struct birth *b, size_t k);

/* What the tracer makes stopped threads execute, call by call (plan_thread.late). */
size_t late_size(const struct plan_task *pt);
void late_link(struct birth *b, const struct slots *slots);
int late_run(struct birth *b, struct err *err);

/* Capabilities that steps of the controller take, of which none is in `have` that suffices. */
uint64_t plan_privileges(const struct plan *plan, uint64_t have);

/* What the host says: capabilities, a number of our own. */
void restore_complete(struct restore_opts *opts);
/* All problems that this host has with the checkpoint; plan may be NULL. preflight(): together in one error; each is also a
 * line of the log. */
enum preflight_when {
	PREFLIGHT_ALL,
	/* The dumped tasks are still there, frozen, and will be gone: nothing counts that may only be so because they have it (numbers,
	 * ports, names, locks, memory), and nothing is said that will be said again. */
	PREFLIGHT_EARLY,
};
/*
 * Many files are looked at by a thread, while the plan is made: preflight_collect() with these options takes what it found. Not where that
 * is too early, because scripts run before, or is another's work, because the caller gives some of the files.
 */
struct preflight_ahead *preflight_begin(const struct model *m, const struct restore_opts *opts); /* NULL: not so */
void preflight_end(struct preflight_ahead *a); /* NULL is fine */
int preflight_collect(const struct model *m, const struct plan *plan, const struct restore_opts *opts, enum preflight_when when,
		      const struct log *log, struct findings *f, struct err *err);
int preflight(const struct model *m, const struct plan *plan, const struct restore_opts *opts, enum preflight_when when,
	      const struct log *log, struct err *err);

/* A model from a stream, so far that it can be planned; refused before any pages wait for a plan that cannot be. */
int stream_load(struct image_dir *dir, const struct restore_opts *opts, const struct log *log, struct model **m, struct err *err);

#endif
