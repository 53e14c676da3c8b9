/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields of an RPC request (proto/rpc.proto, criu_opts) and their options: X("field", OPTION, kind, "form").
 * "a.b" is field b of message a. Every field of criu_opts has a row; a test compares.
 */
#ifndef CR_OPT_RPC_TABLE_H
#define CR_OPT_RPC_TABLE_H

enum opt_rpc_kind {
	RPC_PLAIN, /* the value as it is: booleans, numbers, strings, and each one of repeated strings */
	RPC_FORM,  /* a message: {x} in the form is its field x, <...> is left out when the fields in it are absent */
	RPC_WORDS, /* a number: the word of that index in the form, "a|b|c"; words that are empty mean nothing */
	RPC_BITS,  /* bits: the form is "bit word bit word ..." (bits in decimal); one value, joined with commas */
	RPC_FLAGS, /* the same, one value for each bit */
	RPC_FD,	   /* a descriptor of the asking process, by the path that it has there; negative: none */
	RPC_FDNUM, /* a descriptor by its number; negative: none */
	RPC_TRUE,  /* when it is true, or not empty, the option with the form as its value (NULL: without a value) */
	RPC_NONE,  /* no option: part of the conversation, not of the work; the form says what it is */
	RPC_LAST,  /* names the last layer */
};

