/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Probes of what a process is made of besides memory: its number, timers, descriptors, namespaces, privileges. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/io.h"
#include "common/feature/probe.h"
#include "common/feature/uapi.h"

/* A number that was just freed is asked for again. Another process may be faster, so there are several attempts. */
void probe_set_tid(struct probe *p, int arg)
{
	for (int tries = 0; tries < 8; tries++) {
		pid_t want = fork(), got;
		struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want, .set_tid_size = 1 };

		if (!want)
			_exit(0);
		if (want < 0 || waitpid(want, NULL, 0) != want) {
			probe_unknown(p, "fork: %s", strerror(errno));
			return;
		}
		got = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
		if (!got)
			_exit(0);
		if (got < 0 && errno == EEXIST)
			continue;
		if (got < 0) {
			probe_errno(p, errno, CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, "clone3 with set_tid");
			return;
		}
		waitpid(got, NULL, 0);
		if (got == want)
			probe_ok(p);
		else
			probe_missing(p, "clone3 gave another pid than the one asked for");
		return;
	}
	probe_unknown(p, "clone3: the pid asked for was taken each time");
}

static int new_timer(int *id)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };

	return syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, id) < 0 ? -errno : 0;
}

void probe_timer_ids(struct probe *p, int arg)
{
	int id = 4711, ret;

	if (prctl(FP_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0) < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "prctl PR_TIMER_CREATE_RESTORE_IDS");
		return;
	}
	ret = new_timer(&id);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "timer_create with a chosen id");
	else if (id != 4711)
		probe_missing(p, "timer_create does not give the chosen id");
	else
		probe_ok(p);
}

void probe_proc_timers(struct probe *p, int arg)
{
	cleanup_free char *text = NULL;
	int id = 0, ret = new_timer(&id);

	if (ret < 0) {
		probe_errno(p, -ret, NO_CAP, NO_CAP, "timer_create");
		return;
	}
	ret = read_file_at(AT_FDCWD, "/proc/self/timers", 1 << 20, &text, NULL);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "read /proc/PID/timers");
	else if (!strstr(text, "ClockID:"))
		probe_missing(p, "/proc/PID/timers does not show a timer");
	else
		probe_ok(p);
}

void probe_proc_children(struct probe *p, int arg)
{
	cleanup_target pid_t pid = target_start(p);
	cleanup_free char *text = NULL;
	char want[16];
	int ret;

	if (pid < 0)
		return;
	ret = read_file_at(AT_FDCWD, "/proc/thread-self/children", 1 << 20, &text, NULL);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "read /proc/PID/task/TID/children");
	else if (snprintf(want, sizeof(want), "%d ", (int)pid), strcmp(text, want))
		probe_missing(p, "/proc/PID/task/TID/children does not show a child");
	else
		probe_ok(p);
}

void probe_membarrier(struct probe *p, int arg)
{
	if (syscall(SYS_membarrier, 1 << 9, 0, 0) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "membarrier GET_REGISTRATIONS");
	else
		probe_ok(p);
}

/* Writes back what is there; it holds for this child only. */
void probe_loginuid(struct probe *p, int arg)
{
	cleanup_free char *text = NULL;
	cleanup_fd int fd = -1;
	size_t len;
	int ret = read_file_at(AT_FDCWD, "/proc/self/loginuid", 64, &text, &len);

	if (ret < 0) {
		probe_errno(p, -ret, NO_CAP, NO_CAP, "read /proc/self/loginuid");
		return;
	}
	fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, len) < 0)
		probe_errno(p, errno, CAP_AUDIT_CONTROL, NO_CAP, "write /proc/self/loginuid");
	else
		probe_ok(p);
}

void probe_timerfd(struct probe *p, int arg)
{
	cleanup_fd int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct itimerspec far = { .it_value = { .tv_sec = 1000000 } };
	uint64_t ticks = 5;

	if (fd < 0 || timerfd_settime(fd, 0, &far, NULL) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "timerfd");
	else if (ioctl(fd, _IOW('T', 0, uint64_t), &ticks) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "TFD_IOC_SET_TICKS");
	else if (read(fd, &ticks, sizeof(ticks)) != sizeof(ticks) || ticks != 5)
		probe_missing(p, "TFD_IOC_SET_TICKS sets nothing");
	else
		probe_ok(p);
}

static void fdinfo_has(struct probe *p, int fd, const char *line)
{
	cleanup_free char *text = NULL;
	char path[48];
	int ret;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	ret = read_file_at(AT_FDCWD, path, 1 << 20, &text, NULL);
	if (ret < 0)
		probe_errno(p, -ret, NO_CAP, NO_CAP, "read /proc/PID/fdinfo");
	else if (!strstr(text, line))
		probe_missing(p, "/proc/PID/fdinfo has no line \"%s\"", line + 1);
	else
		probe_ok(p);
}

void probe_fdinfo_lock(struct probe *p, int arg)
{
	cleanup_fd int fd = memfd_create("cr-check", MFD_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "flock of a memfd");
	else
		fdinfo_has(p, fd, "\nlock:");
}

void probe_mnt_id(struct probe *p, int arg)
{
	cleanup_fd int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	fdinfo_has(p, fd, "\nmnt_id:");
}

void probe_tmpfile(struct probe *p, int arg)
{
	cleanup_fd int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		probe_ok(p);
	else if (errno == EISDIR)
		probe_missing(p, "O_TMPFILE in /tmp: %s", strerror(errno));
	else if (errno == ENOENT)
		probe_unknown(p, "O_TMPFILE in /tmp: %s", strerror(errno));
	else
		probe_errno(p, errno, NO_CAP, NO_CAP, "O_TMPFILE in /tmp");
}

