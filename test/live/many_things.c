/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * many_things: a process that holds as many things as possible that no dump takes as they are, with a thread and two children.
 * Writes the pids of the children into `ready`. When the file `go` is there, it proves that nothing was changed, and writes
 * `verdict`: pass, or what is wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN (64 * 4096ul)

static int locked, connected, accepted;
static volatile unsigned long beats;

static void verdict(const char *text)
{
	int fd = open("verdict.new", O_CREAT | O_WRONLY | O_TRUNC, 0644);

	dprintf(fd, "%s\n", text);
	rename("verdict.new", "verdict");
	exit(strcmp(text, "pass") != 0);
}

static void must(int ok, const char *what)
{
	char text[128];

	if (ok)
		return;
	snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	verdict(text);
}

static void *beat(void *arg)
{
	must(!unshare(CLONE_FILES), "unshare");
	for (;; beats++)
		usleep(1000);
	return arg;
}

static void connect_self(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(!bind(l, (struct sockaddr *)&a, n) && !listen(l, 5) && !getsockname(l, (struct sockaddr *)&a, &n), "listen");
	connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(!connect(connected, (struct sockaddr *)&a, n), "connect");
	accepted = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	must(accepted >= 0, "accept");
	close(l);
}

static void watch_memory(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	reg.range.start = (unsigned long)at;
	must(fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg), "userfaultfd");
}

static void prove(const unsigned char *memory, unsigned long before)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char c = 0;

	for (unsigned long i = 0; i < LEN; i++)
		must(memory[i] == (i * 7 & 0xff), "memory");
	must(write(connected, "x", 1) == 1 && read(accepted, &c, 1) == 1 && c == 'x', "the connection");
	/* Another description meets the locks. */
	int other = open("locked", O_RDWR | O_CLOEXEC);
	must(other >= 0 && flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK, "the lock is lost");
	if (!fork())
		_exit(!(!fcntl(locked, F_GETLK, &lock) && lock.l_type == F_WRLCK));
	int status = -1;
	must(wait(&status) > 0 && !status, "the POSIX lock is lost");
	for (int i = 0; i < 1000 && beats == before; i++)
		usleep(1000);
	must(beats != before, "the thread stands still");
	verdict("pass");
}

int main(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct io_uring_params params = { 0 };
	unsigned char *memory = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	pid_t child[2];

	for (unsigned long i = 0; i < LEN; i++)
		memory[i] = i * 7 & 0xff;
	for (int i = 0; i < 2; i++) {
		child[i] = fork();
		if (!child[i])
			for (;;)
				pause();
	}
	watch_memory();
	must(syscall(SYS_io_uring_setup, 4, &params) >= 0, "io_uring");
	locked = open("locked", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	must(locked >= 0 && !flock(locked, LOCK_EX) && !fcntl(locked, F_SETLK, &lock), "locks");
	connect_self();
	must(!pthread_create(&thread, NULL, beat, NULL), "thread");
	while (!beats)
		usleep(1000);
	int fd = open("ready.new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	dprintf(fd, "%d %d\n", child[0], child[1]);
	close(fd);
	rename("ready.new", "ready");
	while (access("go", F_OK))
		usleep(2000);
	prove(memory, beats);
}
