/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one reader of /proc. Every parser takes text (pure, golden-tested, fuzzed) and has a thin wrapper that reads the file
 * relative to a descriptor of /proc/PID, so that a directory of captured files serves as well.
 *
 * Parsers return 0, -EINVAL for text that no kernel writes, or -E2BIG beyond a limit; lines that a newer kernel may add are
 * skipped. Wrappers return a negative errno with err filled. Formats: fs/proc/{array,task_mmu,base,fd}.c, fs/proc_namespace.c.
 */
#ifndef CR_PROC_PROC_H
#define CR_PROC_PROC_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "common/base/arena.h"
#include "common/base/err.h"

/* Opens /proc/PID. -ESRCH in err when it is gone. */
int proc_open(pid_t pid, int *fd, struct err *err);

/* ---- stat ---- */
struct proc_stat {
	pid_t pid, ppid, pgrp, session;
	char comm[64];	/* between the outermost parentheses; may hold any byte */
	char state;
	int tty_nr;
	pid_t tpgid;
	uint32_t flags; /* PF_*: 0x00200000 is PF_KTHREAD */
	int priority, nice, num_threads, exit_code, rt_priority, policy, exit_signal;
	uint64_t start_time, rss; /* pages */
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
};
int proc_parse_stat(const char *text, struct proc_stat *out);
int proc_stat(int proc_fd, const char *path /* "stat" or "task/N/stat" */, struct proc_stat *out, struct err *err);

/* ---- status ---- */
#define PROC_GROUPS_MAX 65536
struct proc_status {
	char comm[64]; /* unescaped */
	char state;
	pid_t tgid, pid, ppid, tracer;
	uint32_t umask; bool has_umask;
	uint32_t uid[4], gid[4]; /* real, effective, saved, filesystem */
	uint32_t *groups; size_t ngroups; /* arena */
	pid_t nspid; /* in the innermost pid namespace */
	int nspid_depth; /* number of values in NSpid: 1 in the reader's own namespace */
	uint64_t sig_pnd, shd_pnd, sig_blk, sig_ign, sig_cgt; /* bit signo-1 */
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	int no_new_privs, seccomp, seccomp_filters;
	int thp_enabled; /* THP_enabled: -1 when absent */
	int threads;
	uint64_t vm_lck_kb;
};
int proc_parse_status(const char *text, struct arena *arena, struct proc_status *out);
int proc_status(int proc_fd, const char *path, struct arena *arena, struct proc_status *out, struct err *err);

/* ---- maps and smaps ---- */
struct proc_map {
	uint64_t start, end, pgoff; /* pgoff in bytes */
	bool read, write, exec, shared;
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	/* Arena; "" when none. \012 became a newline, and " (deleted)" stays and sets deleted. The kernel escapes no
	 * backslash, so a file whose real name holds "\012" or ends in " (deleted)" looks the same: who must be sure
	 * compares with /proc/PID/map_files. Equal names that follow each other share one string. */
	const char *name;
	bool deleted;
	/* from smaps, valid when has_flags: the two-letter words of VmFlags as a bit set, see proc_vmflag() */
	bool has_flags;
	uint64_t vmflags;
	uint64_t page_kb; /* KernelPageSize */
	uint32_t pkey;	  /* ProtectionKey; 0 where the processor has none */
	bool may_share; /* pages of it, or of swap, may be other processes' too */
	bool no_policy; /* for NUMA (mbind); false: not known */
};
struct proc_maps { struct proc_map *v; size_t n; };
/* One bit for each word that the kernel (fs/proc/task_mmu.c, show_smap_vma_flags) knows; any other word is VMF_unknown. */
#define PROC_VMFLAGS(X)                                                                                         \
	X(rd) X(wr) X(ex) X(sh) X(mr) X(mw) X(me) X(ms) X(gd) X(pf) X(lo) X(io) X(sr) X(rr) X(dc) X(de) X(lf) X(ac) \
	X(nr) X(ht) X(sf) X(wf) X(dd) X(sd) X(mm) X(hg) X(nh) X(mg) X(um) X(uw) X(mt) X(ui) X(ss) X(sl) X(dp) X(dw) \
	X(gu)
