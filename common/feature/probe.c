/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verdicts, and the small target process that many probes look at. */
#include "common/feature/probe.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "common/base/io.h"

static void __attribute__((format(printf, 3, 0))) judge(struct probe *p, enum feature_state state, const char *fmt, va_list ap)
{
	p->state = state;
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
}

#define JUDGE(name, state)                                  \
	void name(struct probe *p, const char *fmt, ...)    \
	{                                                   \
		va_list ap;                                 \
                                                            \
		va_start(ap, fmt);                          \
		judge(p, state, fmt, ap);                   \
		va_end(ap);                                 \
	}
JUDGE(probe_detail, FEATURE_OK)
JUDGE(probe_missing, FEATURE_MISSING)
JUDGE(probe_unknown, FEATURE_UNKNOWN)

void probe_ok(struct probe *p)
{
	p->state = FEATURE_OK;
	p->why[0] = 0;
}

bool capability_held(int cap)
{
	cap_flag_value_t v = CAP_CLEAR;
	cap_t caps = cap_get_proc();

	if (caps) {
		cap_get_flag(caps, cap, CAP_EFFECTIVE, &v);
		cap_free(caps);
	}
	return v == CAP_SET;
}

static void cap_word(int cap, char *buf, size_t size)
{
	char *name = cap_to_name(cap);
	size_t i;

	snprintf(buf, size, "%s", name ? name : "?");
	for (i = 0; buf[i]; i++)
		if (buf[i] >= 'a' && buf[i] <= 'z')
			buf[i] = (char)(buf[i] - 'a' + 'A');
	cap_free(name);
}

static void forbidden(struct probe *p, int errnum, int cap, int alt, const char *what)
{
	char a[32] = "", b[32] = "";

	p->state = FEATURE_NO_PERMISSION;
	if (cap == NO_CAP) {
		snprintf(p->why, sizeof(p->why), "%s: %s (file mode, seccomp filter, security module or sysctl)", what,
			 strerror(errnum));
		return;
	}
	cap_word(cap, a, sizeof(a));
	if (alt != NO_CAP)
		cap_word(alt, b, sizeof(b));
	if (capability_held(cap) || (alt != NO_CAP && capability_held(alt)))
		snprintf(p->why, sizeof(p->why),
			 "%s: %s, although %s is held (user namespace, seccomp filter or security module)", what,
			 strerror(errnum), capability_held(cap) ? a : b);
	else
		snprintf(p->why, sizeof(p->why), "%s: %s, needs %s%s%s", what, strerror(errnum), a,
			 alt != NO_CAP ? " or " : "", b);
}

void probe_errno(struct probe *p, int errnum, int cap, int alt, const char *what)
{
	switch (errnum) {
	case EPERM:
	case EACCES:
		forbidden(p, errnum, cap, alt, what);
		return;
	case ENOSPC:
		/* unshare: the limits in /proc/sys/user; inotify and fanotify: theirs */
		p->state = FEATURE_NO_PERMISSION;
		snprintf(p->why, sizeof(p->why), "%s: a limit of this user is reached", what);
		return;
	case ENOSYS:
		if (prctl(PR_GET_SECCOMP) == 2) {
			probe_unknown(p, "%s: %s, which may be the seccomp filter's answer", what, strerror(errnum));
			return;
		}
		/* fall through */
	case ENOENT:
		if (strstr(what, "/proc") && access("/proc/self/stat", F_OK) < 0) {
			probe_unknown(p, "%s: %s, and so is all of /proc: it is not mounted or masked", what, strerror(errnum));
			return;
		}
		/* fall through */
	case EINVAL:
	case ENOTTY:
	case EOPNOTSUPP:
	case ENOPROTOOPT:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
	case EIO: /* ptrace's word for an unknown request */
	case ENODEV:
		probe_missing(p, "%s: %s", what, strerror(errnum));
		return;
	}
	probe_unknown(p, "%s: %s", what, strerror(errnum));
}

bool probe_unshare(struct probe *p, int flags)
{
	if (syscall(SYS_unshare, flags) < 0) {
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "unshare");
		return false;
	}
	if (flags & CLONE_NEWNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		/* A mount that others can see is not made, not even to find out something. */
		if (errno == EINVAL)
			probe_unknown(p, "the root is not a mount here (chroot), so no mount would stay private");
		else
			probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "making mounts private");
		return false;
	}
	return true;
}

int scratch_fs(void)
{
	cleanup_fd int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
}

int scratch_mount(struct probe *p)
{
	cleanup_fd int root = scratch_fs();

	if (root < 0 || syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		/* Only a place to work in: its lack says nothing about the feature. */
		probe_unknown(p, "cannot mount a tmpfs to try it on: %s", strerror(errno));
		return -1;
	}
	return take_fd(&root);
}

char *probe_read(struct probe *p, const char *path)
{
	char *text = NULL, what[96];
	int ret = read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL);

	if (!ret)
		return text;
	snprintf(what, sizeof(what), "read %s", path);
	probe_errno(p, -ret, NO_CAP, NO_CAP, what);
	return NULL;
}

void probe_proc_error(struct probe *p, const struct err *err)
{
	if (access("/proc/self/stat", F_OK) < 0)
		probe_unknown(p, "/proc is not mounted or masked");
	else
		probe_unknown(p, "%s", err->reason);
}

static pid_t start(struct probe *p, bool (*setup)(void), int ready)
{
	pid_t self = getpid(), pid = fork();

	if (pid < 0) {
		probe_unknown(p, "fork: %s", strerror(errno));
		return -1;
	}
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setup && (!setup() || write(ready, "", 1) != 1))
		_exit(1);
	while (getppid() == self)
		pause();
	_exit(0);
}

pid_t target_start(struct probe *p)
{
	return start(p, NULL, -1);
}

void target_end(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	*pid = -1;
}

static pid_t seize(struct probe *p, pid_t pid, unsigned long options)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
		probe_errno(p, errno, CAP_SYS_PTRACE, NO_CAP, "PTRACE_SEIZE");
	else if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "PTRACE_INTERRUPT");
	else if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status) || status >> 16 != PTRACE_EVENT_STOP)
		probe_unknown(p, "the traced child did not report its stop");
	else
		return pid;
	target_end(&pid);
	return -1;
}

pid_t target_seize(struct probe *p, unsigned long options)
{
	pid_t pid = target_start(p);

	return pid < 0 ? -1 : seize(p, pid, options);
}

pid_t target_seize_after(struct probe *p, bool (*setup)(void), unsigned long options)
{
	cleanup_fd int in = -1, out = -1;
	int fds[2];
	pid_t pid;
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		probe_unknown(p, "pipe2: %s", strerror(errno));
		return -1;
	}
	in = fds[0];
	out = fds[1];
	pid = start(p, setup, out);
	if (pid < 0)
		return -1;
	close(take_fd(&out));
	if (read(in, &byte, 1) != 1) {
		probe_unknown(p, "the child that is looked at could not prepare itself");
		target_end(&pid);
		return -1;
	}
	return seize(p, pid, options);
}

void *probe_page(struct probe *p, int prot)
{
	char *page = mmap(NULL, 4096, prot | PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED) {
		probe_unknown(p, "mmap: %s", strerror(errno));
		return NULL;
	}
	*page = 1;
	return page;
}