#define OPT_RPC_TABLE(X)                                                                                               \
	X("images_dir_fd", IMAGES_DIR, RPC_FD, NULL)                                                                   \
	X("images_dir", IMAGES_DIR, RPC_PLAIN, NULL)                                                                   \
	X("pid", TREE, RPC_FDNUM, NULL)                                                                                \
	X("leave_running", LEAVE_RUNNING, RPC_PLAIN, NULL)                                                             \
	X("ext_unix_sk", EXT_UNIX_SK, RPC_TRUE, NULL)                                                                  \
	X("tcp_established", TCP_ESTABLISHED, RPC_PLAIN, NULL)                                                         \
	X("evasive_devices", EVASIVE_DEVICES, RPC_PLAIN, NULL)                                                         \
	X("shell_job", SHELL_JOB, RPC_PLAIN, NULL)                                                                     \
	X("file_locks", FILE_LOCKS, RPC_PLAIN, NULL)                                                                   \
	X("log_level", VERBOSITY, RPC_PLAIN, NULL)                                                                     \
	X("log_file", LOG_FILE, RPC_PLAIN, NULL)                                                                       \
	X("ps", PAGE_SERVER, RPC_TRUE, NULL)                                                                           \
	X("ps.address", ADDRESS, RPC_PLAIN, NULL)                                                                      \
	X("ps.port", PORT, RPC_PLAIN, NULL)                                                                            \
	X("ps.fd", PS_SOCKET, RPC_FDNUM, NULL)                                                                         \
	X("ps.pid", COUNT_, RPC_NONE, "part of an answer")                                                             \
	X("notify_scripts", COUNT_, RPC_NONE, "asks for a message at each stage")                                      \
	X("root", ROOT, RPC_PLAIN, NULL)                                                                               \
	X("parent_img", PREV_IMAGES_DIR, RPC_PLAIN, NULL)                                                              \
	X("track_mem", TRACK_MEM, RPC_PLAIN, NULL)                                                                     \
	X("auto_dedup", AUTO_DEDUP, RPC_PLAIN, NULL)                                                                   \
	X("work_dir_fd", WORK_DIR, RPC_FD, NULL)                                                                       \
	X("link_remap", LINK_REMAP, RPC_PLAIN, NULL)                                                                   \
	X("veths", VETH_PAIR, RPC_FORM, "{if_in}={if_out}")                                                            \
	X("cpu_cap", CPU_CAP, RPC_BITS, "1 fpu 2 cpu 4 ins 8 image")                                                   \
	X("force_irmap", FORCE_IRMAP, RPC_PLAIN, NULL)                                                                 \
	X("exec_cmd", EXEC_CMD, RPC_TRUE, NULL)                                                                        \
	X("ext_mnt", EXT_MOUNT_MAP, RPC_FORM, "{key}:{val}")                                                           \
	X("manage_cgroups", MANAGE_CGROUPS, RPC_TRUE, NULL)                                                            \
	X("manage_cgroups_mode", MANAGE_CGROUPS, RPC_WORDS, "ignore|none|props|soft|full|strict|soft")                 \
	X("cg_root", CGROUP_ROOT, RPC_FORM, "<{ctrl}:>{path}")                                                         \
	X("rst_sibling", RESTORE_SIBLING, RPC_PLAIN, NULL)                                                             \
	X("inherit_fd", INHERIT_FD, RPC_FORM, "fd[{fd}]:{key}")                                                        \
	X("auto_ext_mnt", EXTERNAL, RPC_TRUE, "mnt[]")                                                                 \
	X("ext_sharing", ENABLE_EXTERNAL_SHARING, RPC_PLAIN, NULL)                                                     \
	X("ext_masters", ENABLE_EXTERNAL_MASTERS, RPC_PLAIN, NULL)                                                     \
	X("skip_mnt", SKIP_MNT, RPC_PLAIN, NULL)                                                                       \
	X("enable_fs", ENABLE_FS, RPC_PLAIN, NULL)                                                                     \
	X("unix_sk_ino", EXT_UNIX_SK, RPC_FORM, "{inode}")                                                             \
	X("ghost_limit", GHOST_LIMIT, RPC_PLAIN, NULL)                                                                 \
	X("irmap_scan_paths", IRMAP_SCAN_PATH, RPC_PLAIN, NULL)                                                        \
	X("external", EXTERNAL, RPC_PLAIN, NULL)                                                                       \
	X("empty_ns", EMPTY_NS, RPC_FLAGS,                                                                             \
	  "131072 mnt 33554432 cgroup 67108864 uts 134217728 ipc 268435456 user 536870912 pid 1073741824 net 128 time") \
	X("join_ns", JOIN_NS, RPC_FORM, "{ns}:{ns_file}<,{extra_opt}>")                                                \
	X("cgroup_props", CGROUP_PROPS, RPC_PLAIN, NULL)                                                               \
	X("cgroup_props_file", CGROUP_PROPS_FILE, RPC_PLAIN, NULL)                                                     \
	X("cgroup_dump_controller", CGROUP_DUMP_CONTROLLER, RPC_PLAIN, NULL)                                           \
	X("freeze_cgroup", FREEZE_CGROUP, RPC_PLAIN, NULL)                                                             \
	X("timeout", TIMEOUT, RPC_PLAIN, NULL)                                                                         \
	X("tcp_skip_in_flight", SKIP_IN_FLIGHT, RPC_PLAIN, NULL)                                                       \
	X("weak_sysctls", WEAK_SYSCTLS, RPC_PLAIN, NULL)                                                               \
	X("lazy_pages", LAZY_PAGES, RPC_PLAIN, NULL)                                                                   \
	X("status_fd", STATUS_FD, RPC_FDNUM, NULL)                                                                     \
	X("orphan_pts_master", COUNT_, RPC_NONE, "asks for the masters of terminals")                                  \
	X("config_file", COUNT_, RPC_LAST, NULL)                                                                       \
	X("tcp_close", TCP_CLOSE, RPC_PLAIN, NULL)                                                                     \
	X("lsm_profile", LSM_PROFILE, RPC_PLAIN, NULL)                                                                 \
	X("tls_cacert", TLS_CACERT, RPC_PLAIN, NULL)                                                                   \
	X("tls_cacrl", TLS_CACRL, RPC_PLAIN, NULL)                                                                     \
	X("tls_cert", TLS_CERT, RPC_PLAIN, NULL)                                                                       \
	X("tls_key", TLS_KEY, RPC_PLAIN, NULL)                                                                         \
	X("tls", TLS, RPC_PLAIN, NULL)                                                                                 \
	X("tls_no_cn_verify", TLS_NO_CN_VERIFY, RPC_PLAIN, NULL)                                                       \
	X("cgroup_yard", CGROUP_YARD, RPC_PLAIN, NULL)                                                                 \
	X("pre_dump_mode", PRE_DUMP_MODE, RPC_WORDS, "|splice|read")                                                   \
	X("pidfd_store_sk", COUNT_, RPC_NONE, "keeps pidfds between dumps")                                            \
	X("lsm_mount_context", LSM_MOUNT_CONTEXT, RPC_PLAIN, NULL)                                                     \
	X("network_lock", NETWORK_LOCK, RPC_WORDS, "|iptables|nftables|skip")                                          \
	X("mntns_compat_mode", MNTNS_COMPAT_MODE, RPC_PLAIN, NULL)                                                     \
	X("skip_file_rwx_check", SKIP_FILE_RWX_CHECK, RPC_PLAIN, NULL)                                                 \
	X("unprivileged", UNPRIVILEGED, RPC_PLAIN, NULL)                                                               \
	X("leave_stopped", LEAVE_STOPPED, RPC_PLAIN, NULL)                                                             \
	X("display_stats", DISPLAY_STATS, RPC_PLAIN, NULL)                                                             \
	X("log_to_stderr", COUNT_, RPC_NONE, "the log goes to standard error too")

#endif
