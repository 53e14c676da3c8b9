// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A child that waits in connect(2) is stopped, and the connection comes about while it stands still: when it goes on, the call has
 * succeeded, as it would have without the dump.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <poll.h>
#include <sys/wait.h>

#include "tcp_state.h"
#include "test.h"

static int sleeps_in_connect(pid_t pid)
{
	char path[64], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return !strncmp(text, "42 ", 3);
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sock_filter code = { .code = BPF_RET | BPF_K };
	struct sock_fprog drop = { 1, &code };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0), status, s;
	char byte = 0;
	pid_t pid;

	CHECK(!bind(l, (struct sockaddr *)&a, len) && !listen(l, 4) && !getsockname(l, (struct sockaddr *)&a, &len));
	CHECK(!setsockopt(l, SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof(drop)));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&a, len))
			_exit(errno);
		_exit(write(fd, "x", 1) == 1 && read(fd, &byte, 1) == 1 && byte == 'y' ? 200 : 201);
	}
	for (int i = 0; i < 2000 && !sleeps_in_connect(pid); i++)
		test_sleep_ms(5);
	CHECK(sleeps_in_connect(pid));
	CHECK(!kill(pid, SIGSTOP) && waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(!setsockopt(l, SOL_SOCKET, SO_DETACH_FILTER, &status, sizeof(status)));
	s = accept(l, NULL, NULL); /* when it has asked once more */
	CHECK(s >= 0);
	wait_state(s, ESTABLISHED);
	test_ready();
	CHECK(!kill(pid, SIGCONT));
	CHECK_EQ(read(s, &byte, 1), 1);
	CHECK_EQ(write(s, "y", 1), 1);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 200);
	pass();
}
