// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stand-ins: the kernel keeps who called listen(2), connect(2) or socketpair(2), and shows him to the peer (SO_PEERCRED). So such
 * steps of the controller's program are made by a process with that pid and those credentials, which shares our descriptors and our
 * directories. It is gone before the task is made whose number it had.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/restore/inner.h"

#define TRIES 6 /* of 2, 4, 8, ... ms: a number that was just given back is free a little later (release_task()) */

enum { OURS, ITS, OVER };
/* In memory that both see. */
struct call {
	_Atomic uint32_t turn;
	const struct plan_identity *who;
	size_t n, done;
	int refused; /* errno: the calls were made with other ids */
	struct stand_in_call calls[STAND_IN_CALLS];
};

struct stand_in { pid_t wants, pid; bool warned; struct call *call; struct stand_in *next; };

static void pass_turn(struct call *c, uint32_t turn)
{
	atomic_store(&c->turn, turn);
	syscall(SYS_futex, &c->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool same_groups(const struct plan_identity *who)
{
	gid_t now[256];
	long n = syscall(SYS_getgroups, ARRAY_SIZE(now), now);

	return n >= 0 && (size_t)n == who->ngroups && (!n || !memcmp(now, who->groups, (size_t)n * sizeof(*now)));
}

/*
 * Effective ids only: with the real ones it may come back. Files are reached as before: the file system ids go back to ours, which
 * gives the capabilities for files again (cap_task_fix_setuid() in security/commoncap.c).
 * Who is that already needs no capability for it.
 */
static int become(const struct plan_identity *who)
{
	const long uid = syscall(SYS_getuid), gid = syscall(SYS_getgid);
	const bool same = same_groups(who);

	if (same && syscall(SYS_getegid) == who->gid && syscall(SYS_geteuid) == who->uid)
		return 0;
	if (syscall(SYS_setresuid, -1, uid, -1) < 0 || (!same && syscall(SYS_setgroups, who->ngroups, who->groups) < 0) ||
	    syscall(SYS_setresgid, -1, who->gid, -1) < 0 || syscall(SYS_setresuid, -1, who->uid, -1) < 0)
		return -errno;
	syscall(SYS_setfsuid, uid);
	syscall(SYS_setfsgid, gid);
	/* A change of credentials takes it away. */
	return syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ? -errno : 0;
}

/* Up to the first that fails: nobody may want those behind it. */
static void make_calls(struct call *c)
{
	for (c->done = 0; c->done < c->n;) {
		struct stand_in_call *v = &c->calls[c->done++];
		long ret = syscall(v->nr, v->a[0], v->a[1], v->a[2], v->a[3], v->a[4], v->a[5]);

		v->result = ret < 0 ? -errno : ret;
		if (ret < 0)
			break;
	}
}

/* Nothing of libc but system calls: another thread may have held a lock at the fork. */
_Noreturn static void stand_in_main(struct call *c, pid_t parent)
{
	const struct plan_identity *now = NULL;
	const struct timespec second = { 1, 0 };

	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;) {
		/* The signal is gone for a moment while credentials change. */
		if (syscall(SYS_getppid) != parent)
			syscall(SYS_exit_group, 1);
		uint32_t turn = atomic_load(&c->turn);
		if (turn == OURS) {
			syscall(SYS_futex, &c->turn, FUTEX_WAIT, OURS, &second, NULL, 0);
			continue;
		}
		if (turn == OVER)
			syscall(SYS_exit_group, 0);
		c->refused = c->who == now ? c->refused : -become(c->who);
		now = c->who;
		make_calls(c);
		pass_turn(c, OURS);
	}
}

static pid_t make(struct call *c, pid_t pid)
{
	/* An array of no numbers is an error, not a wish for any (copy_clone_args_from_user() in kernel/fork.c). */
	struct clone_args args = { .flags = CLONE_FILES | CLONE_FS, .set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0,
				   .set_tid_size = pid ? 1 : 0 };
	const pid_t parent = getpid();

	for (int tries = 0;; tries++) {
		const struct timespec pause = { 0, 2000000 << tries };
		long ret = syscall(SYS_clone3, &args, sizeof(args));

		if (!ret)
			stand_in_main(c, parent);
		if (ret > 0)
			return (pid_t)ret;
		if (errno != EEXIST || tries == TRIES)
			return -errno;
		nanosleep(&pause, NULL);
	}
}

/* Where the number is somebody else's, at least the credentials are right. */
static struct stand_in *get(struct stand_in **list, pid_t wants, const struct log *log, struct err *err)
{
	struct stand_in *s;

	for (s = *list; s; s = s->next)
		if (s->wants == wants)
			return s;
	s = xzalloc(sizeof(*s));
	s->wants = wants;
	s->call = mmap(NULL, sizeof(*s->call), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->call == MAP_FAILED) {
		err_sys(err, "no memory for a stand-in");
		free(s);
		return NULL;
	}
	s->pid = make(s->call, wants);
	if (s->pid < 0) {
		log_warn(log, "a peer of unix sockets was pid %d, which cannot be had here (%s): they will see another number",
			 (int)wants, s->pid == -EEXIST ? "it is in use" : strerror(-s->pid));
		s->pid = make(s->call, 0);
	}
	if (s->pid < 0) {
		err_set(err, ERR_FAILED, -s->pid, "cannot make a stand-in for pid %d", (int)wants);
		munmap(s->call, sizeof(*s->call));
		free(s);
		return NULL;
	}
	s->next = *list;
	return *list = s;
}

int stand_in_calls(struct stand_in **list, const struct plan_identity *who, struct stand_in_call *v, size_t n, size_t *done,
		   const struct log *log, struct err *err)
{
	struct stand_in *s = get(list, who->pid, log, err);
	const struct timespec second = { 1, 0 };

	if (!s)
		return err->errnum ? -err->errnum : -EINVAL;
	s->call->who = who;
	s->call->n = MIN(n, (size_t)STAND_IN_CALLS);
	memcpy(s->call->calls, v, s->call->n * sizeof(*v));
	pass_turn(s->call, ITS);
	while (atomic_load(&s->call->turn) == ITS) {
		if (syscall(SYS_futex, &s->call->turn, FUTEX_WAIT, ITS, &second, NULL, 0) < 0 && errno == ETIMEDOUT &&
		    waitpid(s->pid, NULL, __WALL | WNOHANG) == s->pid) {
			s->pid = 0;
			return err_set(err, ERR_FAILED, ECHILD, "the stand-in for pid %d was killed", (int)who->pid);
		}
	}
	if (s->call->refused && !s->warned) {
		log_warn(log, "a peer of unix sockets was pid %d with uid %u and gid %u, which we cannot take (%s): they will see ours",
			 (int)who->pid, who->uid, who->gid, strerror(s->call->refused));
		s->warned = true;
	}
	*done = s->call->done;
	memcpy(v, s->call->calls, *done * sizeof(*v));
	return 0;
}

void stand_ins_end(struct stand_in **list)
{
	for (struct stand_in *s = *list, *next; s; s = next) {
		next = s->next;
		if (s->pid > 0) {
			pass_turn(s->call, OVER);
			while (waitpid(s->pid, NULL, __WALL) < 0 && errno == EINTR)
				;
		}
		munmap(s->call, sizeof(*s->call));
		free(s);
	}
	*list = NULL;
}
