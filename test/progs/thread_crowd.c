/* SPDX-License-Identifier: GPL-2.0-or-later */
/* So many threads that they are not looked at one by one: most have what they began with, some have of each thing something else. */
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

enum { THREADS = 600, ODD_EVERY = 40 };

static char group[] = "/sys/fs/cgroup/freezer/cr-crowd-XXXXXX", tasks[sizeof(group) + 8];
static int wait_here[2];
static _Atomic unsigned ready;

static char other_stack[65536];

static void other_cgroup(void)
{
	int fd = open(tasks, O_WRONLY);

	if (fd < 0) /* not on this machine */
		return;
	CHECK(write(fd, "0", 1) == 1);
	close(fd);
}

static void send_self(int signo)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	CHECK(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	CHECK(!pthread_kill(pthread_self(), signo));
}

static void filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

/* Raw calls: the C library would change all threads. */
static void make(long which)
{
	const gid_t groups[] = { 5, 77 };

	switch (which) {
	case 0:
		CHECK(!syscall(SYS_setresuid, 1000, 2000, 3000));
		break;
	case 1:
		CHECK(!syscall(SYS_setgroups, 2, groups));
		break;
	case 2:
		CHECK(!prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM));
		break;
	case 3:
		CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		break;
	case 4:
		filter();
		break;
	case 5:
		send_self(SIGUSR1);
		break;
	case 6:
		send_self(SIGRTMAX - 1);
		break;
	case 7:
		CHECK(!prctl(PR_SET_NAME, "a\nb\\c d\tfifteen"));
		break;
	case 8:
		other_cgroup();
		break;
	case 9:
		CHECK(!prctl(PR_SET_NAME, ""));
		break;
	case 10:
		CHECK(!prctl(PR_SET_TIMERSLACK, 123456));
		break;
	case 11:
		CHECK(!sigaltstack(&(stack_t){ .ss_sp = other_stack, .ss_size = sizeof(other_stack) }, NULL));
		break;
	case 12:
		CHECK(!prctl(PR_SET_PDEATHSIG, SIGURG));
		break;
	case 13:
		prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
		break;
	case 14:
		CHECK(!prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
		break;
	}
}

static size_t add_file(char *out, size_t at, size_t n, const char *name)
{
	static const char *const mine[] = { "Name", "Uid", "Gid", "Groups", "SigPnd", "ShdPnd", "SigBlk", "Cap", "NoNew", "Seccomp" };
	char path[64], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", gettid(), name);
	f = fopen(path, "r");
	CHECK(f || !strcmp(name, "cgroup"));
	while (f && fgets(line, sizeof(line), f)) {
		bool wanted = !strcmp(name, "cgroup");

		for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
			wanted |= !strncmp(line, mine[i], strlen(mine[i]));
		if (wanted)
			at += (size_t)snprintf(out + at, n - at, "%s", line);
	}
	if (f)
		fclose(f);
	return at;
}

/* What it is asked itself. */
static size_t add_answers(char *out, size_t at, size_t n)
{
	unsigned long clear_tid = 0;
	int pdeath = 0;
	stack_t stack;

	CHECK(!sigaltstack(NULL, &stack) && !prctl(PR_GET_PDEATHSIG, &pdeath));
	prctl(PR_GET_TID_ADDRESS, &clear_tid);
	return at + (size_t)snprintf(out + at, n - at, "stack %p %zu %d slack %d pdeath %d mce %d clear_tid %lx securebits %d\n",
				     stack.ss_sp, stack.ss_size, stack.ss_flags, prctl(PR_GET_TIMERSLACK), pdeath,
				     prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), clear_tid, prctl(PR_GET_SECUREBITS));
}

static void picture(char *out, size_t n)
{
	add_answers(out, add_file(out, add_file(out, 0, n, "status"), n, "cgroup"), n);
}

static void *thread(void *arg)
{
	const long i = (long)arg;
	char before[4096], now[4096], byte;

	if (i % ODD_EVERY == ODD_EVERY - 1)
		make(i / ODD_EVERY);
	picture(before, sizeof(before));
	ready++;
	CHECK(read(wait_here[0], &byte, 1) == 0);
	picture(now, sizeof(now));
	for (size_t at = 0; before[at] || now[at]; at++)
		if (before[at] != now[at])
			fail("thread %ld had\n%.400s\nand now has\n%.400s", i, before + (at < 40 ? 0 : at - 40), now + (at < 40 ? 0 : at - 40));
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];
	pthread_attr_t attr;
	const bool grouped = mkdtemp(group);

	snprintf(tasks, sizeof(tasks), "%s/tasks", group);
	CHECK(!pipe(wait_here));
	CHECK(!pthread_attr_init(&attr) && !pthread_attr_setstacksize(&attr, 65536));
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], &attr, thread, (void *)i));
	while (ready < THREADS)
		test_sleep_ms(5);
	test_ready();
	close(wait_here[1]);
	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	/* A thread that has ended is for a moment in its group. */
	for (int tries = 0; grouped && tries < 2000 && rmdir(group) && errno == EBUSY; tries++)
		test_sleep_ms(5);
	pass();
}
