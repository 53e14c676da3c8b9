/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel keeps of a process as a whole: resource limits, personality, oom_score_adj, coredump filter,
 * subreaper, parent
 * death signal, membarrier registrations, session and group. */
#include <linux/membarrier.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "test.h"

#include <time.h>

#define PERSONA (ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC | UNAME26)

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static long get(const char *path, int base)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtol(text, NULL, base);
}

/* Before Linux 6.3 only by trying, and those of MEMBARRIER_CMD_GLOBAL_EXPEDITED not at all. */
static int registrations(void)
{
	int told = (int)syscall(SYS_membarrier, 1 << 9, 0, 0);

	if (told >= 0)
		return told;
	static const int ways[] = { MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
				    MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ };
	told = 0;
	for (int i = 0; i < 3; i++)
		if (!syscall(SYS_membarrier, ways[i], 0, 0))
			told |= 1 << i;
	return told;
}

/* Permissions of our own data segment: made before READ_IMPLIES_EXEC, it must not become executable. */
static bool data_executable(void)
{
	static int data;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");
	bool found = false, exec = false;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long a, b;
		char perm[5];

		if (sscanf(line, "%lx-%lx %4s", &a, &b, perm) == 3 && (unsigned long)&data >= a && (unsigned long)&data < b) {
			found = true;
			exec = perm[2] == 'x';
		}
	}
	fclose(f);
	CHECK(found);
	return exec;
}

static timer_t timer;

/* Older than the limit that allows none of them. */
static void signal_things(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(!sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 4321 }));
	CHECK(!timer_create(CLOCK_MONOTONIC, &ev, &timer));
}

static void signal_things_are_there(void)
{
	const struct timespec now = { 0, 0 };
	struct itimerspec left;
	timer_t more;
	siginfo_t si;
	sigset_t set;

	CHECK(!timer_gettime(timer, &left));
	CHECK(timer_create(CLOCK_MONOTONIC, NULL, &more) < 0 && errno == EAGAIN);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK(sigtimedwait(&set, &si, &now) == SIGRTMIN && si.si_value.sival_int == 4321);
}

int main(void)
{
	struct rlimit was[RLIM_NLIMITS], now;
	int sub = 0, death = 0, regs;
	pid_t sid = getsid(0), pgid = getpgid(0);

	signal_things();
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		CHECK(!getrlimit((__rlimit_resource_t)i, &was[i]));
		if (i == RLIMIT_SIGPENDING)
			was[i] = (struct rlimit){ 0, 0 };
		else if (i == RLIMIT_STACK)
			was[i].rlim_cur = 1 << 20;
		else if (i == RLIMIT_NOFILE)
			was[i] = (struct rlimit){ 99, 333 };
		else if (i == RLIMIT_CORE)
			was[i] = (struct rlimit){ 4096, 8192 };
		else if (i == RLIMIT_RTTIME)
			was[i] = (struct rlimit){ 1000000, 2000000 };
		else if (i == RLIMIT_FSIZE)
			was[i] = (struct rlimit){ 1 << 20, 1 << 20 };
		CHECK(!setrlimit((__rlimit_resource_t)i, &was[i]));
	}
	put("/proc/self/oom_score_adj", "321");
	put("/proc/self/coredump_filter", "0x15");
	CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	CHECK(!prctl(PR_SET_PDEATHSIG, SIGURG));
	CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	CHECK(!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
	regs = registrations();
	CHECK(personality(PERSONA) >= 0);
	bool exec = data_executable();
	test_ready();
	signal_things_are_there();
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		CHECK(!getrlimit((__rlimit_resource_t)i, &now));
		CHECK_EQ(now.rlim_cur, was[i].rlim_cur);
		CHECK_EQ(now.rlim_max, was[i].rlim_max);
	}
	CHECK_EQ(get("/proc/self/oom_score_adj", 10), 321);
	CHECK_EQ(get("/proc/self/coredump_filter", 16), 0x15);
	CHECK(!prctl(PR_GET_CHILD_SUBREAPER, &sub));
	CHECK_EQ(sub, 1);
	CHECK(!prctl(PR_GET_PDEATHSIG, &death));
	CHECK_EQ(death, SIGURG);
	CHECK_EQ(registrations(), regs);
	CHECK_EQ(personality(0xffffffff), PERSONA);
	CHECK_EQ(data_executable(), exec);
	CHECK_EQ(getsid(0), sid);
	CHECK_EQ(getpgid(0), pgid);
	pass();
}
