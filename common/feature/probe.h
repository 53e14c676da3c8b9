/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the probes share; private to this folder. All of it runs in the forked child of feature_probe(). */
#ifndef CR_FEATURE_PROBE_H
#define CR_FEATURE_PROBE_H

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "common/feature/feature.h"

struct probe {
	enum feature_state state;
	char why[FEATURE_WHY_MAX];
};

typedef void probe_fn(struct probe *p, int arg);

#define NO_CAP (-1)

void probe_ok(struct probe *p);
void probe_detail(struct probe *p, const char *fmt, ...) printf_like(2, 3); /* ok, with a detail */
void probe_missing(struct probe *p, const char *fmt, ...) printf_like(2, 3);
void probe_unknown(struct probe *p, const char *fmt, ...) printf_like(2, 3);
/*
 * Judges the errno with which `what` failed. cap and alt name the capability of which one is enough (NO_CAP for none). A
 * seccomp filter can answer with any errno, so under one a missing system call is only unknown.
 */
void probe_errno(struct probe *p, int errnum, int cap, int alt, const char *what);
bool capability_held(int cap); /* in the effective set */

/*
 * Leaves the namespaces of the host for new ones (CLONE_NEW*); a new mount namespace passes nothing on. False and judged when
 * that is not possible.
 */
bool probe_unshare(struct probe *p, int flags);
/* The root of a new empty tmpfs that is mounted nowhere and goes with the descriptor; -1 and errno. */
int scratch_fs(void);
/* The same, attached over the root of this mount namespace, which must be an own one: a place for mounts that paths do not see. */
int scratch_mount(struct probe *p);
/* For what common/proc has failed with: unknown, because it says nothing of the feature. */
void probe_proc_error(struct probe *p, const struct err *err);
/* Reads a small file of /proc; NULL and judged on failure. malloc'ed. */
char *probe_read(struct probe *p, const char *path);

/* A child that sleeps until it is killed; -1 and judged when it cannot be made. It shares nothing but inherited state. */
pid_t target_start(struct probe *p);
/* The same, seized with these PTRACE_O_ options and stopped by PTRACE_INTERRUPT. */
pid_t target_seize(struct probe *p, unsigned long options);
/* The same after setup() has returned true in the child. */
pid_t target_seize_after(struct probe *p, bool (*setup)(void), unsigned long options);
/* Kills and reaps; safe for -1. */
void target_end(pid_t *pid);
#define cleanup_target cleanup(target_end)

/* One fresh private anonymous page, touched; NULL and judged on failure. Dies with the child. */
void *probe_page(struct probe *p, int prot);

/* The probes; what the table gives them as arg is said where they are. */
extern probe_fn probe_ptrace_seize, probe_peeksiginfo, probe_sigmask, probe_xsave, probe_rseq_conf, probe_process_vm,
	probe_pidfd_getfd, probe_kcmp, probe_kcmp_epoll, probe_mem_write, probe_seccomp_suspend, probe_seccomp_filters,
	probe_breakpoints, probe_set_syscall_info;
extern probe_fn probe_pagemap_scan, probe_guard_pages, probe_pagemap_guard, probe_soft_dirty, probe_procmap_query,
	probe_uffd, probe_wp_async, probe_mseal, probe_pkeys, probe_map_files, probe_mm_map, probe_set_exe, probe_vdso_move, probe_map_vdso,
	probe_memfd, probe_process_madvise, probe_aio_remap, probe_fixed_noreplace, probe_bpf_iter;
extern probe_fn probe_set_tid, probe_timer_ids, probe_proc_timers, probe_proc_children, probe_membarrier, probe_loginuid,
	probe_timerfd, probe_fdinfo_lock, probe_mnt_id, probe_tmpfile, probe_openat2, probe_namespace, probe_amx,
	probe_shadow_stack, probe_landlock, probe_io_uring, probe_seccomp, probe_capability;
/* system.c: calls and files that an option of the kernel's configuration stands for */
extern probe_fn probe_eventfd, probe_epoll, probe_file_handles, probe_inotify, probe_fanotify, probe_sysvipc_sysctl,
	probe_controller, probe_binfmt_misc, probe_nspid, probe_apparmor;
enum { CONTROLLER_MEMORY, CONTROLLER_DEVICES };
/* mount.c */
extern probe_fn probe_statmount, probe_autofs, probe_set_group, probe_overlayfs, probe_nested;
/* net.c, netlink.c */
enum { SOCKOPT_BUF_LOCK, SOCKOPT_IPV6_FREEBIND };
enum { DIAG_UNIX, DIAG_TCP, DIAG_UDP, DIAG_RAW, DIAG_PACKET, DIAG_NETLINK };
enum { LINK_BRIDGE, LINK_MACVLAN };
extern probe_fn probe_sockopt, probe_tcp_repair, probe_half_closed, probe_tcp_waiting, probe_tun, probe_tun_ns, probe_sk_ns,
	probe_unix_file, probe_ipt_legacy, probe_xt_mark;
extern probe_fn probe_diag, probe_nsid, probe_external_ns, probe_link_nsid, probe_new_ifindex, probe_link, probe_nftables;

#endif
