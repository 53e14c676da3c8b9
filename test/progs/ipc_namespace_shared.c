/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An IPC namespace in which somebody lives who is not dumped is not the tree's own: refused by who that is.
 * test: refused=its_IPC_namespace_.*_is_also_that_of_pid_[0-9]+,_which_is_not_in_the_tree */
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "test.h"

int main(void)
{
	pid_t between;

	if (unshare(CLONE_NEWIPC))
		TEST_SKIP("no IPC namespace can be made: %s", strerror(errno));
	between = fork();
	CHECK(between >= 0);
	if (!between) {
		pid_t self = getpid(), pid = fork(); /* becomes a child of init */

		if (!pid) {
			while (getppid() == self)
				test_sleep_ms(1);
			setsid();
			alarm(300);
			test_ready_mark();
			test_wait_told();
			_exit(0);
		}
		_exit(pid < 0);
	}
	CHECK(waitpid(between, NULL, 0) == between);
	test_wait_told();
	pass();
}
