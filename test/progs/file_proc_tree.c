/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/* Files of /proc that belong to other processes of the tree: parent's, child's, and of a thread of the child. */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct shared { volatile int ready, go, good; volatile pid_t thread; } *s;

static void *thread(void *arg)
{
	s->thread = (pid_t)syscall(SYS_gettid);
	pthread_setname_np(pthread_self(), "other");
	s->ready++;
	for (;;)
		pause();
	return arg;
}

static bool has_line(int fd, const char *key, int number)
{
	char text[4096], want[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	snprintf(want, sizeof(want), "\n%s:\t%d\n", key, number);
	text[n > 0 ? n : 0] = 0;
	return strstr(text, want);
}

int main(void)
{
	int own = open("/proc/self/status", O_RDONLY), theirs, memory, comm;
	const pid_t self = getpid();
	char path[64], text[16] = "";
	pthread_t t;
	pid_t pid;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED && own >= 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!pthread_create(&t, NULL, thread, NULL));
		while (!s->go)
			test_sleep_ms(2);
		s->good = has_line(own, "Pid", self) ? 1 : -1;
		for (;;)
			pause();
	}
	while (!s->ready)
		test_sleep_ms(1);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	theirs = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, s->thread);
	comm = open(path, O_RDONLY);
	CHECK(theirs >= 0 && memory >= 0 && comm >= 0);
	CHECK_EQ(lseek(theirs, 3, SEEK_SET), 3);

	test_ready();

	CHECK_EQ(lseek(theirs, 0, SEEK_CUR), 3);
	CHECK(has_line(theirs, "Pid", pid));
	CHECK(has_line(theirs, "PPid", self));
	CHECK_EQ(fcntl(theirs, F_GETFD), FD_CLOEXEC);
	CHECK(has_line(own, "Pid", self));
	CHECK_EQ(pread(comm, text, 6, 0), 6);
	CHECK(!strcmp(text, "other\n"));
	CHECK_EQ(pread(memory, &s, sizeof(s), (off_t)(uintptr_t)&s), sizeof(s));
	s->go = 1;
	while (!s->good)
		test_sleep_ms(1);
	CHECK_EQ(s->good, 1);
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	pass();
}
