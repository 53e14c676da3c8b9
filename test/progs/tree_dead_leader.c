/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Processes whose first thread has ended while others live on: of the root, with a file, a signal handler, pending signals and a
 * child of its own; and of a child, which then ends.
 */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static pid_t leader, child;
static volatile int caught;
static int fd;
static void *memory;

static void on_usr1(int sig)
{
	caught = sig;
}

/* State of a thread of this process: the letter of its stat. */
static char state_of(pid_t pid, pid_t tid)
{
	char path[64], line[256];
	const char *end;
	ssize_t n;
	int f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(f >= 0);
	n = read(f, line, sizeof(line) - 1);
	CHECK(n > 0);
	close(f);
	line[n] = 0;
	end = strrchr(line, ')');
	CHECK(end && end[1] == ' ');
	return end[2];
}

static void until_dead(pid_t pid)
{
	for (int i = 0; state_of(pid, pid) != 'Z'; i++) {
		CHECK(i < 10000);
		test_sleep_ms(3);
	}
}

static void *childs_thread(void *arg)
{
	while (!*(volatile int *)memory)
		test_sleep_ms(3);
	syscall(SYS_exit, 42); /* since 5.18 the last thread's code counts, before that the first one's */
	return arg;
}

static void childs_leader(void)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, childs_thread, NULL));
	syscall(SYS_exit, 42);
}

static void *second(void *arg)
{
	sigset_t set, pending;
	char text[8] = "";
	struct sigaction sa;
	int status;

	pthread_join(*(pthread_t *)arg, NULL);
	until_dead(leader);
	until_dead(child);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	CHECK(!kill(getpid(), SIGUSR2));

	test_ready();

	CHECK_EQ(getpid(), leader);
	CHECK(gettid() != leader);
	until_dead(leader); /* it had a moment to end again */
	until_dead(child);
	CHECK(!sigpending(&pending) && sigismember(&pending, SIGUSR2));
	CHECK(!sigaction(SIGUSR1, NULL, &sa) && sa.sa_handler == on_usr1);
	CHECK(!kill(getpid(), SIGUSR1));
	CHECK_EQ(caught, SIGUSR1);
	CHECK_EQ(pread(fd, text, sizeof(text), 0), 5);
	CHECK(!strcmp(text, "hello"));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	*(volatile int *)memory = 1;
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 42);
	pass();
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	static pthread_t self;
	pthread_t t;

	int thread = (int)syscall(SYS_pidfd_open, getpid(), O_EXCL);

	if (thread < 0)
		TEST_SKIP("no PIDFD_THREAD here: files of such a process cannot be had");
	close(thread);
	self = pthread_self();
	leader = getpid();
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK(!sigaction(SIGUSR1, &sa, NULL));
	fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		childs_leader();
	CHECK(!pthread_create(&t, NULL, second, &self));
	pthread_exit(NULL);
}
