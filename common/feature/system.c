/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes of small things that an option of the kernel's configuration or a module stands for. */
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "common/base/io.h"
#include "common/feature/probe.h"

void probe_eventfd(struct probe *p, int arg)
{
	cleanup_fd int fd = eventfd(7, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t value = 0;

	if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "eventfd");
	else if (read(fd, &value, sizeof(value)) != sizeof(value) || value != 7)
		probe_missing(p, "an eventfd does not give its value back");
	else
		probe_ok(p);
}

void probe_epoll(struct probe *p, int arg)
{
	cleanup_fd int efd = epoll_create1(EPOLL_CLOEXEC), in = -1, out = -1;
	struct epoll_event ev = { .events = EPOLLIN };
	int fds[2];

	if (efd < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "epoll_create1");
		return;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		probe_unknown(p, "pipe2: %s", strerror(errno));
		return;
	}
	in = fds[0];
	out = fds[1];
	if (epoll_ctl(efd, EPOLL_CTL_ADD, in, &ev) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "epoll_ctl");
	else if (write(out, "", 1) != 1 || epoll_wait(efd, &ev, 1, 0) != 1)
		probe_missing(p, "epoll_wait does not tell of a full pipe");
	else
		probe_ok(p);
}

/* A memfd is on a tmpfs, which knows handles; so this asks the kernel and not the file system of the root. */
void probe_file_handles(struct probe *p, int arg)
{
	cleanup_fd int fd = memfd_create("cr-check", MFD_CLOEXEC);
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ] __attribute__((aligned(8))) = { 0 };
	struct file_handle *handle = (struct file_handle *)space;
	int mount_id;

	if (fd < 0) {
		probe_unknown(p, "memfd_create: %s", strerror(errno));
		return;
	}
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(fd, "", handle, &mount_id, AT_EMPTY_PATH) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "name_to_handle_at");
	else
		probe_ok(p);
}

void probe_inotify(struct probe *p, int arg)
{
	cleanup_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 && errno == EMFILE)
		probe_errno(p, ENOSPC, NO_CAP, NO_CAP, "inotify_init1");
	else if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "inotify_init1");
	else if (inotify_add_watch(fd, "/", IN_MODIFY) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "inotify_add_watch");
	else
		probe_ok(p);
}

void probe_fanotify(struct probe *p, int arg)
{
	cleanup_fd int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);

	if (fd < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "fanotify_init");
	else if (fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "/") < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "fanotify_mark");
	else
		probe_ok(p);
}

void probe_sysvipc_sysctl(struct probe *p, int arg)
{
	cleanup_free char *text = probe_read(p, "/proc/sys/kernel/msgmax");

	if (text)
		probe_ok(p);
}

/* Whether a line of /proc/cgroups is about this controller; *enabled is its last column. */
static bool cgroups_line(const char *text, const char *name, bool *enabled)
{
	size_t len = strlen(name);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, name, len) && line[len] == '\t') {
			*enabled = line[strcspn(line, "\n") - 1] == '1';
			return true;
		}
	return false;
}

/* The controllers of the unified hierarchy, by a mount of it that is attached nowhere. */
static char *unified_controllers(struct probe *p)
{
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC), root = -1;
	char *text = NULL;
	int ret;

	if (fs >= 0 && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		root = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (root < 0) {
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "mount of a cgroup2");
		return NULL;
	}
	ret = read_file_at(root, "cgroup.controllers", 1 << 16, &text, NULL);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "read cgroup.controllers");
	return text;
}

/* New kernels list a controller in one of two places, by whether the first version of cgroups can use it. */
void probe_controller(struct probe *p, int which)
{
	static const char *const names[] = { [CONTROLLER_MEMORY] = "memory", [CONTROLLER_DEVICES] = "devices" };
	cleanup_free char *text = probe_read(p, "/proc/cgroups"), *unified = NULL;
	bool enabled = false;

	if (!text)
		return;
	if (cgroups_line(text, names[which], &enabled)) {
		if (enabled)
			probe_ok(p);
		else
			probe_missing(p, "the %s controller is disabled on the kernel's command line", names[which]);
		return;
	}
	if (which == CONTROLLER_DEVICES) {
		probe_missing(p, "/proc/cgroups does not list it");
		return;
	}
	unified = unified_controllers(p);
	if (!unified)
		return;
	if (strstr(unified, names[which]))
		probe_ok(p);
	else
		probe_missing(p, "neither /proc/cgroups nor cgroup.controllers lists it");
}

void probe_binfmt_misc(struct probe *p, int arg)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "binfmt_misc", FSOPEN_CLOEXEC);
	int errnum = errno;

	if (fs >= 0) {
		probe_ok(p);
		return;
	}
	/* Who may not mount can still read that it is there. A module that is not loaded yet is not listed. */
	if (errnum == EPERM) {
		text = probe_read(p, "/proc/filesystems");
		if (!text)
			return;
		if (strstr(text, "\tbinfmt_misc\n")) {
			probe_ok(p);
			return;
		}
	}
	probe_errno(p, errnum, CAP_SYS_ADMIN, NO_CAP, "fsopen of binfmt_misc");
}

void probe_nspid(struct probe *p, int arg)
{
	cleanup_free char *text = probe_read(p, "/proc/self/status");

	if (!text)
		return;
	if (strstr(text, "\nNSpid:\t"))
		probe_ok(p);
	else
		probe_missing(p, "/proc/PID/status has no line NSpid");
}

#define APPARMOR "/sys/module/apparmor/parameters/enabled"
#define STACK "/sys/kernel/security/apparmor/features/domain/stack"

/* What the module says of itself: to stack a profile here would need a profile. */
void probe_apparmor(struct probe *p, int arg)
{
	cleanup_free char *enabled = NULL, *stack = NULL;
	int ret = read_file_at(AT_FDCWD, APPARMOR, 64, &enabled, NULL);

	if (ret == -ENOENT && access("/sys/module", F_OK) < 0)
		probe_unknown(p, "/sys is not mounted");
	else if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "read " APPARMOR);
	else if (enabled[0] != 'Y')
		probe_missing(p, "AppArmor is switched off");
	else if ((ret = read_file_at(AT_FDCWD, STACK, 64, &stack, NULL)) == -ENOENT && access("/sys/kernel/security/apparmor", F_OK))
		probe_unknown(p, "securityfs is not mounted");
	else if (ret < 0)
		probe_errno(p, -ret, CAP_MAC_ADMIN, NO_CAP, "read " STACK);
	else if (strncmp(stack, "yes", 3))
		probe_missing(p, STACK " says %.20s", stack);
	else
		probe_ok(p);
}
