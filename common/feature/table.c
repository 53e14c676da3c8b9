/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of features: one row each. A new one needs a probe (see probe.h) and a row, nothing else. */
#include <asm/prctl.h>
#include <linux/sched.h>
#include <sys/mman.h>

#include "common/feature/probe.h"

#define CR_KERNEL "a kernel with CONFIG_CHECKPOINT_RESTORE"

#define REQ FEATURE_REQUIRED
#define EXTRA FEATURE_EXTRA
#define NEW FEATURE_EXPERIMENTAL

static const struct feature table[] = {
	/* ---- dump ---- */
	{ "ptrace_seize", "stops threads without a trace", "a kernel and a seccomp profile with ptrace", REQ, GROUP_DUMP,
	  probe_ptrace_seize, 0 },
	{ "ptrace_peeksiginfo", "reads pending signals", "Linux 3.10", REQ, GROUP_DUMP, probe_peeksiginfo, 0 },
	{ "ptrace_sigmask", "reads and sets signal masks", "Linux 3.11", REQ, GROUP_DUMP, probe_sigmask, 0 },
	{ "xsave", "reads and sets the vector registers", NULL, REQ, GROUP_DUMP, probe_xsave, 0 },
	{ "get_rseq_conf", "finds restartable sequences, which every new glibc uses", "Linux 5.13 with CONFIG_RSEQ", REQ,
	  GROUP_DUMP, probe_rseq_conf, 0 },
	{ "process_vm_readv", "reads memory of a process", "CONFIG_CROSS_MEMORY_ATTACH", REQ, GROUP_DUMP, probe_process_vm, 0 },
	{ "proc_mem_write", "lends a stopped thread our code", "a kernel with proc_mem.force_override=ptrace or =always", REQ, GROUP_DUMP,
	  probe_mem_write, 0 },
	{ "pidfd_getfd", "takes hold of open files", "Linux 5.6", REQ, GROUP_DUMP, probe_pidfd_getfd, 0 },
	{ "kcmp", "tells shared objects from equal ones", "CONFIG_KCMP, or " CR_KERNEL, REQ, GROUP_DUMP, probe_kcmp, 0 },
	{ "map_files", "opens mapped files, deleted ones too", CR_KERNEL, REQ, GROUP_DUMP, probe_map_files, 0 },
	{ "mnt_id", "tells the mount of an open file", "Linux 3.15", REQ, GROUP_DUMP, probe_mnt_id, 0 },
	{ "proc_timers", "lists POSIX timers", CR_KERNEL, REQ, GROUP_DUMP, probe_proc_timers, 0 },
	{ "proc_children", "lists children", "CONFIG_PROC_CHILDREN", EXTRA, GROUP_DUMP, probe_proc_children, 0 },
	{ "eventfd", "counters that are files", "CONFIG_EVENTFD", EXTRA, GROUP_DUMP, probe_eventfd, 0 },
	{ "epoll", "waiting for many files", "CONFIG_EPOLL", EXTRA, GROUP_DUMP, probe_epoll, 0 },
	{ "file_handles", "finds the file that is watched", "CONFIG_FHANDLE", EXTRA, GROUP_DUMP, probe_file_handles, 0 },
	{ "inotify", "watches on files", "CONFIG_INOTIFY_USER", EXTRA, GROUP_DUMP, probe_inotify, 0 },
	{ "fanotify", "watches on file systems", "CONFIG_FANOTIFY", EXTRA, GROUP_DUMP, probe_fanotify, 0 },
	{ "sysvipc_sysctl", "limits of System V IPC", "CONFIG_SYSVIPC and CONFIG_SYSCTL", EXTRA, GROUP_CONTAINER,
	  probe_sysvipc_sysctl, 0 },
	{ "kcmp_epoll", "tells which file an epoll instance watches", CR_KERNEL, EXTRA, GROUP_DUMP, probe_kcmp_epoll, 0 },
	{ "fdinfo_lock", "lists file locks", "Linux 4.1", EXTRA, GROUP_DUMP, probe_fdinfo_lock, 0 },
	{ "pidfd_store", "tells a process from a later one with its pid", "Linux 5.6", EXTRA, GROUP_DUMP, probe_pidfd_getfd, 0 },
	{ "membarrier_registrations", "keeps membarrier registrations", "Linux 6.3", EXTRA, GROUP_DUMP, probe_membarrier, 0 },
	{ "seccomp_filters", "reads seccomp filters", CR_KERNEL, EXTRA, GROUP_DUMP, probe_seccomp_filters, 0 },
	{ "seccomp_suspend", "lends threads below a seccomp filter our code", CR_KERNEL, EXTRA, GROUP_DUMP,
	  probe_seccomp_suspend, 0 },
	{ "breakpoints", "stops threads at an address", NULL, NEW, GROUP_DUMP, probe_breakpoints, 0 },
	{ "ptrace_set_syscall_info", "changes a system call on its way", "Linux 6.16", NEW, GROUP_DUMP, probe_set_syscall_info, 0 },

	/* ---- restore ---- */
	{ "clone3_set_tid", "gives tasks their pids", "Linux 5.5", REQ, GROUP_RESTORE, probe_set_tid, 0 },
	{ "process_vm_writev", "fills memory of a process", "CONFIG_CROSS_MEMORY_ATTACH", REQ, GROUP_RESTORE, probe_process_vm, 1 },
	{ "prctl_mm_map", "sets heap, stack and argument addresses", CR_KERNEL, REQ, GROUP_RESTORE, probe_mm_map, 0 },
	{ "prctl_set_exe", "sets /proc/PID/exe", CR_KERNEL, REQ, GROUP_RESTORE, probe_set_exe, 0 },
	{ "vdso_mremap", "moves the vdso to where it was", "Linux 4.8", REQ, GROUP_RESTORE, probe_vdso_move, 0 },
	{ "map_fixed_noreplace", "maps without overwriting", "Linux 4.17", REQ, GROUP_RESTORE, probe_fixed_noreplace, 0 },
	{ "memfd", "holds shared anonymous memory", "CONFIG_MEMFD_CREATE", REQ, GROUP_RESTORE, probe_memfd, 0 },
	{ "timer_cr_ids", "gives POSIX timers their ids", "Linux 6.15", EXTRA, GROUP_RESTORE, probe_timer_ids, 0 },
	{ "can_map_vdso", "maps a vdso that is not there", CR_KERNEL, EXTRA, GROUP_RESTORE, probe_map_vdso, ARCH_MAP_VDSO_64 },
	{ "timerfd", "gives timer descriptors their expirations", CR_KERNEL, EXTRA, GROUP_RESTORE, probe_timerfd, 0 },
	{ "loginuid", "keeps the login uid of audit", "CONFIG_AUDIT", EXTRA, GROUP_RESTORE, probe_loginuid, 0 },
	{ "o_tmpfile", "makes deleted files unseen by others", "a file system with O_TMPFILE", EXTRA, GROUP_RESTORE,
	  probe_tmpfile, 0 },
	{ "openat2", "opens paths that cannot lead astray", "Linux 5.6", EXTRA, GROUP_RESTORE, probe_openat2, 0 },
	{ "aio_remap", "moves AIO rings", "Linux 3.19 with CONFIG_AIO", EXTRA, GROUP_RESTORE, probe_aio_remap, 0 },
	{ "compat_cr", "32-bit programs", "CONFIG_IA32_EMULATION and CONFIG_CHECKPOINT_RESTORE", NEW, GROUP_RESTORE,
	  probe_map_vdso, ARCH_MAP_VDSO_32 },
	{ "amx", "programs that use AMX tiles", "a processor with AMX", NEW, GROUP_RESTORE, probe_amx, 0 },
	{ "shadow_stack", "programs with shadow stacks", "a processor and a kernel with user shadow stacks", NEW, GROUP_RESTORE,
	  probe_shadow_stack, 0 },
	{ "seccomp", "programs with seccomp filters", "CONFIG_SECCOMP_FILTER", EXTRA, GROUP_RESTORE, probe_seccomp, 0 },
	{ "landlock", "programs that confine themselves", "CONFIG_SECURITY_LANDLOCK", NEW, GROUP_RESTORE, probe_landlock, 0 },
	{ "io_uring", "programs that use io_uring", "CONFIG_IO_URING, kernel.io_uring_disabled=0", NEW, GROUP_RESTORE,
	  probe_io_uring, 0 },

	/* ---- memory ---- */
	{ "pagemap_scan", "finds the pages to store quickly", "Linux 6.7", EXTRA, GROUP_MEMORY, probe_pagemap_scan, 0 },
	{ "guard_install", "guard regions", "Linux 6.13", EXTRA, GROUP_MEMORY, probe_guard_pages, 0 },
	{ "pagemap_scan_guard_pages", "finds guard regions", "Linux 6.15", EXTRA, GROUP_MEMORY, probe_pagemap_guard, 0 },
	{ "mseal", "sealed mappings", "Linux 6.10", EXTRA, GROUP_MEMORY, probe_mseal, 0 },
	{ "pkeys", "protection keys", "a processor with PKU, Linux 4.9", EXTRA, GROUP_MEMORY, probe_pkeys, 0 },
	{ "memfd_hugetlb", "huge pages in a memfd", "CONFIG_HUGETLBFS", EXTRA, GROUP_MEMORY, probe_memfd, MFD_HUGETLB },
	{ "procmap_query", "looks at single mappings quickly", "Linux 6.11", NEW, GROUP_MEMORY, probe_procmap_query, 0 },
	{ "bpf_iter_vma", "reads flags of many mappings quickly", "Linux 6.1 with CONFIG_DEBUG_INFO_BTF", EXTRA, GROUP_MEMORY,
	  probe_bpf_iter, 0 },
	{ "process_madvise", "advises on memory of a process", "Linux 5.10", NEW, GROUP_MEMORY, probe_process_madvise, 0 },

	/* ---- incremental, lazy ---- */
	{ "mem_dirty_track", "tells written pages by the soft-dirty bit", "CONFIG_MEM_SOFT_DIRTY", EXTRA, GROUP_INCREMENTAL,
	  probe_soft_dirty, 0 },
	{ "uffd-wp-async", "tells written pages by write protection", "Linux 6.7 with CONFIG_USERFAULTFD", EXTRA,
	  GROUP_INCREMENTAL, probe_wp_async, 0 },
	{ "uffd", "brings memory when it is touched", "CONFIG_USERFAULTFD", EXTRA, GROUP_LAZY, probe_uffd, 0 },
	{ "uffd-noncoop", "the same for programs that fork and unmap", "Linux 4.11 with CONFIG_USERFAULTFD", EXTRA, GROUP_LAZY,
	  probe_uffd, 1 },

	/* ---- containers ---- */
	{ "mntns", "mount namespaces", "CONFIG_NAMESPACES", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWNS },
	{ "utsns", "host name namespaces", "CONFIG_UTS_NS", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWUTS },
	{ "ipcns", "IPC namespaces", "CONFIG_IPC_NS", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWIPC },
	{ "pidns", "pid namespaces", "CONFIG_PID_NS", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWPID },
	{ "netns", "network namespaces", "CONFIG_NET_NS", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWNET },
	{ "userns", "user namespaces", "CONFIG_USER_NS", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWUSER },
	{ "cgroupns", "cgroup namespaces", "CONFIG_CGROUPS", EXTRA, GROUP_CONTAINER, probe_namespace, CLONE_NEWCGROUP },
	{ "timens", "clocks that go on where they stood", "CONFIG_TIME_NS", EXTRA, GROUP_CONTAINER, probe_namespace,
	  CLONE_NEWTIME },
	{ "statmount", "lists mounts of any namespace", "Linux 6.8", NEW, GROUP_CONTAINER, probe_statmount, 0 },
	{ "nested_ns", "namespaces inside each other", "Linux 4.9 with CONFIG_PID_NS", EXTRA, GROUP_CONTAINER, probe_nested, 0 },
	{ "ns_pid", "tells the pids of a task in all its namespaces", "Linux 4.1", EXTRA, GROUP_CONTAINER, probe_nspid, 0 },
	{ "move_mount_set_group", "mounts that share their events", "Linux 5.15", EXTRA, GROUP_CONTAINER, probe_set_group, 0 },
	{ "overlayfs_maps", "programs that are mapped from an overlay", "Linux 6.8 with CONFIG_OVERLAY_FS", EXTRA, GROUP_CONTAINER,
	  probe_overlayfs, 0 },
	{ "autofs", "mounts that are made when they are needed", "Linux 4.10 with CONFIG_AUTOFS_FS", EXTRA, GROUP_CONTAINER,
	  probe_autofs, 0 },
	{ "memcg", "memory limits of a cgroup", "CONFIG_MEMCG", EXTRA, GROUP_CONTAINER, probe_controller, CONTROLLER_MEMORY },
	{ "cgroup_device", "rules for devices of a cgroup", "CONFIG_CGROUP_DEVICE", EXTRA, GROUP_CONTAINER, probe_controller,
	  CONTROLLER_DEVICES },
	{ "binfmt_misc", "formats of programs", "CONFIG_BINFMT_MISC", EXTRA, GROUP_CONTAINER, probe_binfmt_misc, 0 },
	{ "apparmor_stacking", "AppArmor profiles on top of each other", "Linux 4.13 with AppArmor", NEW, GROUP_CONTAINER,
	  probe_apparmor, 0 },

	/* ---- TCP ---- */
	{ "tcp_repair", "takes over open TCP connections", "CONFIG_INET", EXTRA, GROUP_TCP, probe_tcp_repair, 0 },
	{ "tcp_half_closed", "takes over connections that one side has closed", "Linux 4.6", EXTRA, GROUP_TCP, probe_half_closed, 0 },
	{ "tcp_waiting", "takes over connections that wait to be accepted",
	  "Linux 6.9 with CONFIG_SYN_COOKIES, CONFIG_BPF_STREAM_PARSER and CONFIG_DEBUG_INFO_BTF, and net.ipv4.tcp_syncookies", EXTRA,
	  GROUP_TCP, probe_tcp_waiting, 0 },
	{ "inet_diag", "lists TCP sockets", "CONFIG_INET_DIAG", EXTRA, GROUP_TCP, probe_diag, DIAG_TCP },
	{ "sockopt_buf_lock", "keeps socket buffer sizes", "Linux 5.14", EXTRA, GROUP_TCP, probe_sockopt, SOCKOPT_BUF_LOCK },
	{ "xt_mark", "lets the packets of the restore pass while a connection is held", "CONFIG_NETFILTER_XT_MARK", EXTRA, GROUP_TCP,
	  probe_xt_mark, 0 },
	{ "has_ipt_legacy", "holds connections by iptables' own tables", "CONFIG_IP_NF_FILTER", EXTRA, GROUP_TCP,
	  probe_ipt_legacy, 0 },
	{ "nftables", "packet filters of nftables", "CONFIG_NF_TABLES", EXTRA, GROUP_TCP, probe_nftables, 0 },
	{ "network_lock_nftables", "holds connections by nftables", "Linux 5.6 with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET", EXTRA,
	  GROUP_TCP, probe_nftables, 1 },

	/* ---- sockets and devices ---- */
	{ "unix_diag", "lists unix sockets", "CONFIG_UNIX_DIAG", EXTRA, GROUP_NETWORK, probe_diag, DIAG_UNIX },
	{ "udp_diag", "lists UDP sockets", "CONFIG_INET_UDP_DIAG", EXTRA, GROUP_NETWORK, probe_diag, DIAG_UDP },
	{ "packet_diag", "lists packet sockets", "CONFIG_PACKET_DIAG", EXTRA, GROUP_NETWORK, probe_diag, DIAG_PACKET },
	{ "netlink_diag", "lists netlink sockets", "CONFIG_NETLINK_DIAG", EXTRA, GROUP_NETWORK, probe_diag, DIAG_NETLINK },
	{ "net_diag_raw", "lists raw sockets", "Linux 4.10 with CONFIG_INET_RAW_DIAG", EXTRA, GROUP_NETWORK, probe_diag, DIAG_RAW },
	{ "sk_ns", "tells the network namespace of a socket", "Linux 4.10", EXTRA, GROUP_NETWORK, probe_sk_ns, 0 },
	{ "sk_unix_file", "finds the file of a bound unix socket", "Linux 4.13", EXTRA, GROUP_NETWORK, probe_unix_file, 0 },
	{ "ipv6_freebind", "binds to IPv6 addresses before they are up", "Linux 4.15", EXTRA, GROUP_NETWORK, probe_sockopt,
	  SOCKOPT_IPV6_FREEBIND },
	{ "tun", "TUN and TAP devices", "CONFIG_TUN", EXTRA, GROUP_NETWORK, probe_tun, 0 },
	{ "tun_ns", "tells the network namespace of a TUN device", "Linux 4.10 with CONFIG_TUN", EXTRA, GROUP_NETWORK, probe_tun_ns, 0 },
	{ "macvlan", "MACVLAN devices", "CONFIG_MACVLAN", EXTRA, GROUP_NETWORK, probe_link, LINK_MACVLAN },
	{ "bridge", "bridges", "CONFIG_BRIDGE", EXTRA, GROUP_NETWORK, probe_link, LINK_BRIDGE },
	{ "nsid", "gives network namespaces numbers", "Linux 4.0", EXTRA, GROUP_NETWORK, probe_nsid, 0 },
	{ "link_nsid", "looks at devices of other namespaces", "Linux 4.15", EXTRA, GROUP_NETWORK, probe_link_nsid, 0 },
	{ "newifindex", "gives a moved device its number", "Linux 5.13", EXTRA, GROUP_NETWORK, probe_new_ifindex, 0 },
	{ "external_net_ns", "joins a network namespace that is not restored", "Linux 4.0 with CONFIG_NET_NS", EXTRA, GROUP_NETWORK,
	  probe_external_ns, 0 },

	/* ---- privileges: each is wanted for something, and what is not needed need not be had ---- */
	{ "cap_checkpoint_restore", "pids, exe link and mapped files", NULL, REQ, GROUP_UNPRIVILEGED, probe_capability,
	  CAP_CHECKPOINT_RESTORE },
	{ "cap_sys_ptrace", "processes of other users", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SYS_PTRACE },
	{ "cap_kill", "stops and ends processes of other users", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_KILL },
	{ "cap_setuid", "user ids", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SETUID },
	{ "cap_setgid", "group ids", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SETGID },
	{ "cap_setpcap", "capability sets and securebits", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SETPCAP },
	{ "cap_dac_override", "files of other users", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_DAC_OVERRIDE },
	{ "cap_dac_read_search", "deleted files that are linked again", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability,
	  CAP_DAC_READ_SEARCH },
	{ "cap_chown", "owners of deleted files", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_CHOWN },
	{ "cap_sys_nice", "real-time scheduling and negative nice", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SYS_NICE },
	{ "cap_ipc_lock", "locked memory", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_IPC_LOCK },
	{ "cap_sys_chroot", "changed root directories", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SYS_CHROOT },
	{ "cap_sys_admin", "namespaces, mounts, seccomp", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_SYS_ADMIN },
	{ "cap_net_admin", "network devices, TCP repair", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_NET_ADMIN },
	{ "cap_fowner", "modes and times of files of other users", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_FOWNER },
	{ "cap_mknod", "device files of containers", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_MKNOD },
	{ "cap_net_raw", "raw and packet sockets", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_NET_RAW },
	{ "cap_audit_control", "the login uid of audit", NULL, EXTRA, GROUP_UNPRIVILEGED, probe_capability, CAP_AUDIT_CONTROL },
	{ "cap_sys_resource", "limits above the hard limit, lower oom_score_adj", NULL, NEW, GROUP_UNPRIVILEGED, probe_capability,
	  CAP_SYS_RESOURCE },
};

const struct feature *feature_table(size_t *n)
{
	*n = ARRAY_SIZE(table);
	return table;
}
