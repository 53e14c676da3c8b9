/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * Descriptions that tasks share which never had a table in common: one sent another a file, a pipe and an eventfd in a message
 * (SCM_RIGHTS), and has closed its own of the last. They have other numbers there, and are still one each.
 */
#include "test.h"

#include <linux/kcmp.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FILE_, PIPE, EVENT, SENT };
static struct stand { volatile int up, go, done; volatile int fd[SENT]; } *s;

static void until(volatile int *word, int value)
{
	for (int i = 0; *word < value; i++) {
		if (i > 60000)
			_exit(99);
		test_sleep_ms(2);
	}
}

static void send_all(int sock, const int fd[SENT])
{
	union { char room[CMSG_SPACE(SENT * sizeof(int))]; struct cmsghdr h; } c = { 0 };
	char byte = 'x';
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c.room) };

	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(SENT * sizeof(int));
	memcpy(CMSG_DATA(&c.h), fd, SENT * sizeof(int));
	if (sendmsg(sock, &m, 0) != 1)
		_exit(1);
}

static void receive_all(int sock, int fd[SENT])
{
	union { char room[CMSG_SPACE(SENT * sizeof(int))]; struct cmsghdr h; } c = { 0 };
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c.room) };

	if (recvmsg(sock, &m, 0) != 1 || c.h.cmsg_len != CMSG_LEN(SENT * sizeof(int)))
		_exit(2);
	memcpy(fd, CMSG_DATA(&c.h), SENT * sizeof(int));
}

static void giver(int sock)
{
	int ends[2], fd[SENT];
	char text[8] = "";

	if (pipe(ends))
		_exit(3);
	fd[FILE_] = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
	fd[PIPE] = ends[1];
	fd[EVENT] = eventfd(0, EFD_NONBLOCK);
	if (write(fd[FILE_], "0123456789", 10) != 10)
		_exit(4);
	send_all(sock, fd);
	close(fd[EVENT]);
	close(fd[PIPE]);
	s[0].fd[FILE_] = fd[FILE_];
	s[0].up = 1;
	until(&s[0].go, 1);
	if (lseek(fd[FILE_], 0, SEEK_CUR) != 4 || read(ends[0], text, sizeof(text)) != 5 || strcmp(text, "hello"))
		_exit(5);
	_exit(0);
}

static void taker(int sock)
{
	uint64_t one = 1, got;
	int fd[SENT];

	for (int i = 0; i < 20; i++)
		if (dup(0) < 0)
			_exit(6);
	receive_all(sock, fd);
	if (write(fd[EVENT], &one, 8) != 8)
		_exit(7);
	for (int i = 0; i < SENT; i++)
		s[1].fd[i] = fd[i];
	s[1].up = 1;
	until(&s[1].go, 1);
	if (lseek(fd[FILE_], 4, SEEK_SET) != 4 || write(fd[PIPE], "hello", 5) != 5 || read(fd[EVENT], &got, 8) != 8 || got != 1)
		_exit(8);
	_exit(0);
}

int main(void)
{
	pid_t pid[2];
	int pair[2], status;

	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(s != MAP_FAILED && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		CHECK(pid[i] >= 0);
		if (!pid[i]) {
			(i ? taker : giver)(pair[i]);
			_exit(9);
		}
	}
	close(pair[0]);
	close(pair[1]);
	until(&s[0].up, 1);
	until(&s[1].up, 1);

	test_ready();

	CHECK(s[0].fd[FILE_] != s[1].fd[FILE_]);
	CHECK_EQ(syscall(SYS_kcmp, pid[0], pid[1], KCMP_FILE, s[0].fd[FILE_], s[1].fd[FILE_]), 0);
	for (int i = 1; i >= 0; i--) {
		s[i].go = 1;
		CHECK_EQ(waitpid(pid[i], &status, 0), pid[i]);
		if (status)
			fail("task %d ends with status 0x%x", i, status);
	}
	pass();
}
