/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes of mounts and of namespaces inside each other. All of it happens in namespaces that end with the probe. */
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/io.h"
#include "common/feature/probe.h"
#include "common/feature/uapi.h"

/* In a chroot the list may be empty: then the mount that the root is on is asked for. */
void probe_statmount(struct probe *p, int arg)
{
	struct { uint32_t size, spare; uint64_t mnt_id, param; } req = { 24, 0, UINT64_MAX, 0 }; /* LSMT_ROOT */
	char out[4096] __attribute__((aligned(8)));
	struct statx root;
	uint64_t id = 0;
	long n = syscall(FP_SYS_listmount, &req, &id, 1, 0);

	if (n < 0) {
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "listmount");
		return;
	}
	if (!n && statx(AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, FP_STATX_MNT_ID_UNIQUE, &root) == 0)
		id = *(uint64_t *)((char *)&root + FP_STATX_MNT_ID_AT);
	req.mnt_id = id;
	req.param = 1; /* STATMOUNT_SB_BASIC */
	if (syscall(FP_SYS_statmount, &req, out, sizeof(out), 0) < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "statmount");
	else
		probe_ok(p);
}

/*
 * An autofs over the root of a mount namespace that only this child has: its line in mountinfo must name the pipe, because
 * the daemon at the other end cannot be found otherwise. Nobody walks into it, so nobody waits for a daemon.
 */
void probe_autofs(struct probe *p, int arg)
{
	cleanup_free char *text = NULL;
	char data[96];
	int fds[2];

	if (!probe_unshare(p, CLONE_NEWNS))
		return;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		probe_unknown(p, "pipe2: %s", strerror(errno));
		return;
	}
	/* The process group is ours without being named; in a pid namespace it need not have a number. */
	snprintf(data, sizeof(data), "fd=%d,minproto=5,maxproto=5,direct", fds[1]);
	if (mount("cr-check", "/", "autofs", 0, data) < 0) {
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "mount of an autofs");
		return;
	}
	text = probe_read(p, "/proc/self/mountinfo");
	if (!text)
		return;
	if (!strstr(text, " autofs cr-check "))
		probe_unknown(p, "/proc/self/mountinfo does not show the mount");
	else if (!strstr(text, ",pipe_ino="))
		probe_missing(p, "the mount does not name the pipe of its daemon");
	else
		probe_ok(p);
}

/* Two mounts of one tmpfs: the second joins the peer group of the first. */
void probe_set_group(struct probe *p, int arg)
{
	cleanup_fd int root = -1, from = -1, to = -1;
	char a[48], b[48];

	if (!probe_unshare(p, CLONE_NEWNS))
		return;
	root = scratch_mount(p);
	if (root < 0)
		return;
	snprintf(a, sizeof(a), "/proc/self/fd/%d/a", root);
	snprintf(b, sizeof(b), "/proc/self/fd/%d/b", root);
	if (mkdirat(root, "a", 0700) < 0 || mkdirat(root, "b", 0700) < 0 || mount("cr-check", a, "tmpfs", 0, NULL) < 0 ||
	    mount(a, b, NULL, MS_BIND, NULL) < 0 || mount(NULL, a, NULL, MS_SHARED, NULL) < 0) {
		probe_unknown(p, "cannot mount what it is tried on: %s", strerror(errno));
		return;
	}
	from = openat(root, "a", O_PATH | O_CLOEXEC);
	to = openat(root, "b", O_PATH | O_CLOEXEC);
	if (syscall(SYS_move_mount, from, "", to, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | FP_MOVE_MOUNT_SET_GROUP) < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "move_mount MOVE_MOUNT_SET_GROUP");
	else
		probe_ok(p);
}

