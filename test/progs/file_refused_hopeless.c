// SPDX-License-Identifier: GPL-2.0-or-later
/* What cannot come back in any way is named all at once, that of children too. */
/* test: refused=fd_20:_perf.*fd_21:_userfaultfd */
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test.h"

int main(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY };
	int perf = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	pid_t pid;

	if (perf < 0 || uffd < 0)
		TEST_SKIP("no perf events or no userfaultfd here: %s", strerror(errno));
	CHECK(dup2(perf, 20) == 20 && !close(perf));
	pid = fork();
	if (!pid) {
		dup2(uffd, 21);
		for (;;)
			pause();
	}
	close(uffd);
	test_sleep_ms(50);
	test_ready();
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
	pass();
}
