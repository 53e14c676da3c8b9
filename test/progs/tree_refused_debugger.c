/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A debugger in the tree: a child that its parent traces is refused by the name of who traces it.
 * test: refused=it_is_traced_by_pid_[0-9]+_.tree.refused.de */
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "test.h"

int main(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid)
		for (;;)
			pause();
	if (ptrace(PTRACE_SEIZE, pid, 0, 0))
		TEST_SKIP("nothing can be traced here: %s", strerror(errno));
	test_ready();
	CHECK(!ptrace(PTRACE_INTERRUPT, pid, 0, 0)); /* it is still its own */
	CHECK_EQ(waitpid(pid, &status, __WALL), pid);
	CHECK(WIFSTOPPED(status));
	CHECK(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
	pass();
}
