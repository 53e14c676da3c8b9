/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused before the target runs a single instruction of ours. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "common/base/io.h"
#include "common/dump/identity.h"
#include "common/feature/feature.h"
#include "common/task/seccomp.h"
#include "common/task/kin.h"
#include "common/task/task.h"

#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif
#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#endif
#define SCHED_CORE_GET 0
#define SCHED_CORE_SCOPE_THREAD 0
#define IO_FLUSHER_FLAGS \
	(0x00080000u | 0x00100000u) /* PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE, set by PR_SET_IO_FLUSHER */

/* The process as a whole is in the dumper's namespaces (identity.c). A single thread may have left some of them, and
 * children may be meant for others. */
static const char *const leader_namespaces[] = { "pid_for_children", "time_for_children", NULL };
/* Not the mount namespace: who changes it has an fs_struct of its own (unshare_fs() and mntns_install()), and
 * check_shared() saw. */
static const char *const thread_namespaces[] = { "net", "uts", "ipc", "cgroup", NULL };

#define EXITING 0x4 /* PF_EXITING, set before a thread loses what it shares (kernel/exit.c, do_exit()) */

/* What looks as if it were its own is that it has nothing any more: somebody killed the process. */
static bool is_ending(const struct dump *d, pid_t tid)
{
	struct err ignore = ERR_INIT;
	struct proc_stat st;
	char path[64];

	snprintf(path, sizeof(path), "task/%d/stat", tid);
	return proc_stat(d->task->proc_fd, path, &st, &ignore) || st.state == 'Z' || st.state == 'X' || st.flags & EXITING;
}

static int ended(pid_t tid, struct err *err)
{
	return err_set(err, ERR_FAILED, ESRCH, "thread %d was killed", tid);
}

static int check_namespaces(const struct dump *d, pid_t tid, const char *const *names, struct err *err)
{
	char path[THREAD_PATH_MAX];
	cleanup_fd int dir = -1;

	dump_thread_path(d->task, tid, "ns", path);
	dir = openat(d->task->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "cannot read the namespaces of thread %d", tid);
	for (size_t i = 0; names[i]; i++) {
		const char *own = identity_own_link(d, names[i]);
		char its[64] = "";

		if (!*own)
			continue;
		/* Before its first child, an unshared pid namespace has no link. */
		if (readlinkat(dir, names[i], its, sizeof(its) - 1) < 0 && errno != ENOENT)
			return err_sys(err, "cannot read which %s namespace thread %d is in", names[i], tid);
		if (strcmp(own, its) && is_ending(d, tid))
			return ended(tid, err);
		if (strcmp(own, its))
			err_refuse(err, "thread %d has a %s namespace of its own (%s, the dumper's is %s)", tid, names[i],
				   its[0] ? its : "empty", own);
		if (strcmp(own, its) && dump_note(d, -EINVAL, err))
			return -EINVAL;
	}
	return 0;
}

/* What the first task told of this kernel, and all others would tell again. */
struct kernel_has { bool no_cookies, no_labels; };

static struct kernel_has *kernel_has(struct dump *d)
{
	static const char key;
	bool fresh;

	return dump_recall(d, &key, sizeof(struct kernel_has), &fresh);
}

static int check_label(struct dump *d, struct err *err)
{
	struct kernel_has *kernel = kernel_has(d);
	cleanup_free char *label = NULL;
	size_t len;
	int ret;

	if (kernel->no_labels)
		return 0;
	/* EINVAL or ENOENT: no security module that labels. */
	ret = read_file_at(d->task->proc_fd, "attr/current", 4096, &label, &len);
	kernel->no_labels = ret == -EINVAL; /* the other one may be the end of the task */
	if (ret || !len)
		return 0;
	label[strcspn(label, "\n")] = '\0';
	if (!label[0] || !strcmp(label, "unconfined") || !strncmp(label, "unconfined_u:", 13))
		return 0;
	return err_refuse(err, "it has the security label %s", label);
}

/* Threads of a process share these unless one called unshare(2). */
static int check_shared(const struct dump *d, pid_t tid, struct err *err)
{
	static const struct { int type; const char *what; } shared[] = {
		{ KCMP_FILES, "descriptor table" },
		{ KCMP_FS, "working directory and root" },
		{ KCMP_SYSVSEM, "list of semaphore adjustments" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(shared); i++) {
		long r = syscall(SYS_kcmp, d->task->tid, tid, shared[i].type, 0, 0);

		if (r < 0) {
			int errnum = errno, ret = feature_blame("kcmp", errnum, err);

			return ret ? ret
				   : err_set(err, ERR_FAILED, errnum, "cannot compare thread %d with its leader", tid);
		}
		if (r && (is_ending(d, tid) || is_ending(d, d->task->tid)))
			return ended(tid, err);
		if (r && dump_note(d, err_refuse(err, "thread %d has a %s of its own", tid, shared[i].what), err))
			return -EINVAL;
	}
	return 0;
}

/* What would make the agent's own calls go astray, and what only the tracing thread may ask. */
static int check_thread(struct dump *d, const struct dump_thread *thread, bool *no_cookies, struct err *err)
{
	struct { uint64_t mode, selector, offset, len; } dispatch = { 0 };
	pid_t tid = thread->frozen->tid;
	uint64_t cookie = 0;

	if (!ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, sizeof(dispatch), &dispatch) && dispatch.mode) {
		d->task->closed = true;
		if (dump_note(d, err_refuse(err, "thread %d uses PR_SET_SYSCALL_USER_DISPATCH", tid), err))
			return -EINVAL;
	}
	if (!*no_cookies && prctl(PR_SCHED_CORE, SCHED_CORE_GET, tid, SCHED_CORE_SCOPE_THREAD, &cookie) < 0)
		*no_cookies = errno == EINVAL || errno == ENODEV; /* not built in, or no SMT */
	if (cookie)
		return err_refuse(err, "thread %d has a core scheduling cookie (PR_SCHED_CORE)", tid);
	return 0;
}

int task_check(struct dump *d, struct err *err)
{
	struct kernel_has *kernel = kernel_has(d);

	for (size_t i = d->task->fz.speaker; i < d->task->nthreads; i++) {
		int ret = dump_note(d, check_thread(d, &d->task->threads[i], &kernel->no_cookies, err), err);

		if (!ret)
			ret = seccomp_look(d, &d->task->threads[i], err);
		d->task->closed |= ret != 0;
		ret = dump_note(d, ret, err);
		if (ret)
			return ret;
	}
	d->task->threads[0].seccomp = d->task->threads[d->task->fz.speaker].seccomp;
	if ((d->task->stat.flags & IO_FLUSHER_FLAGS) == IO_FLUSHER_FLAGS &&
	    dump_note(d, err_refuse(err, "it is marked by PR_SET_IO_FLUSHER"), err))
		return -EINVAL;
	return dump_note(d, check_label(d, err), err);
}

int task_check_threads(const struct dump *d, struct err *err)
{
	int ret = d->task->kin & KIN_NAMESPACES ? 0 : check_namespaces(d, d->task->tid, leader_namespaces, err);

	for (size_t i = d->task->fz.speaker + 1; i < d->task->nthreads && !ret; i++) {
		const struct dump_thread *t = &d->task->threads[i];
		pid_t tid = t->frozen->tid;

		if (!(t->alike & ALIKE_SHARED))
			ret = check_shared(d, tid, err);
		if (!ret && !(t->alike & ALIKE_NAMESPACES))
			ret = check_namespaces(d, tid, thread_namespaces, err);
	}
	return ret;
}
