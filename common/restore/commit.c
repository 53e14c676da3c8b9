/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The moment from which a restored tree stays, whatever becomes of the restorer. The threads of a single process live or die
 * together: the moment is when the last of them loses PTRACE_O_EXITKILL. Of a tree, the tasks that have lost it would stay
 * when the restorer dies, and the others would die with it. So a guard takes over: it kills all of them when the restorer ends
 * before it has said the word, and the kernel lets all of them go when it ends after.
 */
#include "common/restore/commit.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Only system calls: other threads of the restorer may have held locks of the C library when it was copied. */
_Noreturn static void guard_main(const struct births *b, int fd)
{
	char word;
	ssize_t n;

	syscall(SYS_setsid); /* a terminal's signals are not for it */
	do
		n = recv(fd, &word, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	for (size_t i = 0; i < b->plan->ntasks; i++)
		if (b->plan->tasks[i].kind == TASK_IS_LIVE)
			kill(b->plan->tasks[i].pid, SIGKILL);
	_exit(1);
}

int commit_open(struct commit *c, const struct births *b, struct err *err)
{
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND };
	uint64_t all = ~0ull, before;
	int fd[2];
	long pid;

	*c = (struct commit){ .fd = -1 };
	if (b->plan->ntasks == 1)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd))
		return err_sys(err, "socketpair");
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid) {
		close(fd[1]);
		guard_main(b, fd[0]);
	}
	int errnum = errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
	close(fd[0]);
	c->fd = fd[1];
	if (pid < 0) {
		errno = errnum;
		return err_sys(err, "a process that guards the tree");
	}
	c->guard = (pid_t)pid;
	return 0;
}

static void wait_guard(struct commit *c)
{
	while (c->guard && waitpid(c->guard, NULL, __WALL) < 0 && errno == EINTR)
		;
	c->guard = 0;
}

int commit_tree(struct commit *c, const struct births *b, struct err *err)
{
	/* Letting go does it, too; but a connection must not be loud before. */
	if (c->fd < 0 && !b->plan->tcp)
		return 0;
	for (size_t i = 0; i < b->plan->ntasks; i++) {
		const struct plan_task *pt = &b->plan->tasks[i];

		for (size_t k = 0; pt->kind == TASK_IS_LIVE && k < pt->nthreads; k++)
			if (ptrace(PTRACE_SETOPTIONS, pt->threads[k].tid, 0, 0))
				return err_sys(err, "PTRACE_SETOPTIONS for thread %d", pt->threads[k].tid);
	}
	if (c->fd >= 0 && send(c->fd, "", 1, MSG_NOSIGNAL) != 1)
		return err_sys(err, "the process that guards the tree");
	wait_guard(c); /* it has duplicates of everything */
	return 0;
}

void commit_close(struct commit *c)
{
	if (c->fd >= 0)
		close(c->fd);
	wait_guard(c);
	*c = (struct commit){ .fd = -1 };
}
