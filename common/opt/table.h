/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every option of every binary, one row each: X(ID, "name", 'letter', type, "ARGUMENT", default, takes, acts, group,
 * help, further fields of struct opt_def). Names, letters and meanings are CRIU's where CRIU has the option, and
 * all of CRIU's are here, so that its configuration files work unchanged; `acts` says which of our binaries do it.
 */
#ifndef CR_OPT_TABLE_H
#define CR_OPT_TABLE_H

enum opt_type {
	OPT_T_BOOL,   /* --NAME, --no-NAME */
	OPT_T_INT,
	OPT_T_COUNT,  /* a number that each --NAME without value raises by one: -vvv */
	OPT_T_SIZE,   /* bytes, with suffix K, M or G (powers of 1024) */
	OPT_T_STRING,
	OPT_T_ENUM,
	OPT_T_LIST,   /* strings; given several times they add up */
};

enum opt_group {
	OPT_G_MAIN, OPT_G_RESULT, OPT_G_RESOURCES, OPT_G_MEMORY, OPT_G_CGROUP, OPT_G_NET, OPT_G_CHECK, OPT_G_IMAGE,
	OPT_G_CONFIG, OPT_G_LOG, OPT_G_OTHER, OPT_G_COUNT_
};

/* Flags */
#define OPT_F_HIDDEN 1u	 /* not in help, completion and man page */
#define OPT_F_CMDLINE 2u /* asks for something else to be done, or says which files to read: refused in files */

/* Binaries; cr-image has a bit for each subcommand. */
#define TOOL_DUMP 0x1u
#define TOOL_RESTORE 0x2u
#define TOOL_CHECK 0x4u
#define TOOL_CONFIG 0x8u
#define TOOL_IMAGE_SHOW 0x100u
#define TOOL_IMAGE_DECODE 0x200u
#define TOOL_IMAGE_ENCODE 0x400u
#define TOOL_IMAGE_INFO 0x800u
#define TOOL_IMAGE_X 0x1000u
#define TOOL_IMAGE_EDIT 0x2000u
#define TOOL_IMAGE_SET 0x4000u
#define TOOL_IMAGE_DIFF 0x8000u
#define TOOL_IMAGE_CORE 0x10000u
#define TOOL_IMAGE_MEM 0x20000u
#define TOOL_IMAGE_SEARCH 0x40000u
#define TOOL_IMAGE_STRINGS 0x80000u
#define TOOL_IMAGE_GRAPH 0x100000u
#define TOOL_IMAGE_REPORT 0x200000u
#define TOOL_IMAGE_VIEWS (TOOL_IMAGE_X | TOOL_IMAGE_MEM | TOOL_IMAGE_SEARCH | TOOL_IMAGE_STRINGS | TOOL_IMAGE_CORE)
#define TOOL_IMAGE_OUT (TOOL_IMAGE_DECODE | TOOL_IMAGE_ENCODE | TOOL_IMAGE_CORE | TOOL_IMAGE_REPORT | TOOL_IMAGE_FLATTEN)
#define TOOL_IMAGE_IN (TOOL_IMAGE_DECODE | TOOL_IMAGE_ENCODE | TOOL_IMAGE_UNPACK)
#define TOOL_IMAGE_JSON (TOOL_IMAGE_CHECK | TOOL_IMAGE_INFO | TOOL_IMAGE_DIFF | TOOL_IMAGE_X | TOOL_IMAGE_SEARCH)
#define TOOL_IMAGE_COMPRESS 0x400000u
#define TOOL_IMAGE_DECOMPRESS 0x800000u
#define TOOL_IMAGE_CHECK 0x1000000u
#define TOOL_IMAGE_SEAL 0x2000000u
#define TOOL_IMAGE_PACK 0x4000000u
#define TOOL_IMAGE_UNPACK 0x8000000u
#define TOOL_IMAGE_DEDUP 0x10000000u
#define TOOL_IMAGE_FLATTEN 0x20000000u
#define TOOL_IMAGE_THREADS (TOOL_IMAGE_COMPRESS | TOOL_IMAGE_DECOMPRESS | TOOL_IMAGE_CHECK | TOOL_IMAGE_SEAL)
#define TOOL_IMAGE 0xffffff00u /* all subcommands, those to come too; 0x40000000 is the next one */
#define TOOL_CR (TOOL_DUMP | TOOL_RESTORE)
#define TOOL_READS_FILES (TOOL_CR | TOOL_CHECK | TOOL_IMAGE)
#define TOOL_ALL (TOOL_CR | TOOL_CHECK | TOOL_CONFIG | TOOL_IMAGE)

