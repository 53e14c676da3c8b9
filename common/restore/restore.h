/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole restore, for bin/cr-restore and later callers. */
#ifndef CR_RESTORE_RESTORE_H
#define CR_RESTORE_RESTORE_H

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/sock/tcp_normal.h"
#include "common/task/cgroup_mode.h"

struct findings; /* common/base/findings.h */
struct externals; /* common/file/external.h */
struct actions; /* common/base/action.h */
struct preflight_ahead; /* common/restore/inner.h */

struct restore_opts {
	const char *images_dir; /* -D */
	int stream;		/* descriptor that the images come from; -1: from images_dir */
	const char *work_dir;	/* -W, images_dir by default */
	bool sibling;		/* -S: the tree becomes our sibling (clone3 CLONE_PARENT) */
	bool leave_stopped;	/* -s: the tree is left in SIGSTOP */
	enum cgroups_mode cgroups;
	bool auto_dedup; /* --auto-dedup: pages are given back to the file system when the tasks run */
	bool link_remap;	/* takes the names away that the dump gave to files */
	bool file_locks;	/* --file-locks */
	bool tcp_established, tcp_close;
	bool network_lock; /* not --network-lock skip */
	bool shell_job;		/* join our session instead of the dumped one */
	bool foreground; /* standard input is our terminal, in whose foreground we are: the job may have it */
	bool skip_file_rwx_check;
	bool validate_size_only; /* --file-validation=filesize */
	bool plan_only;		/* --plan: print the plan to `out` and change nothing */
	FILE *out;
	bool progress;
	/* Capabilities (1 << CAP_*) to do without; restore_run() adds those that this process has not. */
	uint64_t lacks;
	struct tcp_normal tcp_normal; /* of this host; filled by restore_run() */
	bool merging; /* this process has its memory merged (PR_SET_MEMORY_MERGE), and so has what it makes; filled by restore_run() */
	char executable[4096]; /* of this process, "" when it is not known; filled by restore_run() */
	uint64_t unique; /* part of temporary names; restore_run() gives each restore its own */
	bool detach; /* -d: the caller exits when the tree runs, and is nobody's parent then */
	const struct externals *given; /* --external and --inherit-fd; may be NULL */
	struct actions *actions; /* who is told of the stages; may be NULL */
	struct preflight_ahead *ahead; /* what is looked at while it is planned; restore_run()'s own */
};

struct restore_stats { uint64_t restore_us, forking_us, memory_us, total_us, pages_restored, bytes_read; };

/*
 * All or nothing. On success the tree runs and *root is its pid (0 for --plan). On failure nothing that was made is
 * left, and err names task, step and errno.
 */
int restore_run(const struct restore_opts *opts, const struct log *log, pid_t *root, struct restore_stats *stats,
		struct err *err);
/* All that would make a restore fail, as far as it can be told before anything is made; makes nothing. */
int restore_check(const struct restore_opts *opts, const struct log *log, struct findings *found, struct err *err);

#endif
