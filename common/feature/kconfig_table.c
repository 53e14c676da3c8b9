/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of the kernel that are wanted. Menu paths as in Linux 6; old kernels have the same words at most places. */
#include <string.h>

#include "common/feature/kconfig.h"

#define REQ FEATURE_REQUIRED
#define EXTRA FEATURE_EXTRA

#define GENERAL "General setup > "
#define EXPERT GENERAL "Configure standard kernel features (expert users)"
#define NAMESPACES GENERAL "Namespaces support > "
#define CGROUPS GENERAL "Control Group support > "
#define NET "Networking support > Networking options > "
#define NETDEV "Device Drivers > Network device support > Network core driver support > "

static const struct kconfig_option table[] = {
	{ "CHECKPOINT_RESTORE", REQ, GENERAL "Checkpoint/restore support", "what the kernel has for this purpose",
	  "every dump and every restore", "prctl_mm_map", true, NULL, "PROC_FS" },
	{ "NAMESPACES", REQ, GENERAL "Namespaces support", "all kinds of namespaces", "containers", "pidns", false, NULL, "MULTIUSER" },
	{ "UTS_NS", REQ, NAMESPACES "UTS namespace", "host names of containers", "containers with a host name", "utsns", true, NULL,
	  "NAMESPACES" },
	{ "IPC_NS", REQ, NAMESPACES "IPC namespace", "System V IPC and message queues of containers",
	  "programs with System V IPC, containers", "ipcns", true, NULL, "NAMESPACES SYSVIPC" },
	{ "SYSVIPC_SYSCTL", REQ, GENERAL "System V IPC (and Sysctl support)", "limits of System V IPC", "IPC namespaces",
	  "sysvipc_sysctl", true, NULL, "SYSVIPC PROC_SYSCTL", true },
	{ "PID_NS", REQ, NAMESPACES "PID Namespaces", "pids of containers", "containers, restore under pids that are taken", "pidns", true,
	  NULL, "NAMESPACES" },
	{ "NET_NS", REQ, NAMESPACES "Network namespace", "network of containers", "containers with a network", "netns", true, NULL,
	  "NAMESPACES NET" },
	{ "FHANDLE", REQ, GENERAL "open by fhandle syscalls", "handles of files, which last when names change",
	  "programs that watch files with inotify or fanotify", "file_handles", true, NULL, NULL },
	{ "EVENTFD", REQ, EXPERT " > Enable eventfd() system call", "counters that are files", "programs that use eventfd",
	  "eventfd", true, NULL, NULL },
	{ "EPOLL", REQ, EXPERT " > Enable eventpoll support", "waiting for many files", "programs that use epoll", "epoll", true, NULL,
	  NULL },
	{ "UNIX_DIAG", REQ, NET "UNIX: socket monitoring interface", "lists unix sockets", "programs with unix sockets", "unix_diag",
	  true, "unix_diag", "NET UNIX" },
	{ "INET_DIAG", REQ, NET "TCP/IP networking > INET: socket monitoring interface", "lists TCP sockets",
	  "programs with TCP sockets", "inet_diag", true, "inet_diag", "NET INET" },
	{ "INET_UDP_DIAG", REQ, NET "TCP/IP networking > UDP: socket monitoring interface", "lists UDP sockets",
	  "programs with UDP sockets", "udp_diag", true, "udp_diag", "NET INET INET_DIAG" },
	{ "PACKET_DIAG", REQ, NET "Packet: sockets monitoring interface", "lists packet sockets", "programs with packet sockets",
	  "packet_diag", true, "af_packet_diag", "NET PACKET" },
	{ "NETLINK_DIAG", REQ, NET "NETLINK: socket monitoring interface", "lists netlink sockets", "programs with netlink sockets",
	  "netlink_diag", true, "netlink_diag", "NET" },
	{ "NETFILTER_XT_MARK", REQ,
	  NET "Network packet filtering framework (Netfilter) > Core Netfilter Configuration > nfmark target and match support",
	  "marks packets that may pass", "holding TCP connections by iptables", "xt_mark", true, "xt_mark",
	  "NET INET NETFILTER NETFILTER_ADVANCED NETFILTER_XTABLES" },
	{ "TUN", REQ, NETDEV "Universal TUN/TAP device driver support", "TUN and TAP devices", "programs and containers with such devices",
	  "tun", true, "tun", "NET INET NETDEVICES NET_CORE" },

	{ "INOTIFY_USER", EXTRA, "File systems > Inotify support for userspace", "watches on files", "programs that use inotify",
	  "inotify", true, NULL, NULL },
	{ "FANOTIFY", EXTRA, "File systems > Filesystem wide access notification", "watches on file systems",
	  "programs that use fanotify", "fanotify", true, NULL, NULL },
	{ "MEMCG", EXTRA, CGROUPS "Memory controller", "memory limits", "containers with memory limits", "memcg", true, NULL, "CGROUPS" },
	{ "CGROUP_DEVICE", EXTRA, CGROUPS "Device controller", "rules for devices", "containers with such rules", "cgroup_device", true,
	  NULL, "CGROUPS" },
	{ "MACVLAN", EXTRA, NETDEV "MAC-VLAN support", "MACVLAN devices", "containers with such devices", "macvlan", true, "macvlan",
	  "NET INET NETDEVICES NET_CORE" },
	{ "BRIDGE", EXTRA, NET "802.1d Ethernet Bridging", "bridges", "containers with bridges inside", "bridge", true, "bridge",
	  "NET INET" },
	{ "BINFMT_MISC", EXTRA, "Executable file formats > Kernel support for MISC binaries", "formats of programs",
	  "containers with formats of their own", "binfmt_misc", true, "binfmt_misc", NULL },
	{ "IA32_EMULATION", EXTRA, "Binary Emulations > IA32 Emulation", "32-bit programs", "32-bit programs", "compat_cr", false, NULL,
	  NULL },
	{ "MEM_SOFT_DIRTY", EXTRA, "Memory Management options > Track memory changes", "tells written pages from others",
	  "incremental dumps, unless by write protection", "mem_dirty_track", true, NULL, "CHECKPOINT_RESTORE PROC_FS" },
	{ "USERFAULTFD", EXTRA, "Memory Management options > Enable userfaultfd() system call", "brings memory when it is touched",
	  "lazy migration", "uffd", true, NULL, NULL },

	/* In old kernels CHECKPOINT_RESTORE has no prompt without the first; the second sets the first. */
	{ "EXPERT", REQ, EXPERT, "shows options that are hidden otherwise", "choosing CHECKPOINT_RESTORE on old kernels", NULL, false,
	  NULL, NULL },
	{ "EMBEDDED", REQ, GENERAL "Embedded system", "another way to set EXPERT", "nothing when EXPERT is set", NULL, false, NULL, NULL },
};

const struct kconfig_option *kconfig_table(size_t *n)
{
	*n = ARRAY_SIZE(table);
	return table;
}

const struct kconfig_option *kconfig_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}
