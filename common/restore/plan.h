/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan of a restore: pure data, computed from the model by pure functions, printable, testable. It holds one
 * program for the controller (makes the kernel objects; its results fill slots), one for each task, one for each
 * further thread.
 */
#ifndef CR_RESTORE_PLAN_H
#define CR_RESTORE_PLAN_H

#include "common/agent/program.h"
#include "common/arch/arch.h"
#include "common/base/arena.h"
#include "common/sock/tcp_normal.h"
#include "common/task/cgroup_mode.h"

struct model;
struct file_plan; /* common/file/file.h */
struct tcp_plan; /* common/sock/tcp.h */
struct tcp_ended; /* common/sock/tcp_ended.c */
struct sock_raise; /* common/sock/sockerr.c */
struct tcp_streams; /* common/sock/tcp_load.c */
struct shmem_plan; /* common/mm/shmem.c */
struct externals; /* common/file/external.h */
struct vdso_here; /* common/mm/private.h */

/* Phases of the controller's program. */
enum controller_phase {
	MAKE_OBJECTS, /* files, pipes, ... are opened; each result that is a descriptor goes into a slot */
	MAKE_CONTENT, /* queued data, positions */
	MAKE_LAST,    /* what would be in the way of content: socket filters, peeking, timeouts */
	MAKE_PHASES
};

/* Phases of a task's program (the leader thread) and of a thread's. Order is meaning: see ARCHITECTURE.md. */
enum task_phase {
	TASK_BORN,	  /* dies with its parent, while the restore lasts */
	TASK_BIRTH_EARLY, /* children of the session that the task had before its own */
	TASK_SESSION,	  /* setsid; leaders make their process groups */
	TASK_FILES,	  /* descriptors to their numbers */
	TASK_BARE,	  /* nothing is mapped but agent, vvar and vdso (plan.bare): a process like this is cheap to copy */
	TASK_BIRTH,	  /* children */
	TASK_UNMAP,	  /* vvar and vdso to their place, or out of the way */
	TASK_MAP,	  /* mmap of every mapping */
	TASK_CONTENT,	  /* pages */
	TASK_BIRTH_COW,	  /* children that share pages */
	TASK_ALL_BORN,	  /* until every task of the tree has come this far: from here on all of them exist, with all their pages */
	TASK_FS,	  /* root, cwd, umask: children have their own way to theirs */
	TASK_PROTECT,	  /* mprotect, madvise, guard regions, mlock */
	TASK_MM,	  /* prctl(PR_SET_MM_MAP), THP: no copy may have the executable, which could not set its own then */
	TASK_GROUPS,	  /* joins process groups, until all have */
	TASK_REAP,	  /* helpers are gone, zombies are dead */
	TASK_CLOSE,	  /* descriptors that nobody owns any more */
	TASK_LOCKS,	  /* of files: closing a descriptor would take them away */
	TASK_SIGNALS,	  /* dispositions */
	TASK_LIMITS,	  /* rlimits, oom_score_adj, coredump filter */
	TASK_ALIKE, /* what further threads are born with, when they have it like the leader */
	TASK_THREADS,	  /* clone3 of the further threads */
	THREAD_SELF,  /* name, tid address, robust list, rseq, alternate stack, sched, affinity, ioprio, timer slack */
	THREAD_CREDS, /* ids, groups, capabilities, securebits, no_new_privs */
	THREAD_AFTER_CREDS, /* what a change of credentials would reset: dumpable, pdeath_sig */
	THREAD_SIGQUEUE,    /* pending signals */
	TASK_SEAL,	    /* mseal */
	TASK_TIMERS,	    /* itimers and POSIX timers are armed last */
	TASK_PHASES
};

struct plan_thread {
	pid_t tid;
	struct program *prog; /* for the leader: TASK_* and THREAD_* phases; else THREAD_* only */
	/* Steps that the tracer makes the parked thread execute when all threads are there; NULL = none. Seccomp is
	 * suspended meanwhile. */
	struct program *late;
	struct arch_regs regs; /* final */
	struct arch_fpu fpu;
	bool fpu_self; /* the thread loads it by itself, in the agent */
	uint64_t sigmask;
	/* A call with remaining time that the thread must be inside again; nr is valid when block is set. */
	struct arch_restart restart;
	uint64_t restart_ns; /* remaining time of it; UINT64_MAX when unknown: the original arguments are used */
};

/* Contiguous bytes of a raw image that go to one address of the task. */
struct plan_pages {
	uint64_t addr, len;
	uint64_t off; /* in the image */
	int fd;	      /* of the image; owned by the model */
	uint32_t fill; /* plan_task.fills[fill - 1] has all of it; 0: none has any */
};

/* A mapping that is filled through a userfaultfd where there is one (common/mm/fill.c); huge: unless it is to get huge pages. */
struct plan_fill { uint64_t start, end; bool huge; };

