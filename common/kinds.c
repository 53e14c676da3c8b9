/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of kinds. Order matters twice: the first kind of files that matches takes a description, and steps of one
 * phase run in the order in which the kinds stand here.
 */
#include "common/kinds.h"

#include "common/file/file.h"
#include "common/sock/inet.h"
#include "common/mm/mm.h"

extern const struct state_kind task_core_kind, thread_core_kind, session_kind, personality_kind, sigaction_kind,
	sigqueue_shared_kind, sigqueue_kind, sigaltstack_kind, comm_kind, tid_address_kind, robust_list_kind, rseq_kind,
	itimer_kind, posix_timer_kind, rlimit_kind, sched_kind, affinity_kind, mempolicy_kind, ioprio_kind, timerslack_kind,
	creds_kind, pdeath_sig_kind, child_subreaper_kind, oom_score_adj_kind, coredump_filter_kind, loginuid_kind, membarrier_kind,
	prctl_kind, arch_prctl_kind, arch_ldt_kind, seccomp_task_kind, seccomp_kind, cgroup_kind, controlling_tty_kind, waits_kind,
	job_kind, tty_cloexec_kind, keyring_kind;

const struct state_kind *const state_kinds[] = {
	/* Frames first: all others fill what these make and check. */
	&task_core_kind,
	&sigaction_kind, /* before the registers: whether a call is repeated depends on the handler */
	&thread_core_kind,
	&job_kind,
	&session_kind,
	&cgroup_kind, /* early: memory is charged to the group that a task is in */
	&tty_cloexec_kind,
	&controlling_tty_kind, /* of a session */
	&personality_kind,
	&oom_score_adj_kind,
	&coredump_filter_kind,
	&loginuid_kind,
	&fs_kind,
	&mm_kind,
	&file_locks_kind,
	&rlimit_kind,
	&child_subreaper_kind,
	&membarrier_kind,
	&itimer_kind,
	&posix_timer_kind, /* creation needs privileges: before the credentials */
	&sigqueue_shared_kind,
	&comm_kind,
	&tid_address_kind,
	&robust_list_kind,
	&rseq_kind,
	&sigaltstack_kind,
	&affinity_kind,
	&mempolicy_kind,
	&ioprio_kind,
	&sched_kind,
	&timerslack_kind, /* after the policy: real-time threads have none */
	&creds_kind,
	&pdeath_sig_kind,
	&sigqueue_kind,
	&prctl_kind,
	&arch_prctl_kind,
	&arch_ldt_kind,
	&waits_kind,
	&keyring_kind,
	&seccomp_task_kind, /* last: it looks at what all others ask */
	&seccomp_kind,
	NULL,
};

extern const struct file_kind tun_kind, pidfd_kind, nsfile_kind, inotify_kind, fanotify_kind; /* common/file/fsnotify.c */
extern const struct file_kind memfd_file_kind;

const struct file_kind *const file_kinds[] = {
	&memfd_file_kind, /* before regular files, which it looks like */
	&fifo_kind,
	&pipe_kind,
	&eventfd_kind,
	&eventpoll_kind,
	&timerfd_kind,
	&signalfd_kind,
	&tun_kind,
	&pidfd_kind,
	&nsfile_kind,
	&inotify_kind,
	&fanotify_kind,
	&unixsk_kind,
	&inetsk_kind,
	&netlinksk_kind,
	&packetsk_kind,
	&tty_kind,
	&regfile_kind,
	NULL,
};
