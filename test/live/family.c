/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * family KIND [N]: makes a tree of processes, creates the file `ready`, and lives on.
 *
 *	wide N	 a parent and N children		deep N	 a chain of N generations
 *	bomb	 forks as fast as it may, for ever	dead	 children that ended: exit 7, SIGKILL, SIGSEGV
 *	files	 a child with the same descriptor table	vm	 a child in the same address space
 *	fs	 a child with the same directories	vfork	 a child that never execs
 *	orphans	 a subreaper whose children end and leave grandchildren to it, again and again
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void ready(void)
{
	close(open("ready", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static void live(void)
{
	for (;;)
		pause();
}

static void deep(int n, int go)
{
	for (; n; n--) {
		pid_t pid = fork();

		if (pid < 0)
			abort();
		if (pid)
			live();
	}
	if (write(go, "", 1) != 1)
		abort();
	live();
}

static void bomb(void)
{
	for (;;)
		if (fork() < 0)
			usleep(20000);
}

static void dead(void)
{
	if (!fork())
		_exit(7);
	if (!fork())
		raise(SIGKILL);
	if (!fork()) {
		setsid();
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	for (int i = 0; i < 3; i++) {
		siginfo_t si;

		/* Looked at, not taken away. */
		while (waitid(P_ALL, 0, &si, WEXITED | WNOWAIT))
			;
		usleep(20000);
	}
}

/* Grandchildren change their parent all the time. */
static void orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	ready();
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!fork()) {
			if (!fork()) {
				usleep(3000);
				_exit(0);
			}
			_exit(0);
		}
		wait(NULL);
	}
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0, go[2];
	unsigned long flags = 0;
	char c;

	if (pipe2(go, O_CLOEXEC))
		return 1;
	if (!strcmp(kind, "bomb")) {
		ready();
		bomb();
	} else if (!strcmp(kind, "orphans")) {
		orphans();
	} else if (!strcmp(kind, "wide")) {
		while (n--) {
			pid_t pid = fork();

			if (pid < 0)
				abort();
			if (!pid)
				live();
		}
	} else if (!strcmp(kind, "deep")) {
		if (!fork())
			deep(n - 1, go[1]);
		if (read(go[0], &c, 1) != 1)
			abort();
	} else if (!strcmp(kind, "dead")) {
		dead();
	} else if (!strcmp(kind, "vfork")) {
		if (!fork()) { /* who looks on, as the parent sleeps until its child ends */
			usleep(50000);
			ready();
			live();
		}
		syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) || (live(), 0);
	} else {
		flags = !strcmp(kind, "files") ? CLONE_FILES : !strcmp(kind, "fs") ? CLONE_FS : CLONE_VM;
		if (flags == CLONE_VM) {
			static char stack[65536] __attribute__((aligned(16)));

			clone((int (*)(void *))(void *)pause, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		} else if (!syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0)) {
			live();
		}
	}
	ready();
	live();
}