/* What is mapped from an overlay must be seen as a file of the overlay, and not as one of a layer below. */
static void overlay_mapping(struct probe *p, int merged)
{
	cleanup_fd int fd = openat(merged, "f", O_RDONLY | O_CLOEXEC);
	struct stat file, seen;
	char path[64];
	void *page;

	page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	if (page == MAP_FAILED || fstat(fd, &file) < 0) {
		probe_unknown(p, "cannot map a file of the overlay: %s", strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)page, (unsigned long)page + 4096);
	if (stat(path, &seen) < 0)
		probe_errno(p, errno, CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, "stat of /proc/PID/map_files");
	else if (seen.st_dev != file.st_dev || seen.st_ino != file.st_ino)
		probe_missing(p, "/proc/PID/map_files shows the file of a layer");
	else
		probe_ok(p);
}

void probe_overlayfs(struct probe *p, int arg)
{
	static const char *const dirs[] = { "l", "u", "w", "m" };
	cleanup_fd int root = -1, file = -1, merged = -1;
	char data[192], at[48];

	if (!probe_unshare(p, CLONE_NEWNS))
		return;
	root = scratch_mount(p);
	if (root < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		mkdirat(root, dirs[i], 0700);
	file = openat(root, "l/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (file < 0 || write_full(file, "x", 1) < 0) {
		probe_unknown(p, "cannot write a file to try it on: %s", strerror(errno));
		return;
	}
	snprintf(data, sizeof(data),
		 "lowerdir=/proc/self/fd/%d/l,upperdir=/proc/self/fd/%d/u,workdir=/proc/self/fd/%d/w", root, root, root);
	snprintf(at, sizeof(at), "/proc/self/fd/%d/m", root);
	if (mount("cr-check", at, "overlay", 0, data) < 0) {
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "mount of an overlay, by /proc/self/fd");
		return;
	}
	merged = openat(root, "m", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	overlay_mapping(p, merged);
}

/* ---- namespaces inside each other ---- */

struct level { ino_t outer, parent; int errnum; const char *what; };

static ino_t inode_of(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) ? st.st_ino : 0;
}

/* The first process of the outer namespace makes the inner one, and asks for its parent. The answer goes up the pipe. */
static void __attribute__((noreturn)) outer(int out)
{
	struct level level = { 0 };
	cleanup_fd int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), ns = -1, parent = -1;
	pid_t pid = -1;

	level.outer = inode_of(own);
	level.what = "unshare inside a new pid namespace";
	if (syscall(SYS_unshare, CLONE_NEWPID) == 0) {
		level.what = "fork inside a new pid namespace";
		pid = fork(); /* a namespace can be seen from when it has a process */
	}
	if (!pid)
		for (;;)
			pause(); /* ends with the namespace it is in */
	if (pid > 0) {
		level.what = "open /proc/PID/ns";
		ns = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
	}
	if (ns >= 0) {
		level.what = "NS_GET_PARENT";
		parent = ioctl(ns, NS_GET_PARENT);
	}
	level.errnum = parent < 0 ? errno : 0;
	level.parent = inode_of(parent);
	_exit(write_full(out, &level, sizeof(level)) < 0);
}

/* A pid namespace in a pid namespace, and the way from the inner one to the outer one. */
void probe_nested(struct probe *p, int arg)
{
	cleanup_target pid_t pid = -1;
	struct level level = { 0 };
	int fds[2];

	if (!probe_unshare(p, CLONE_NEWPID))
		return;
	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		probe_unknown(p, "fork: %s", strerror(errno));
		return;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		outer(fds[1]);
	}
	close(fds[1]);
	if (read_full(fds[0], &level, sizeof(level)) < 0)
		probe_unknown(p, "the process in the namespace said nothing");
	else if (level.errnum)
		probe_errno(p, level.errnum, CAP_SYS_ADMIN, NO_CAP, level.what);
	else if (!level.outer || level.parent != level.outer)
		probe_missing(p, "NS_GET_PARENT does not lead to the outer namespace");
	else
		probe_ok(p);
	close(fds[0]);
}
