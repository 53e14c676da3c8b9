/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all dump sides share while one checkpoint is made: the frozen tasks, what is known of them, and the store.
 * There is no other state: everything hangs on struct dump.
 */
#ifndef CR_DUMP_DUMP_H
#define CR_DUMP_DUMP_H

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/findings.h"
#include "common/base/log.h"
#include "common/image/image.h"
#include "common/proc/proc.h"
#include "common/remote/remote.h"
#include "common/task/cgroup_mode.h"
#include "core.pb-c.h"

struct file_table; /* common/file/table.h */
struct mm_dump; /* common/mm/private.h */
struct cgroup_sets; /* common/task/cgroup.c */
struct seccomp_chain; /* common/task/seccomp.c */
struct seccomp_images; /* the same */
struct mm_look; /* common/mm/look.h */
struct alike; /* common/task/alike.h */
struct fd_rows; /* common/file/fdrows.h */
struct mm_objects; /* common/mm/private.h */
struct inetopt_fresh; /* common/sock/inetopt.h */
struct sock_lacks; /* common/sock/sockopt.c */
struct tcp_dump; /* common/sock/tcp.h */
struct listeners; /* common/sock/listeners.h */

struct pages_sets; /* common/mm/pages_out.h */
struct externals; /* common/file/external.h */
struct previous; /* common/mm/previous.h */
struct tracker; /* common/mm/track.h */
struct scan; /* common/mm/scan.h */
struct actions; /* common/base/action.h */
struct worker; /* common/mm/pages_crowd.h */

struct dump_opts {
	pid_t pid;
	const char *images_dir; /* -D */
	const char *work_dir;	/* -W, images_dir by default */
	bool leave_running, leave_stopped;
	bool shell_job;
	unsigned timeout_s;
	uint64_t ghost_limit; /* bytes */
	bool progress;	      /* a terminal is watching */
	bool pre_dump;	      /* memory only; the tasks go on as soon as it is known what they have */
	const char *prev_images_dir; /* the dump before this one, relative to images_dir; NULL: none */
	const char *iterate; /* "N", "Nms" or "auto": rounds before the freeze; NULL: none */
	bool track_mem;	      /* keep track of what is written from now on: the next dump is an increment of this one */
	int track;	      /* enum track_how */
	bool auto_dedup;      /* give back the room of older pages that this dump has anew */
	bool cow_pages;	      /* leave to the parent what is the parent's */
	bool seal;	      /* checksums of memory pages too */
	int compress;	      /* level of zstd; 0: not at all */
	int stream;	      /* descriptor that the images go to; -1: to images_dir */
	bool display_stats;
	bool tcp_established, tcp_close, skip_in_flight, unix_close;
	int network_lock;     /* enum net_lock_method */
	const struct externals *given; /* --external; may be NULL */
	enum cgroups_mode cgroups;
	bool link_remap; /* files that lost their name get another one */
	bool file_locks; /* keep locks of files */
	struct actions *actions; /* who is told of the stages; may be NULL */
	bool suspend_seccomp; /* also where its filters would not let the agent leave without us */
};

struct dump_stats {
	uint64_t freezing_us, frozen_us, memdump_us, memwrite_us, total_us;
	uint64_t pages_scanned, pages_written, pages_zero, pages_cow, pages_parent, pages_file;
	uint64_t image_bytes;
};

/* What is one object for it and for the thread that others look at (common/task/alike.h). */
enum { ALIKE_STATUS = 1, ALIKE_SHARED = 2, ALIKE_NAMESPACES = 4, ALIKE_CGROUP = 8 };

struct dump_thread {
	struct frozen_thread *frozen;
	unsigned alike; /* 0: nothing, or it is not known */
	struct proc_status status; /* /proc/PID/task/TID/status */
	CoreEntry *core;	   /* being filled */
	struct seccomp_chain *seccomp; /* its filters; arena memory */
	const char *cgroups; /* text of its file; arena memory, NULL: not known */
	const uint64_t *told; /* numbers of the kernel's (common/dump/told.h); arena memory, NULL: not known */
};

struct dump_task {
	pid_t pid;
	pid_t tid; /* of the thread that others look at: the first one that lives */
	size_t index; /* in dump.tasks */
	struct dump_task *parent; /* NULL for the root */
	bool zombie; /* only pid, parent and stat are known of it */
	struct freeze fz;
	struct remote *remote;
	int proc_fd; /* /proc/PID */
	bool closed; /* a check found what makes it unsafe to ask anything inside of it */
	bool unfit; /* the same: it could not be looked at */
	bool stopped; /* by a signal, before we came */
	size_t nstopped; /* children that are */
	struct scan *scan; /* pages_list(); NULL: none */
	uint32_t pages_id; /* of its pages image; pages_dump_all() */
	int reading_fd; /* of a task that goes on while it is read: its memory; -1: none */
	bool left_busy; /* an earlier dumper died here and its agent is still on the way out */
	struct proc_stat stat;
	struct dump_thread *threads; /* same order as fz.threads */
	size_t nthreads;
	bool by_number_aside; /* what kinds ask by number alone (state_kind.by_number) is asked beside */
	uint64_t told_known; /* which numbers dump_thread.told has, where there is one: of TOLD() */
	struct proc_maps maps; /* all mappings, without the agent's */
	struct mm_dump *mm; /* what they will be in the images; arena memory */
	uint32_t files_id, vm_id, fs_id, sighand_id; /* equal numbers are one object */
	/* What kinds saw of it before it is asked (state_kind.look); arena memory. */
	struct proc_timer *timers;
	size_t ntimers;
	struct path_seen *cwd, *root; /* common/file/table.h */
	struct mm_seen *mm_seen; /* common/mm/mm.c */
	struct fd_stats *fd_stats; /* common/file/file.h; arena, NULL until asked for */
	unsigned kin; /* what it has from its parent: common/task/kin.h */
	bool vm_shared, fs_shared; /* with its parent, which stands for both in the images */
};