#define PROC_VMFLAG_ENUM(w) VMF_##w,
enum proc_vmflag { PROC_VMFLAGS(PROC_VMFLAG_ENUM) VMF_unknown };
#define VMF(x) (1ull << VMF_##x)
enum proc_vmflag proc_vmflag(char a, char b);
int proc_parse_maps(const char *text, struct arena *arena, struct proc_maps *out);
int proc_parse_smaps(const char *text, struct arena *arena, struct proc_maps *out);
int proc_maps(int proc_fd, struct arena *arena, struct proc_maps *out, struct err *err);
/* Only the executable ones, ascending; deleted is not told. Cheap however many others there are, where PROCMAP_QUERY
 * exists. */
int proc_exec_maps(int proc_fd, struct arena *arena, struct proc_maps *out, struct err *err);
/* That at addr, of /proc/PID/maps, but for what only smaps tells; a name like that of `before`, which may be NULL, is the same string. By
 * PROCMAP_QUERY, Linux 6.11. -errno, -ENOTTY before that. */
int proc_map_at(int maps_fd, uint64_t addr, struct arena *arena, const struct proc_map *before, struct proc_map *out);
/* Reading smaps walks page tables (cost grows with memory). Of more than enough mappings it gives up: *more, and out has none. */
int proc_smaps(int proc_fd, struct arena *arena, struct proc_maps *out, size_t enough, bool *more, struct err *err);

/* ---- fdinfo ---- */
struct proc_fdinfo {
	int64_t pos;
	uint32_t flags; /* octal word, O_CLOEXEC included */
	int mnt_id;   /* -1 when absent */
	uint64_t ino; /* 0 before Linux 5.14 */
	const char *text; /* whole text (arena): kinds parse their own lines (eventfd-count:, tfd:, ...) */
};
int proc_parse_fdinfo(const char *text, struct arena *arena, struct proc_fdinfo *out);
int proc_fdinfo(int proc_fd, int fd, struct arena *arena, struct proc_fdinfo *out, struct err *err);

/* ---- others ---- */
struct proc_limits { struct rlimit64 v[16]; }; /* index RLIMIT_*; from the text of limits: works where prlimit is refused */
int proc_parse_limits(const char *text, struct proc_limits *out);
int proc_limits(int proc_fd, struct proc_limits *out, struct err *err);

struct proc_timer { int id, signo; uint64_t sigev_value; int notify; /* SIGEV_* */ pid_t notify_tid; int clock; };
int proc_parse_timers(const char *text, struct arena *arena, struct proc_timer **v, size_t *n);
int proc_timers(int proc_fd, struct arena *arena, struct proc_timer **v, size_t *n, struct err *err);

struct proc_mount {
	int id, parent; uint32_t dev_major, dev_minor; const char *root, *point, *options, *fstype, *source, *super;
	const char *optional; /* "shared:1 master:2", "" when none */
};
int proc_parse_mountinfo(const char *text, struct arena *arena, struct proc_mount **v, size_t *n);
int proc_mountinfo(int proc_fd, struct arena *arena, struct proc_mount **v, size_t *n, struct err *err);

/* The numbers in a directory (fd and fdinfo ascending; task in the kernel's order, which is that of creation) or in
 * a text file of numbers (task/N/children, kernel's order). Arena array. Threads and descriptors that come and go meanwhile
 * may be seen or not: who needs them all repeats until nothing new appears. */
int proc_numbers(int proc_fd, const char *dir, struct arena *arena, int **v, size_t *n, struct err *err);
/* One small text file with a number in it (oom_score_adj, coredump_filter (hex), loginuid, timerslack_ns). */
int proc_number(int proc_fd, const char *path, int base, int64_t *out, struct err *err);

/* Reads proc_fd/path whole (malloc'ed, NUL-terminated, the caller's), at most max bytes. A task that is gone is always -ESRCH,
 * whatever the kernel says (ENOENT for a name below a dead /proc/PID); a name that a living task lacks is -ENOENT. */
int proc_read(int proc_fd, const char *path, size_t max, char **text, struct err *err);
/* For files that the kernel makes as a whole: read_piece_at(). Not for lists (maps, timers, children). */
int proc_read_piece(int proc_fd, const char *path, size_t max, char **text, struct err *err);

#endif
