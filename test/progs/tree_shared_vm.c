/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Processes that share what threads share without being threads: memory, signal handlers, descriptors, directories; one that
 * shares memory alone, one of such a process that shares nothing, and one whose end tells its parent by another signal.
 */
#include "test.h"

#include <linux/kcmp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { ALL, MEMORY, COPY, DIRECTORY, ROLES };
struct stand { volatile int up, go, sum, wrong; pid_t pid, ppid; };
static struct stand *s; /* shared with all of them */
static volatile int counter; /* shared with whom the memory is shared */
static volatile int caught;
static char stacks[2][65536] __attribute__((aligned(64)));

static void on_usr1(int sig)
{
	caught = sig;
}

static void on_usr2(int sig)
{
	caught = sig;
}

/* Has no thread-local memory of its own: no errno, nothing of the C library that needs more than the call. */
static void nap(void)
{
	struct timespec ts = { 0, 2000000 };

	syscall(SYS_nanosleep, &ts, NULL);
}

static void stand(struct stand *me)
{
	me->ppid = (pid_t)syscall(SYS_getppid);
	me->up = 1;
	while (!me->go)
		nap();
	if ((pid_t)syscall(SYS_getppid) != me->ppid || (pid_t)syscall(SYS_getpid) != me->pid)
		me->wrong = 1;
}

static void rest(struct stand *me)
{
	me->up = 2;
	for (;;)
		nap();
}

/* With everything: what it does to handlers, directory and descriptors happens to its parent. */
static int all(void *arg)
{
	struct sigaction sa = { .sa_handler = on_usr2 };

	(void)arg;
	s[ALL].pid = (pid_t)syscall(SYS_getpid);
	stand(&s[ALL]);
	counter += 100;
	syscall(SYS_chdir, "/");
	sigaction(SIGUSR1, &sa, NULL);
	syscall(SYS_dup3, 0, 77, O_CLOEXEC);
	rest(&s[ALL]);
	return 0;
}

/* With the memory alone; it has a child with a copy of that. */
static int memory(void *arg)
{
	(void)arg;
	s[MEMORY].pid = (pid_t)syscall(SYS_getpid);
	if (!syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) {
		s[COPY].pid = (pid_t)syscall(SYS_getpid);
		counter = 5000;
		stand(&s[COPY]);
		s[COPY].sum = counter;
		rest(&s[COPY]);
	}
	stand(&s[MEMORY]);
	counter += 1000;
	syscall(SYS_chdir, "/");
	syscall(SYS_dup3, 0, 78, O_CLOEXEC);
	rest(&s[MEMORY]);
	return 0;
}

static void until(struct stand *t, int up)
{
	while (t->up < up)
		nap();
}

static void go(struct stand *t)
{
	t->go = 1;
	until(t, 2);
	CHECK(!t->wrong);
}

static long same(pid_t a, pid_t b, int type)
{
	return syscall(SYS_kcmp, a, b, type, 0, 0) == 0;
}

int main(void)
{
	char dir[PATH_MAX], now[PATH_MAX];
	struct sigaction sa = { .sa_handler = on_usr1 };
	const pid_t self = getpid();
	int status;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED);
	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	CHECK(getcwd(dir, sizeof(dir)));
	counter = 7;
	CHECK(clone(all, stacks[0] + sizeof(stacks[0]), CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | SIGCHLD, NULL) > 0);
	CHECK(clone(memory, stacks[1] + sizeof(stacks[1]), CLONE_VM | SIGUSR2, NULL) > 0);
	until(&s[COPY], 1);
	s[DIRECTORY].pid = (pid_t)syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	if (!s[DIRECTORY].pid) {
		s[DIRECTORY].pid = (pid_t)syscall(SYS_getpid);
		stand(&s[DIRECTORY]);
		CHECK(!chdir("/proc"));
		umask(0135);
		counter = 1;
		rest(&s[DIRECTORY]);
	}
	for (int i = 0; i < ROLES; i++)
		until(&s[i], 1);

	test_ready();

	CHECK_EQ(getpid(), self);
	for (int i = 0; i < ROLES; i++) {
		CHECK_EQ(same(self, s[i].pid, KCMP_VM), i == ALL || i == MEMORY);
		CHECK_EQ(same(self, s[i].pid, KCMP_FS), i == ALL || i == DIRECTORY);
		CHECK_EQ(same(self, s[i].pid, KCMP_FILES), i == ALL);
		CHECK_EQ(same(self, s[i].pid, KCMP_SIGHAND), i == ALL);
	}
	CHECK_EQ(s[COPY].ppid, s[MEMORY].pid);
	CHECK(getcwd(now, sizeof(now)) && !strcmp(now, dir));
	go(&s[MEMORY]);
	CHECK_EQ(counter, 1007);
	CHECK_EQ(fcntl(78, F_GETFD), -1);
	CHECK(getcwd(now, sizeof(now)) && !strcmp(now, dir));
	CHECK(!raise(SIGUSR1));
	CHECK_EQ(caught, SIGUSR1);
	go(&s[ALL]);
	CHECK_EQ(counter, 1107);
	CHECK_EQ(fcntl(77, F_GETFD), FD_CLOEXEC);
	CHECK(getcwd(now, sizeof(now)) && !strcmp(now, "/"));
	CHECK(!sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_handler == on_usr2);
	go(&s[COPY]);
	CHECK_EQ(s[COPY].sum, 5000);
	CHECK_EQ(counter, 1107);
	go(&s[DIRECTORY]);
	CHECK(getcwd(now, sizeof(now)) && !strcmp(now, "/proc"));
	CHECK_EQ(umask(022), 0135);
	CHECK(!chdir(dir));
	/* Whose end is told by SIGUSR2: only for who asks. */
	signal(SIGUSR2, on_usr2);
	caught = 0;
	CHECK(!kill(s[MEMORY].pid, SIGKILL));
	CHECK_EQ(waitpid(s[MEMORY].pid, &status, 0), -1);
	CHECK_EQ(errno, ECHILD);
	CHECK_EQ(waitpid(s[MEMORY].pid, &status, __WCLONE), s[MEMORY].pid);
	CHECK_EQ(caught, SIGUSR2);
	for (int i = 0; i < ROLES; i++)
		kill(s[i].pid, SIGKILL);
	pass();
}