/* Pages of a mapping that are copies of those of the file behind it: of the task's mappings the one with this number, and its file. */
struct plan_copies { size_t vma; uint32_t slot; };

enum plan_task_kind {
	TASK_IS_LIVE,
	TASK_IS_ZOMBIE,
	TASK_IS_HELPER, /* is in no checkpoint: takes the place of a dead leader of a session or group for a moment */
};

struct plan_task {
	enum plan_task_kind kind;
	size_t index; /* in plan.tasks, and of its words in the region */
	pid_t pid;
	const char *comm;
	size_t births; /* children that it makes while it is bare */
	/* Who makes it, when that one has what it sets in TASK_SESSION and before; NULL: the restorer, or somebody who has not. */
	const struct plan_task *maker;
	/* It is born when its maker's memory is filled, and is at first a copy of that. */
	const struct plan_task *copy_of; /* NULL: of a bare process */
	bool bare_born;			 /* nothing is mapped in it but what TASK_BARE leaves */
	const struct plan_task *vm_of;	 /* whose address space it lives in; NULL: its own */
	bool cow;			 /* and keeps what the images say is the parent's */
	struct vdso_here *after; /* where vvar and vdso are in the end; arena */
	struct plan_thread *threads; /* leader first */
	size_t nthreads;
	bool seccomp; /* some thread comes back below filters or in strict mode */
	/* What threads have from the leader, who is alike: nothing, groups and group ids, or all of it. */
	enum creds_shared { CREDS_OWN, CREDS_GROUPS, CREDS_ALL } creds;
	uint64_t caps_dropped; /* from the bounding set, by the leader before it makes threads */
	int stop_signal; /* the task comes back stopped by it; 0 = running */
	uint64_t hole, hole_len; /* address range that is free before and after: the agent's home while restoring */
	const struct model_pages *set; /* of the model: what pages are ranges of; NULL = none */
	struct plan_pages *pages;
	size_t npages;
	/* The first ones are read by the task itself, the others written into it by the controller: all of a large
	 * set. */
	size_t nown;
	struct plan_fill *fills;
	size_t nfills;
	struct step_ref uffd; /* of the leader, where it has fills: a descriptor, or not */
	struct plan_copies *copies; /* the controller makes them */
	size_t ncopies;
	bool pages_late; /* the others are written when all tasks are born: by two threads, and nobody waits for them one by one */
	struct data_ref content_from, content_to; /* struct timespec: when the memory of the task was filled */
};

/* Has the controller anything to write into its memory? */
static inline bool plan_is_filled(const struct plan_task *pt)
{
	return pt->nown != pt->npages || pt->ncopies;
}

/* Where the descriptor of a slot comes from. */
enum plan_source {
	SLOT_UNBOUND, /* an error once the plan is whole */
	SLOT_STEP,    /* result of the controller's step */
	SLOT_DATA,    /* int in the controller's data after the step */
	SLOT_FD,      /* a descriptor that we hold already */
	SLOT_PTY,     /* the master of the pty with number fd, made by opening path with flags off */
	SLOT_DEAD,    /* a pidfd of a process that is dead and reaped */
};
struct plan_bind {
	enum plan_source source;
	struct step_ref step;
	struct data_ref data;
	uint32_t off;
	int fd;	       /* of a SLOT_DEAD: flags of pidfd_open(2) */
	uint32_t dead; /* slots with the same number are of one process */
	const char *path; /* SLOT_PTY; lives as long as the plan */
};

/* In whose name a step of the controller's program is made: pid and effective ids. */
struct plan_identity { pid_t pid; uint32_t uid, gid; const uint32_t *groups; size_t ngroups; };
struct plan_as { struct step_ref step; const struct plan_identity *who; };
/* The controller's steps from..to - 1, in order of insertion. */
struct plan_strand { uint32_t from, to; };
struct plan_cgroup { struct step_ref made; const char *dir; struct plan_cgroup *next; };