void probe_openat2(struct probe *p, int arg)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	cleanup_fd int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "openat2");
	else
		probe_ok(p);
}

void probe_namespace(struct probe *p, int flag)
{
	static const struct { int flag; const char *file; } kinds[] = {
		{ CLONE_NEWNS, "/proc/self/ns/mnt" }, { CLONE_NEWUTS, "/proc/self/ns/uts" }, { CLONE_NEWIPC, "/proc/self/ns/ipc" },
		{ CLONE_NEWPID, "/proc/self/ns/pid" }, { CLONE_NEWNET, "/proc/self/ns/net" },
		{ CLONE_NEWUSER, "/proc/self/ns/user" }, { CLONE_NEWCGROUP, "/proc/self/ns/cgroup" },
		{ CLONE_NEWTIME, "/proc/self/ns/time" },
	};

	/* Without the kind the call says EINVAL, or EPERM before it looks: the file tells these apart. */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].flag == flag && access(kinds[i].file, F_OK) < 0 && access("/proc/self/ns", F_OK) == 0) {
			probe_missing(p, "%s does not exist", kinds[i].file);
			return;
		}
	if (syscall(SYS_unshare, flag) == 0)
		probe_ok(p);
	else
		probe_errno(p, errno, flag == CLONE_NEWUSER ? NO_CAP : CAP_SYS_ADMIN, NO_CAP, "unshare");
}

void probe_amx(struct probe *p, int arg)
{
	uint64_t mask = 0;

	if (syscall(SYS_arch_prctl, FP_ARCH_GET_XCOMP_SUPP, &mask) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "arch_prctl ARCH_GET_XCOMP_SUPP");
	else if ((mask >> 17 & 3) != 3)
		probe_missing(p, "the processor has none");
	else
		probe_ok(p);
}

/*
 * One system call without a function: between switching a shadow stack on and off no function may return, because the new
 * shadow stack knows none of the callers.
 */
#define RAW_CALL(nr, a, b)                                                                                          \
	({                                                                                                          \
		long ret_;                                                                                          \
		__asm__ volatile("syscall" : "=a"(ret_) : "0"((long)(nr)), "D"((long)(a)), "S"((long)(b))           \
				 : "rcx", "r11", "memory");                                                         \
		ret_;                                                                                               \
	})

void probe_shadow_stack(struct probe *p, int arg)
{
	long ret = RAW_CALL(SYS_arch_prctl, FP_ARCH_SHSTK_ENABLE, FP_ARCH_SHSTK_SHSTK);

	if (!ret)
		ret = RAW_CALL(SYS_arch_prctl, FP_ARCH_SHSTK_DISABLE, FP_ARCH_SHSTK_SHSTK);
	if (ret < 0)
		probe_errno(p, (int)-ret, NO_CAP, NO_CAP, "arch_prctl ARCH_SHSTK_ENABLE");
	else
		probe_ok(p);
}

/* Confines this child to what it can do anyway: the only right that is handled is to run programs. */
void probe_landlock(struct probe *p, int arg)
{
	uint64_t handled_access_fs = 1; /* LANDLOCK_ACCESS_FS_EXECUTE; the first version of the structure ends here */
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	cleanup_fd int ruleset = -1;

	if (version < 0) {
		probe_errno(p, errno, NO_CAP, NO_CAP, "landlock_create_ruleset");
		return;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled_access_fs, sizeof(handled_access_fs), 0);
	if (ruleset < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "landlock_create_ruleset");
	else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "landlock_restrict_self");
	else
		probe_detail(p, "version %ld", version);
}

void probe_seccomp(struct probe *p, int arg)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "prctl PR_SET_NO_NEW_PRIVS");
	else if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		probe_errno(p, errno, CAP_SYS_ADMIN, NO_CAP, "seccomp");
	else
		probe_ok(p);
}

void probe_io_uring(struct probe *p, int arg)
{
	char params[120] __attribute__((aligned(8))) = { 0 };
	cleanup_fd int fd = (int)syscall(SYS_io_uring_setup, 1, params);

	if (fd < 0)
		probe_errno(p, errno, NO_CAP, NO_CAP, "io_uring_setup");
	else
		probe_ok(p);
}

void probe_capability(struct probe *p, int cap)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	int bound = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
	struct stat st;

	if (syscall(SYS_capget, &head, data) < 0) {
		probe_unknown(p, "capget: %s", strerror(errno));
		return;
	}
	if (data[cap / 32].effective >> cap % 32 & 1) {
		/* PROC_USER_INIT_INO: the first user namespace has always this number. */
		if (!stat("/proc/self/ns/user", &st) && st.st_ino != 0xEFFFFFFDul)
			probe_detail(p, "inside this user namespace only");
		else
			probe_ok(p);
	} else if (cap == CAP_CHECKPOINT_RESTORE && data[0].effective >> CAP_SYS_ADMIN & 1) {
		probe_detail(p, "by CAP_SYS_ADMIN");
	} else if (bound < 0 && errno == EINVAL) {
		probe_missing(p, "this kernel does not know the capability");
	} else {
		p->state = FEATURE_NO_PERMISSION;
		snprintf(p->why, sizeof(p->why), "not in the effective set%s", bound ? "" : ", and the bounding set withholds it");
	}
}