struct dump {
	const struct dump_opts *opts;
	const struct log *log;
	struct arena *arena; /* everything that lives until the end */
	struct arena *beside; /* the same, for the thread that works beside the main one, */
	struct arena *ahead_arena; /* and for the one that goes ahead of it: both may be there */
	struct image_store *store;
	struct file_table *files;
	struct tracker *tracker; /* of the rounds of a run; NULL: there is none */
	struct previous *previous; /* the dump before this one; NULL: none */
	struct mm_look *mm_look;
	struct alike *alike;
	struct fd_rows *fd_rows;
	struct mm_objects *objects; /* shared memory of all tasks; arena memory */
	struct dump_task **tasks; /* parents before their children, the root first */
	size_t ntasks;
	struct dump_task *task; /* the one that is being looked at: never a zombie */
	struct seccomp_images *seccomp;
	struct cgroup_sets *cgroups; /* common/task/cgroup.c */
	struct inetopt_fresh *fresh_sockets; /* arena memory */
	struct sock_lacks *sock_lacks; /* common/sock/sockopt.c; arena memory */
	struct inet_diags *inet_diags; /* common/sock/inetdiag.c; arena memory */
	struct tcp_dump *tcp; /* connections; NULL when there is none */
	struct listeners *listeners; /* NULL: nobody listens */
	char run_id[37];      /* dump_run_id() */
	struct ahead *ahead; /* while tasks are asked; NULL when nobody reads ahead */
	int *ipc_back; /* our own IPC namespace while we are in that of the tree; NULL: there is but one (common/ipc) */
	struct own_links *own_links; /* common/dump/identity.c */
	struct dump_known *known; /* dump_recall() */
	struct worker *worker; /* of two that dump pages of several tasks; NULL: there is but one */
	struct pages_sets *sets; /* of a stream: pages that are to be sent; NULL when there are none */
	struct dump_stats stats;
	struct findings *found; /* of a check, which goes on where a dump gives up; else NULL */
};

/*
 * What is the same for all tasks and threads of a dump, found out once: size zeroed bytes that are known by key (any address
 * of the caller's own). *fresh: they are to be filled. Whoever works beside the dump's own thread has a copy of d, and knows his own.
 */
void *dump_recall(struct dump *d, const void *key, size_t size, bool *fresh);

/* The name of this dump: a random UUID, made when it is first asked for. */
const char *dump_run_id(struct dump *d);
/* In a check: takes down what is wrong with d->task and gives 0, so that the caller goes on. In a dump: ret. Also beside other
 * work, which a check does not do. */
int dump_note(const struct dump *d, int ret, struct err *err);
#define THREAD_PATH_MAX 64
/*
 * Below task.proc_fd, a file that means one thread: what the directory of the process has is that of the first thread that lives,
 * and to go through task/TID takes three more entries of the kernel's cache. Not for stat, which adds up threads.
 */
void dump_thread_path(const struct dump_task *t, pid_t tid, const char *name, char path[THREAD_PATH_MAX]);
/*
 * Whether no seccomp filter looks at the calls of the thread that is asked for the whole process: then it is asked what /proc tells,
 * too, for a tenth of the time.
 */
bool dump_calls_freely(const struct dump *d);
/* A pidfd of the task for pidfd_getfd(2): the caller's, or -1 with errno. */
int dump_task_pidfd(const struct dump_task *t);
/* Calls fn for each living task, which is d->task then. The first error is that task's. */
int dump_each_task(struct dump *d, int (*fn)(struct dump *d, struct err *err), struct err *err);
/* All tasks go on, stop, or end. */
void dump_thaw(struct dump *d, enum thaw how);
/* Whether somebody keeps track of what the tasks write from this dump on. */
bool dump_stays_tracked(const struct dump *d);
/* To a stream: all images, and the pages that were listed. */
int dump_send(struct dump *d, struct err *err);
/* The living or dead task with this pid, NULL when it is not in the tree. */
struct dump_task *dump_find_task(const struct dump *d, pid_t pid);

/* One dump of several; tracker NULL: what was written between them is found by comparing. */
int dump_round(const struct dump_opts *opts, const struct log *log, struct tracker *tracker, struct dump_stats *stats,
	       struct err *err);
/* Pre-dumps into directories "iterate-N" of the images directory, each with what changed since the one before, until little is
 * left; then the dump, whose parent is the last of them. */
int dump_iterate(const struct dump_opts *opts, const struct log *log, struct dump_stats *stats, struct err *err);

/* The whole dump. On success the images are committed; the target runs, is stopped or is gone, as asked. On failure
 * no image is left and the target goes on unharmed. */
int dump_run(const struct dump_opts *opts, const struct log *log, struct dump_stats *stats, struct err *err);
/* Freezes the tree for a moment, looks at it as a dump does (but for its memory), and lets it go on: all that would make a
 * dump fail. No images are made. 0 when it could be done, whatever was found. */
int dump_check(const struct dump_opts *opts, const struct log *log, struct findings *found, struct err *err);

#endif
