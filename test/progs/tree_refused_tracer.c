/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that debugs another one, which is not below it.
 * test: refused=traces_thread_[0-9]*_of_pid
 */
#include "test.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(void)
{
	int up[2], status;
	pid_t between, victim;

	CHECK(!pipe2(up, O_CLOEXEC));
	between = fork();
	CHECK(between >= 0);
	if (!between) { /* its child goes to somebody else */
		victim = fork();
		if (victim) {
			if (write(up[1], &victim, sizeof(victim)) != sizeof(victim))
				abort();
			_exit(0);
		}
		close(up[0]);
		close(up[1]);
		setsid();
		for (;;)
			pause();
	}
	CHECK_EQ(read(up[0], &victim, sizeof(victim)), sizeof(victim));
	CHECK_EQ(waitpid(between, NULL, 0), between);
	CHECK(!ptrace(PTRACE_SEIZE, victim, 0, 0));
	test_ready();
	CHECK(!ptrace(PTRACE_INTERRUPT, victim, 0, 0));
	CHECK_EQ(waitpid(victim, &status, __WALL), victim);
	CHECK(!kill(victim, SIGKILL));
	pass();
}
