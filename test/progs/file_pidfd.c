// SPDX-License-Identifier: GPL-2.0-or-later
/* pidfds: of a child, of the process itself, of a thread, of a zombie, of a process that is dead and reaped (twice), and
 * one that an epoll waits for. */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

#define PIDFD_THREAD_ O_EXCL

static pid_t tid;
static int done;

static void *thread(void *arg)
{
	__atomic_store_n(&tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		test_sleep_ms(5);
	return arg;
}

static int pidfd(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	if (fd < 0 && errno == EINVAL)
		TEST_SKIP("no PIDFD_THREAD here");
	CHECK(fd >= 0);
	return fd;
}

/* What fdinfo says of a pidfd. */
static int means(int fd)
{
	char path[64], line[256];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "Pid: %d", &n);
	fclose(f);
	return n;
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	CHECK(pid > 0);
	return pid;
}

static bool readable(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

int main(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 77 };
	int of_child, self, of_thread, of_zombie, dead1, dead2, ep;
	pid_t living, zombie, reaped;
	pthread_t t;
	siginfo_t si;

	CHECK(!pthread_create(&t, NULL, thread, NULL));
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		test_sleep_ms(1);
	living = child();
	zombie = child();
	reaped = child();
	of_child = pidfd(living, O_NONBLOCK);
	self = pidfd(getpid(), 0);
	of_thread = pidfd(tid, PIDFD_THREAD_);
	of_zombie = pidfd(zombie, 0);
	dead1 = pidfd(reaped, 0);
	dead2 = pidfd(reaped, 0);
	kill(zombie, SIGKILL);
	kill(reaped, SIGKILL);
	CHECK(waitpid(reaped, NULL, 0) == reaped);
	CHECK(!waitid(P_PID, (id_t)zombie, &si, WEXITED | WNOWAIT));
	ep = epoll_create1(0);
	CHECK(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, of_child, &ev));
	test_ready();
	CHECK_EQ(means(of_child), living);
	CHECK_EQ(means(self), getpid());
	CHECK_EQ(means(of_thread), tid);
	CHECK_EQ(means(of_zombie), zombie);
	CHECK_EQ(means(dead1), -1);
	CHECK_EQ(means(dead2), -1);
	CHECK(fcntl(of_child, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(self, F_GETFL) & O_NONBLOCK) && fcntl(of_thread, F_GETFL) & PIDFD_THREAD_);
	CHECK(readable(of_zombie) && readable(dead1) && !readable(of_child));
	CHECK(syscall(SYS_pidfd_send_signal, dead1, 0, NULL, 0) < 0 && errno == ESRCH);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	CHECK(!syscall(SYS_pidfd_send_signal, of_child, SIGKILL, NULL, 0));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.data.u32, 77);
	CHECK(!waitid((idtype_t)3, (id_t)of_child, &si, WEXITED)); /* P_PIDFD */
	CHECK_EQ(si.si_pid, living);
	CHECK(!waitid((idtype_t)3, (id_t)of_zombie, &si, WEXITED));
	CHECK_EQ(si.si_status, SIGKILL);
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	CHECK(!pthread_join(t, NULL));
	pass();
}
