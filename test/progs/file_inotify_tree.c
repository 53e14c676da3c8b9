/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/*
 * A watch on the program itself, its libraries' directory, and a directory where another process has files: what a dump opens
 * must not be taken for events that the program has not read yet.
 */
#include "test.h"

#include <sys/inotify.h>
#include <sys/wait.h>

int main(void)
{
	char exe[PATH_MAX], buf[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int fd = inotify_init1(IN_NONBLOCK);
	pid_t pid;

	CHECK(n > 0 && fd >= 0);
	exe[n] = 0;
	CHECK(!mkdir("dir", 0755));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!chdir("dir") && open("file", O_RDWR | O_CREAT, 0600) >= 0);
		close(fd);
		for (;;)
			pause();
	}
	while (access("dir/file", F_OK))
		test_sleep_ms(1);
	test_sleep_ms(20);
	CHECK_EQ(inotify_add_watch(fd, exe, IN_OPEN | IN_ACCESS | IN_CLOSE), 1);
	CHECK_EQ(inotify_add_watch(fd, "dir", IN_ALL_EVENTS), 2);
	CHECK_EQ(inotify_add_watch(fd, "dir/file", IN_ALL_EVENTS), 3);
	CHECK_EQ(read(fd, buf, sizeof(buf)), -1);

	test_ready();

	CHECK_EQ(read(fd, buf, sizeof(buf)), -1);
	CHECK_EQ(errno, EAGAIN);
	int new = open("dir/new", O_WRONLY | O_CREAT, 0600);

	CHECK(new >= 0);
	CHECK(read(fd, buf, sizeof(buf)) > 0);
	CHECK_EQ(((struct inotify_event *)(void *)buf)->wd, 2);
	CHECK(!kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	pass();
}