#define OPT_TABLE(X)                                                                                                   \
	/* what to act on */                                                                                           \
	X(TREE, "tree", 't', OPT_T_INT, "PID", NULL, TOOL_DUMP, TOOL_DUMP, OPT_G_MAIN,                                 \
	  "the task to dump, with all its threads and descendants", .min = 1, .max = 0x7fffffff)                                       \
	X(IMAGES_DIR, "images-dir", 'D', OPT_T_STRING, "DIR", ".", TOOL_CR, TOOL_CR, OPT_G_MAIN,                       \
	  "directory of the images; -: standard output, or input, as one tar stream")                                  \
	X(WORK_DIR, "work-dir", 'W', OPT_T_STRING, "DIR", NULL, TOOL_CR, TOOL_CR, OPT_G_MAIN,                          \
	  "directory of log and pid file (default: that of the images)")                                               \
	X(PLAN, "plan", 0, OPT_T_BOOL, NULL, "no", TOOL_RESTORE, TOOL_RESTORE, OPT_G_MAIN,                             \
	  "print what a restore would do, step by step, and change nothing")                                           \
	X(CHECK, "check", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_MAIN,                                     \
	  "list everything that stands in the way, or takes an option, and change nothing", .flags = OPT_F_CMDLINE)    \
	X(PRE_DUMP, "pre-dump", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_MAIN,                           \
	  "memory only, while the tasks go on; a dump with --prev-images-dir then writes what changed since",          \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	X(ITERATE, "iterate", 0, OPT_T_STRING, "N|MS", NULL, TOOL_DUMP, TOOL_DUMP, OPT_G_MAIN,                         \
	  "rounds of pre-dumps first, while the tasks run: N at most, or until a freeze of MSms is enough", .implied = "auto") \
	X(PREV_IMAGES_DIR, "prev-images-dir", 0, OPT_T_STRING, "DIR", NULL, TOOL_DUMP, TOOL_DUMP, OPT_G_MAIN,          \
	  "images of the dump before this one, relative to --images-dir: only changed memory is written")              \
	X(STREAM, "stream", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_MAIN,                                         \
	  "exchange images with a streamer process instead of a directory")                                            \
	/* what becomes of it */                                                                                       \
	X(LEAVE_RUNNING, "leave-running", 'R', OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_RESULT,             \
	  "let the tasks go on after the dump instead of killing them")                                                \
	X(LEAVE_STOPPED, "leave-stopped", 's', OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_RESULT,                 \
	  "leave the tasks stopped, as by SIGSTOP")                                                                    \
	X(RESTORE_DETACHED, "restore-detached", 'd', OPT_T_BOOL, NULL, "no", TOOL_RESTORE, TOOL_RESTORE, OPT_G_RESULT, \
	  "exit as soon as the tasks run, instead of waiting for them")                                                \
	X(RESTORE_SIBLING, "restore-sibling", 'S', OPT_T_BOOL, NULL, "no", TOOL_RESTORE, TOOL_RESTORE, OPT_G_RESULT,   \
	  "make the root task a child of the caller instead of a child of cr-restore")                                 \
	X(EXEC_CMD, "exec-cmd", 0, OPT_T_BOOL, NULL, "no", TOOL_RESTORE, TOOL_RESTORE, OPT_G_RESULT,                   \
	  "become the command that follows '--' after the restore; it is then the parent of the root task")            \
	X(PIDFILE, "pidfile", 0, OPT_T_STRING, "FILE", NULL, TOOL_CR, TOOL_CR, OPT_G_RESULT,                           \
	  "write the pid of the root task to FILE (relative to --work-dir)")                                           \
	X(TIMEOUT, "timeout", 0, OPT_T_INT, "SECONDS", "10", TOOL_DUMP, TOOL_DUMP, OPT_G_RESULT,                       \
	  "give up, and let the tasks go on, when they cannot be stopped in that time (0: never)",                     \
	  .min = 0, .max = 1000000)                                                                                    \
	X(STATUS_FD, "status-fd", 0, OPT_T_INT, "FD", NULL, TOOL_CR, TOOL_CR, OPT_G_RESULT,                            \
	  "write one zero byte to descriptor FD when all is done and the tasks run (or are gone), and close it",        \
	  .min = 0, .max = 0x7fffffff)                                                                                 \
	X(PHASE_FD, "phase-fd", 0, OPT_T_INT, "FD", NULL, TOOL_CR, TOOL_CR, OPT_G_RESULT,                              \
	  "write a line to descriptor FD at each stage: its name, and the pid of the root task",                       \
	  .min = 0, .max = 0x7fffffff)                                                                                 \
	X(ACTION_SCRIPT, "action-script", 0, OPT_T_LIST, "FILE", NULL, TOOL_CR, TOOL_CR, OPT_G_RESULT,                 \
	  "run FILE at each stage, whose name is in CRTOOLS_SCRIPT_ACTION")                                            \
	X(ACTION_TIMEOUT, "action-timeout", 0, OPT_T_INT, "SECONDS", "600", TOOL_CR, TOOL_CR, OPT_G_RESULT,            \
	  "kill an action script that takes longer than that at one stage (0: never); it has failed then",             \
	  .min = 0, .max = 1000000)                                                                                    \
	/* resources that need a word */                                                                               \
	X(SHELL_JOB, "shell-job", 'j', OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_RESOURCES,                      \
	  "the tasks belong to a session that is not part of the tree; restored, they join that of the caller")        \
	X(GHOST_LIMIT, "ghost-limit", 0, OPT_T_SIZE, "SIZE", "1M", TOOL_DUMP, TOOL_DUMP, OPT_G_RESOURCES,              \
	  "refuse deleted files larger than this, whose content must go into the images", .min = 0)                    \
	X(GHOST_FIEMAP, "ghost-fiemap", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, 0, OPT_G_RESOURCES,                      \
	  "find the holes of deleted files by FIEMAP")                                                                 \
	X(FILE_VALIDATION, "file-validation", 0, OPT_T_ENUM, "METHOD", "buildid", TOOL_CR, TOOL_RESTORE,               \
	  OPT_G_RESOURCES, "how to tell that a file is still the dumped one", .values = "filesize|buildid")            \
	X(SKIP_FILE_RWX_CHECK, "skip-file-rwx-check", 0, OPT_T_BOOL, NULL, "no", TOOL_RESTORE, TOOL_RESTORE,           \
	  OPT_G_RESOURCES, "accept files whose permission bits changed since the dump")                                \
	X(LINK_REMAP, "link-remap", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_RESOURCES,                      \
	  "give files that lost their name, but have others, a temporary one beside it; at the restore: remove it")    \
	X(SUSPEND_SECCOMP, "suspend-seccomp", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_RESOURCES,        \
	  "dump tasks whose seccomp filters forbid what is asked inside of them; a cr-dump killed then kills them")    \
	X(FILE_LOCKS, "file-locks", 'l', OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_RESOURCES,                          \
	  "keep file locks; only when no task outside the tree uses the locked files")                                 \
	X(EXTERNAL, "external", 0, OPT_T_LIST, "TYPE[ID]:VALUE", NULL, TOOL_CR, TOOL_CR, OPT_G_RESOURCES,              \
	  "a resource that is provided from outside: mnt, dev, file, tty, unix, net, pid, veth, macvlan, netdev")      \
	X(INHERIT_FD, "inherit-fd", 0, OPT_T_LIST, "fd[N]:RESOURCE", NULL, TOOL_RESTORE, TOOL_RESTORE, OPT_G_RESOURCES,\
	  "use our descriptor N in place of the dumped resource")                                                      \
	X(EVASIVE_DEVICES, "evasive-devices", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_RESOURCES,                  \
	  "take any path of a device when its own cannot be reached")                                                  \
	X(FORCE_IRMAP, "force-irmap", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, 0, OPT_G_RESOURCES,                        \
	  "find the paths of inotify and fanotify watches by scanning directories")                                    \
	X(IRMAP_SCAN_PATH, "irmap-scan-path", 0, OPT_T_LIST, "DIR", NULL, TOOL_DUMP, 0, OPT_G_RESOURCES,               \
	  "scan DIR too for the paths of watches")                                                                     \
	X(ROOT, "root", 'r', OPT_T_STRING, "DIR", NULL, TOOL_CR, 0, OPT_G_RESOURCES,                                   \
	  "root directory of a restored mount namespace")                                                              \
	X(SKIP_MNT, "skip-mnt", 0, OPT_T_LIST, "PATH", NULL, TOOL_DUMP, 0, OPT_G_RESOURCES,                            \
	  "leave the mount at PATH out")                                                                               \
	X(ENABLE_FS, "enable-fs", 0, OPT_T_LIST, "NAME[,NAME...]", NULL, TOOL_DUMP, 0, OPT_G_RESOURCES,                \
	  "take mounts of these file systems along, though they are not known ('all': of any)")                        \
	X(EXT_MOUNT_MAP, "ext-mount-map", 'M', OPT_T_LIST, "KEY:VALUE", NULL, TOOL_CR, 0, OPT_G_RESOURCES,             \
	  "older form of --external mnt[KEY]:VALUE")                                                                   \
	X(ENABLE_EXTERNAL_SHARING, "enable-external-sharing", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, 0,                 \
	  OPT_G_RESOURCES, "accept external mounts that are shared")                                                   \
	X(ENABLE_EXTERNAL_MASTERS, "enable-external-masters", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, 0,                 \
	  OPT_G_RESOURCES, "accept external mounts that are slaves")                                                   \
	X(MNTNS_COMPAT_MODE, "mntns-compat-mode", 0, OPT_T_BOOL, NULL, "no", TOOL_RESTORE, 0, OPT_G_RESOURCES,         \
	  "restore mounts in the older way")                                                                           \
	X(EMPTY_NS, "empty-ns", 0, OPT_T_LIST, "NS", NULL, TOOL_CR, 0, OPT_G_RESOURCES,                                \
	  "make the namespace (net) but leave it empty")                                                               \
	X(JOIN_NS, "join-ns", 'J', OPT_T_LIST, "NS:PID|FILE", NULL, TOOL_RESTORE, 0, OPT_G_RESOURCES,                  \
	  "restore into an existing namespace")                                                                        \
	X(LSM_PROFILE, "lsm-profile", 0, OPT_T_STRING, "TYPE:NAME", NULL, TOOL_RESTORE, 0, OPT_G_RESOURCES,            \
	  "security profile of the restored tasks (apparmor, selinux)")                                                \
	X(LSM_MOUNT_CONTEXT, "lsm-mount-context", 0, OPT_T_STRING, "CONTEXT", NULL, TOOL_RESTORE, 0, OPT_G_RESOURCES,  \
	  "context of mounts that had one")                                                                            \
	X(WEAK_SYSCTLS, "weak-sysctls", 0, OPT_T_BOOL, NULL, "no", TOOL_RESTORE, 0, OPT_G_RESOURCES,                   \
	  "pass over sysctls that this kernel does not have")                                                          \
	X(CPU_CAP, "cpu-cap", 0, OPT_T_STRING, "CAP[,CAP...]", NULL, TOOL_CR, 0, OPT_G_RESOURCES,                      \
	  "which processor features must agree: none, fpu, ins, cpu, all; ^CAP takes one out", .implied = "all")       \
	X(UNPRIVILEGED, "unprivileged", 0, OPT_T_BOOL, NULL, "no", TOOL_CR | TOOL_CHECK, 0, OPT_G_RESOURCES,           \
	  "work with CAP_CHECKPOINT_RESTORE instead of all of root's power")                                           \
	X(ALLOW_UPROBES, "allow-uprobes", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_RESOURCES,                      \
	  "accept tasks with uprobes set by a tracer")                                                                 \
	X(DEPRECATED, "deprecated", 0, OPT_T_BOOL, NULL, "no", TOOL_CR | TOOL_CHECK, 0, OPT_G_RESOURCES,               \
	  "accept ways of working that are about to go")                                                               \
	X(LIBDIR, "libdir", 'L', OPT_T_STRING, "DIR", NULL, TOOL_CR, 0, OPT_G_RESOURCES, "directory of plugins")       \
	X(CLOSE, "close", 0, OPT_T_LIST, "FD", NULL, TOOL_CR, 0, OPT_G_RESOURCES,                                      \
	  "close descriptor FD before anything else")                                                                  \
	/* memory */                                                                                                   \
	X(SEAL, "seal", 0, OPT_T_BOOL, NULL, "yes", TOOL_DUMP, TOOL_DUMP, OPT_G_MEMORY,                                \
	  "checksums of memory pages in the manifest too, made on their way; --no-seal: only their sizes")             \
	X(COMPRESS, "compress", 0, OPT_T_INT, "LEVEL", NULL, TOOL_DUMP, TOOL_DUMP, OPT_G_MEMORY,                       \
	  "compress memory pages, or all of a stream, by zstd while they are written", .min = 1, .max = 19, .implied = "1")\
	X(COW_PAGES, "cow-pages", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_MEMORY,                       \
	  "store once what parent and child share since fork; only cr-restore reads such images (version 3)")          \
	X(TRACK_MEM, "track-mem", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_MEMORY,                       \
	  "keep track of what tasks that go on write from now on, for the next dump: a small process stays until then")  \
	X(TRACK, "track", 0, OPT_T_ENUM, "HOW", "auto", TOOL_DUMP, TOOL_DUMP, OPT_G_MEMORY,                            \
	  "how it is found out what was written: told by the kernel, or only by comparing",                            \
	  .values = "auto|soft-dirty|userfaultfd|content")                                                             \
	X(AUTO_DEDUP, "auto-dedup", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR,   OPT_G_MEMORY,                               \
	  "free pages in older images that a newer one replaces, or that were restored")                               \
	X(PRE_DUMP_MODE, "pre-dump-mode", 0, OPT_T_ENUM, "MODE", "splice", TOOL_DUMP, 0, OPT_G_MEMORY,                 \
	  "how a pre-dump reads memory", .values = "splice|read")                                                      \
	X(LAZY_PAGES, "lazy-pages", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_MEMORY,                               \
	  "restore memory when it is first touched")                                                                   \
	X(PAGE_SERVER, "page-server", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, 0, OPT_G_MEMORY,                           \
	  "send pages to a page server")                                                                               \
	X(ADDRESS, "address", 0, OPT_T_STRING, "ADDRESS", NULL, TOOL_CR, 0, OPT_G_MEMORY, "address of the page server") \
	X(PORT, "port", 0, OPT_T_INT, "PORT", NULL, TOOL_CR, 0, OPT_G_MEMORY, "port of the page server",               \
	  .min = 0, .max = 65535)                                                                                      \
	X(PS_SOCKET, "ps-socket", 0, OPT_T_INT, "FD", NULL, TOOL_CR, 0, OPT_G_MEMORY,                                  \
	  "descriptor that is connected to the page server", .min = 0, .max = 0x7fffffff)                              \
	X(DAEMON, "daemon", 0, OPT_T_BOOL, NULL, "no", 0, 0, OPT_G_MEMORY, "serve in the background")                  \
	X(TLS, "tls", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_MEMORY, "speak TLS with the page server")           \
	X(TLS_CACERT, "tls-cacert", 0, OPT_T_STRING, "FILE", NULL, TOOL_CR, 0, OPT_G_MEMORY,                           \
	  "certificate of the authority to trust")                                                                     \
	X(TLS_CACRL, "tls-cacrl", 0, OPT_T_STRING, "FILE", NULL, TOOL_CR, 0, OPT_G_MEMORY,                             \
	  "list of revoked certificates")                                                                              \
	X(TLS_CERT, "tls-cert", 0, OPT_T_STRING, "FILE", NULL, TOOL_CR, 0, OPT_G_MEMORY, "our certificate")            \
	X(TLS_KEY, "tls-key", 0, OPT_T_STRING, "FILE", NULL, TOOL_CR, 0, OPT_G_MEMORY, "our private key")              \
	X(TLS_NO_CN_VERIFY, "tls-no-cn-verify", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_MEMORY,                   \
	  "do not compare the name in the certificate with the host")                                                  \
	/* cgroups */                                                                                                  \
	X(MANAGE_CGROUPS, "manage-cgroups", 0, OPT_T_ENUM, "MODE", NULL, TOOL_CR, TOOL_CR, OPT_G_CGROUP,               \
	  "tasks return to their cgroup (soft: made when missing; none: must exist) or not (ignore)",                  \
	  .values = "none|props|soft|full|strict|ignore", .implied = "soft")                                           \
	X(FREEZE_CGROUP, "freeze-cgroup", 0, OPT_T_STRING, "DIR", NULL, TOOL_DUMP, 0, OPT_G_CGROUP,                    \
	  "stop the tasks by the freezer of this cgroup")                                                              \
	X(CGROUP_ROOT, "cgroup-root", 0, OPT_T_LIST, "[CONTROLLER:]PATH", NULL, TOOL_CR, 0, OPT_G_CGROUP,              \
	  "take PATH for the root of the controller")                                                                  \
	X(CGROUP_PROPS, "cgroup-props", 0, OPT_T_STRING, "TEXT", NULL, TOOL_DUMP, 0, OPT_G_CGROUP,                     \
	  "properties of controllers to keep")                                                                         \
	X(CGROUP_PROPS_FILE, "cgroup-props-file", 0, OPT_T_STRING, "FILE", NULL, TOOL_DUMP, 0, OPT_G_CGROUP,           \
	  "the same, from a file")                                                                                     \
	X(CGROUP_DUMP_CONTROLLER, "cgroup-dump-controller", 0, OPT_T_LIST, "NAME", NULL, TOOL_DUMP, 0, OPT_G_CGROUP,   \
	  "keep this controller only")                                                                                 \
	X(CGROUP_YARD, "cgroup-yard", 0, OPT_T_STRING, "DIR", NULL, TOOL_CR, 0, OPT_G_CGROUP,                          \
	  "directory in which the cgroup hierarchies are mounted")                                                     \
	/* network and sockets */                                                                                      \
	X(TCP_ESTABLISHED, "tcp-established", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_NET,                        \
	  "keep established TCP connections")                                                                          \
	X(TCP_CLOSE, "tcp-close", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_NET,                                    \
	  "bring connected TCP sockets back closed")                                                                   \
	X(SKIP_IN_FLIGHT, "skip-in-flight", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_NET,                        \
	  "drop TCP connections that are not established yet")                                                         \
	X(NETWORK_LOCK, "network-lock", 0, OPT_T_ENUM, "METHOD", "nftables", TOOL_CR, TOOL_CR, OPT_G_NET,                    \
	  "how connections are kept silent meanwhile (nftables serves for iptables, too)",                             \
	  .values = "iptables|nftables|skip")                                                                          \
	X(EXT_UNIX_SK, "ext-unix-sk", 'x', OPT_T_LIST, "INODE[,INODE...]", NULL, TOOL_CR, TOOL_CR, OPT_G_NET,                \
	  "accept unix sockets whose peer is outside the tree, and has a name to connect to again; connections by "     \
	  "INODE only", .implied = "")                                                                                 \
	X(UNIX_CLOSE, "unix-close", 0, OPT_T_BOOL, NULL, "no", TOOL_DUMP, TOOL_DUMP, OPT_G_NET,                              \
	  "bring unix connections from outside of the tree back as if their other end had closed")                     \
	X(VETH_PAIR, "veth-pair", 0, OPT_T_LIST, "IN=OUT", NULL, TOOL_RESTORE, 0, OPT_G_NET,                           \
	  "name outside of the veth device IN")                                                                        \
	/* cr-check */                                                                                                 \
	X(EXTRA, "extra", 0, OPT_T_BOOL, NULL, "no", TOOL_CHECK, TOOL_CHECK, OPT_G_CHECK,                              \
	  "test also what only some programs need")                                                                    \
	X(EXPERIMENTAL, "experimental", 0, OPT_T_BOOL, NULL, "no", TOOL_CHECK, TOOL_CHECK, OPT_G_CHECK,                \
	  "test also what is new and seldom needed")                                                                   \
	X(MS, "ms", 0, OPT_T_BOOL, NULL, "no", TOOL_CHECK, 0, OPT_G_CHECK,                                             \
	  "leave out what needs kernel features that were new once")                                                   \
	X(ALL, "all", 0, OPT_T_BOOL, NULL, "no", TOOL_CHECK | TOOL_CONFIG, TOOL_CHECK | TOOL_CONFIG, OPT_G_CHECK,      \
	  "test every feature", .other = TOOL_CONFIG, .other_help = "show options that are not set too")               \
	X(FEATURE, "feature", 0, OPT_T_LIST, "NAME[,NAME...]", NULL, TOOL_CHECK, TOOL_CHECK, OPT_G_CHECK,              \
	  "test these features only")                                                                                  \
	X(KCONFIG, "kconfig", 0, OPT_T_STRING, "FILE", NULL, TOOL_CHECK, TOOL_CHECK, OPT_G_CHECK,                      \
	  "judge the kernel configuration FILE instead of the running kernel; it may be compressed",                   \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	X(KCONFIG_FRAGMENT, "kconfig-fragment", 0, OPT_T_BOOL, NULL, "no", TOOL_CHECK, TOOL_CHECK, OPT_G_CHECK,        \
	  "print the options that the configuration lacks, for scripts/kconfig/merge_config.sh",                       \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	/* cr-image */                                                                                                 \
	X(IN, "in", 'i', OPT_T_STRING, "FILE", NULL, TOOL_IMAGE_IN, TOOL_IMAGE_IN, OPT_G_IMAGE,                        \
	  "read FILE (default: standard input)")                                       \
	X(OUT, "out", 'o', OPT_T_STRING, "FILE", NULL, TOOL_IMAGE_OUT, TOOL_IMAGE_OUT, OPT_G_IMAGE,                    \
	  "write FILE (default: standard output)", .other = TOOL_IMAGE_FLATTEN,                                        \
	  .other_help = "the directory of the result")                                                                 \
	X(PRETTY, "pretty", 0, OPT_T_BOOL, NULL, "no", TOOL_IMAGE_DECODE, TOOL_IMAGE_DECODE, OPT_G_IMAGE,              \
	  "indent, and write flags, addresses and kinds in words")                                                     \
	X(LINES, "lines", 0, OPT_T_BOOL, NULL, "no", TOOL_IMAGE_SHOW, TOOL_IMAGE_SHOW, OPT_G_IMAGE,                    \
	  "one JSON object a line for each entry, with its file and its magic")                                        \
	X(NOPL, "nopl", 0, OPT_T_BOOL, NULL, "no", TOOL_IMAGE_SHOW | TOOL_IMAGE_DECODE, TOOL_IMAGE_SHOW |              \
	  TOOL_IMAGE_DECODE, OPT_G_IMAGE, "leave the payload of entries out")                                          \
	X(COLOR, "color", 0, OPT_T_BOOL, NULL, "no", TOOL_IMAGE_SHOW, TOOL_IMAGE_SHOW, OPT_G_IMAGE,                    \
	  "names and values in colours")                                                                               \
	X(PAGER, "pager", 0, OPT_T_BOOL, NULL, "no", TOOL_IMAGE_SHOW, TOOL_IMAGE_SHOW, OPT_G_IMAGE,                    \
	  "on a terminal, show page by page in $PAGER")                                                                \
	X(FILTER, "filter", 0, OPT_T_STRING, "PROGRAM", NULL, TOOL_IMAGE_EDIT, TOOL_IMAGE_EDIT, OPT_G_IMAGE,           \
	  "change by this jq program instead of an editor")                                                            \
	X(PID, "pid", 'p', OPT_T_INT, "PID", NULL, TOOL_IMAGE_VIEWS, TOOL_IMAGE_VIEWS, OPT_G_IMAGE,                    \
	  "only this task of the checkpoint", .min = 1, .max = 0x7fffffff)                                             \
	X(LEVEL, "level", 0, OPT_T_INT, "N", "3", TOOL_IMAGE_COMPRESS, TOOL_IMAGE_COMPRESS, OPT_G_IMAGE,               \
	  "level of zstd: 1 is fast, 19 is small", .min = 1, .max = 19)                                                \
	X(THREADS, "threads", 0, OPT_T_INT, "N", "0", TOOL_IMAGE_THREADS, TOOL_IMAGE_THREADS, OPT_G_IMAGE,             \
	  "work with N threads (0: as many as there are processors, at most 16)", .min = 0, .max = 64)                 \
	X(RAW, "raw", 0, OPT_T_BOOL, NULL, "no", TOOL_IMAGE_MEM, TOOL_IMAGE_MEM, OPT_G_IMAGE,                          \
	  "the bytes as they are")                                                                                     \
	X(TEXT, "text", 0, OPT_T_STRING, "TEXT", NULL, TOOL_IMAGE_SEARCH, TOOL_IMAGE_SEARCH, OPT_G_IMAGE,              \
	  "look for this text")                                                                                        \
	X(HEX, "hex", 0, OPT_T_STRING, "BYTES", NULL, TOOL_IMAGE_SEARCH, TOOL_IMAGE_SEARCH, OPT_G_IMAGE,               \
	  "look for these bytes: deadbeef or 'de ad be ef'")                                                           \
	X(REGEX, "regex", 0, OPT_T_STRING, "REGEX", NULL, TOOL_IMAGE_SEARCH, TOOL_IMAGE_SEARCH, OPT_G_IMAGE,           \
	  "look for what matches this extended regular expression")                                                    \
	X(BYTES, "bytes", 'n', OPT_T_INT, "N", "4", TOOL_IMAGE_STRINGS, TOOL_IMAGE_STRINGS, OPT_G_IMAGE,               \
	  "only text of at least N characters", .min = 1, .max = 65536)                                                \
	/* cr-config */                                                                                                \
	X(RESOLVE, "resolve", 0, OPT_T_BOOL, NULL, "no", TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                       \
	  "show the options that apply to a command (the default)", .flags = OPT_F_CMDLINE)                            \
	X(OPTION, "option", 0, OPT_T_STRING, "NAME", NULL, TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                     \
	  "show this option only", .flags = OPT_F_CMDLINE)                                                             \
	X(FOR, "for", 0, OPT_T_ENUM, "BINARY", "cr-dump", TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                      \
	  "resolve for this binary", .values = "cr-dump|cr-restore|cr-check|cr-image|cr-config",                       \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	X(LIST, "list", 0, OPT_T_BOOL, NULL, "no", TOOL_CHECK | TOOL_CONFIG, TOOL_CHECK | TOOL_CONFIG, OPT_G_CONFIG,   \
	  "list all features without testing them", .flags = OPT_F_CMDLINE, .other = TOOL_CONFIG,                      \
	  .other_help = "list the options of all binaries")                                                            \
	X(EXPLAIN, "explain", 0, OPT_T_STRING, "OPTION", NULL, TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                 \
	  "say all that is known about an option", .flags = OPT_F_CMDLINE)                                             \
	X(VALIDATE, "validate", 0, OPT_T_BOOL, NULL, "no", TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                     \
	  "find all problems of the files that are given ('-': standard input), or of those of the chain",             \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	X(INIT, "init", 0, OPT_T_BOOL, NULL, "no", TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                             \
	  "print a configuration file to begin with: every option, explained and commented out", .flags = OPT_F_CMDLINE) \
	X(CONF, "conf", 0, OPT_T_BOOL, NULL, "no", TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                             \
	  "print the result as a configuration file", .flags = OPT_F_CMDLINE)                                          \
	X(RPC, "rpc", 0, OPT_T_STRING, "FILE", NULL, TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                           \
	  "take the options of an RPC request (criu_req or criu_opts, protobuf or JSON; '-': standard input) as a layer", \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	X(AS, "as", 0, OPT_T_ENUM, "RUNTIME", NULL, TOOL_CONFIG, TOOL_CONFIG, OPT_G_CONFIG,                            \
	  "assume the configuration file that this runtime names in its requests", .values = "runc",                   \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	/* configuration files */                                                                                      \
	X(CONFIG, "config", 0, OPT_T_STRING, "FILE", NULL, TOOL_READS_FILES, TOOL_READS_FILES, OPT_G_CONFIG,           \
	  "read options from FILE, and not from the default files", .flags = OPT_F_CMDLINE)                            \
	X(NO_DEFAULT_CONFIG, "no-default-config", 0, OPT_T_BOOL, NULL, "no", TOOL_READS_FILES,                         \
	  TOOL_READS_FILES, OPT_G_CONFIG, "do not read the default files", .flags = OPT_F_CMDLINE)                     \
	/* what is said, and where */                                                                                  \
	X(LOG_FILE, "log-file", 'o', OPT_T_STRING, "FILE", NULL, TOOL_CR | TOOL_CHECK, TOOL_CR | TOOL_CHECK,           \
	  OPT_G_LOG, "write the log to FILE (relative to --work-dir), '-' is standard output; default: standard error") \
	X(VERBOSITY, "verbosity", 'v', OPT_T_COUNT, "N", "2", TOOL_CR | TOOL_CHECK, TOOL_CR | TOOL_CHECK, OPT_G_LOG,   \
	  "how much to log: 1 errors, 2 warnings, 3 information, 4 everything; each -v adds one", .min = 0, .max = 4,  \
	  .implied = "")                                                                                               \
	X(LOG_FORMAT, "log-format", 0, OPT_T_ENUM, "FORMAT", "text", TOOL_ALL, TOOL_ALL, OPT_G_LOG,                    \
	  "form of log and error message; json is one object a line", .values = "text|json")                           \
	X(LOG_PID, "log-pid", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, 0, OPT_G_LOG, "one log file for each restored task") \
	X(DISPLAY_STATS, "display-stats", 0, OPT_T_BOOL, NULL, "no", TOOL_CR, TOOL_CR, OPT_G_LOG,                      \
	  "print times, pages and bytes to standard error at the end")                                                 \
	X(JSON, "json", 0, OPT_T_BOOL, NULL, "no", TOOL_CR | TOOL_CHECK | TOOL_CONFIG | TOOL_IMAGE_JSON,               \
	  TOOL_CR | TOOL_CHECK | TOOL_CONFIG | TOOL_IMAGE_JSON, OPT_G_LOG, "print the result as JSON", .other = TOOL_CR, \
	  .other_help = "with --check: print the findings as a JSON array")                                             \
	X(QUIET, "quiet", 'q', OPT_T_BOOL, NULL, "no", TOOL_CHECK, TOOL_CHECK, OPT_G_LOG,                              \
	  "print nothing: the exit code is the answer")                                                                \
	/* about the binary */                                                                                         \
	X(HELP, "help", 'h', OPT_T_BOOL, NULL, "no", TOOL_ALL, TOOL_ALL, OPT_G_OTHER, "print this and exit",           \
	  .flags = OPT_F_CMDLINE)                                                                                      \
	X(VERSION, "version", 'V', OPT_T_BOOL, NULL, "no", TOOL_ALL, TOOL_ALL, OPT_G_OTHER,                            \
	  "print the versions of this binary, the kernel and the libraries, and exit", .flags = OPT_F_CMDLINE)         \
	X(COMPLETION, "completion", 0, OPT_T_BOOL, NULL, "no", TOOL_ALL, TOOL_ALL, OPT_G_OTHER,                        \
	  "print a completion script for bash and exit", .flags = OPT_F_CMDLINE | OPT_F_HIDDEN)                        \
	X(MAN_OPTIONS, "man-options", 0, OPT_T_BOOL, NULL, "no", TOOL_ALL, TOOL_ALL, OPT_G_OTHER,                      \
	  "print the list of options in roff and exit", .flags = OPT_F_CMDLINE | OPT_F_HIDDEN)

#endif