struct plan {
	struct arena *arena;
	struct arena *beside; /* the same, for a second thread; NULL until one needs it */
	struct program *controller;
	struct program *last; /* the controller's too, when all tasks stand ready: watches; no results into slots */
	struct program *done; /* the controller's, when they stay whatever becomes of it, before one runs: no slots, nothing fails */
	enum cgroups_mode cgroups;
	struct plan_cgroup *groups; /* those that will be made where they are not there (common/task/cgroup.c); arena */
	bool link_remap;
	const char *executable; /* the controller's, where the checkpoint has that file, too; else NULL */
	bool merging; /* the controller has its memory merged, and so has what it makes */
	bool file_locks; /* restore_opts.file_locks */
	const struct externals *given; /* what the caller provides (common/file/external.h); may be NULL */
	bool ipc_own; /* an IPC namespace is made for the tree (common/ipc) */
	bool shell_job, foreground; /* see struct restore_opts */
	/* Capabilities (1 << CAP_*) that the restoring process has not: what takes them is left out if it can be. */
	uint64_t lacks;
	uint64_t unique; /* part of temporary names, so that what a killed restore may have left is in nobody's way */
	const char **slot_names; /* what is in each slot, for --plan: "file 7 /etc/passwd" */
	struct plan_bind *binds; /* one for each slot */
	struct plan_as *as; /* steps that others than we make */
	size_t nas, as_cap;
	struct plan_strand *strands; /* ascending */
	size_t nstrands, strands_cap;
	size_t nslots, slots_cap;
	struct plan_task *tasks; /* those of the model in its order, then helpers */
	size_t ntasks;
	struct vdso_here *here; /* the address space of this process, in which all of them begin; arena */
	struct vdso_here *bare; /* that of a bare process; arena, NULL until somebody asks */
	bool copies; /* some task is a copy of another whose memory is filled */
	uint64_t hole, hole_len; /* of all tasks, see plan_task */
	int *fds;		 /* all target descriptor numbers, ascending; arena */
	size_t nfds;
	struct shmem_plan *shmem; /* what common/mm planned already of memory that tasks share; the same */
	bool tcp_established, tcp_close; /* options */
	bool network_lock; /* the lock of the network is ours to make and to take away */
	struct tcp_normal tcp_normal; /* see struct restore_opts */
	struct tcp_plan *tcp; /* common/sock/tcp.h; in the arena, NULL without connections */
	struct tcp_ended *tcp_ended; /* common/sock/tcp_ended.c; in the arena, the last one first, NULL without any */
	struct sock_raise *sock_errors; /* common/sock/sockerr.c; the same */
	struct accept_queue *accept_queues; /* common/sock/accept_queue.h; the same */
	struct tcp_streams *tcp_streams; /* common/sock/tcp_load.c; in the arena, NULL at first */
	struct findings *found; /* of plan_check(); else NULL */
	struct file_plan *files; /* what common/file planned already; in the arena, NULL at first */
};

/* A new slot; the controller's step whose result fills it is `step`. name is copied. */
uint32_t plan_slot(struct plan *plan, const char *name);
/* Declares that the controller's step gives the descriptor of slot. After the step the controller moves the
 * descriptor out of the way of every target number. For pipe2(2) use plan_slot_from_data. */
void plan_slot_is(struct plan *plan, uint32_t slot, struct step_ref step);
/* The descriptor is the int at data+off of the controller's program after `step` ran (pipe2, socketpair). */
void plan_slot_from_data(struct plan *plan, uint32_t slot, struct step_ref step, struct data_ref data, uint32_t off);
/* The controller's step is made by a process with this number and these ids. who: in the plan's arena. */
void plan_step_as(struct plan *plan, struct step_ref step, const struct plan_identity *who);
/*
 * The controller's steps that were added since it had `from` have to do with nothing but each other, and those of other strands need not
 * come before or behind them in a phase: two threads may make them.
 */
void plan_strand(struct plan *plan, size_t from);
/* A new slot for a descriptor that we hold already (a pages image of the model): tasks reach it through ARG_SLOT under
 * a number that no target descriptor has. fd stays its owner's and must live as long as the plan. */
uint32_t plan_slot_fd(struct plan *plan, const char *name, int fd);
/* The descriptor is a pidfd, opened with flags, of a process that is dead and reaped: the same for all slots with this number. */
void plan_slot_dead(struct plan *plan, uint32_t slot, uint32_t number, uint32_t flags);

/* Slot is the master of the pty with this number. The kernel gives the lowest free one, so the controller opens as many as it
 * takes, before its first step; a number that somebody has is an error that names him. */
void plan_slot_pty(struct plan *plan, uint32_t slot, const char *path, uint32_t index, int flags);

/* An empty plan, for plan_build() and for tests of single kinds. */
struct plan *plan_new(void);
void plan_free(struct plan *plan);
void plan_freep(struct plan **plan);
#define cleanup_plan cleanup(plan_freep)

struct restore_opts;
/*
 * The plan of the whole restore. Pure: no system call that changes or asks anything of the host, so it needs no free
 * pid and no privilege. The model must outlive the plan. Errors: state that cannot be brought back (ERR_REFUSED),
 * contradictions that only a kind can see (ERR_IMAGE).
 */
int plan_build(const struct model *m, const struct restore_opts *opts, struct plan **plan, struct err *err);
/* The same, but what is wrong goes into found and the planning goes on. For a preflight, never to be executed. */
/* What is wrong with one part, when the caller can go on without it: gives 0 in a check, else ret. */
int plan_note(const struct plan *plan, const struct plan_task *pt, int ret, struct err *err);
int plan_check(const struct model *m, const struct restore_opts *opts, struct findings *found, struct plan **plan,
	       struct err *err);

/* The plan as --plan shows it: the controller's program, every task's and thread's, and the final registers. */
void plan_print(const struct model *m, const struct plan *plan, struct strbuf *out);

#endif
