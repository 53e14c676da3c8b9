// SPDX-License-Identifier: GPL-2.0-or-later
/* System V shared memory that a process outside of the tree has attached too is refused.
 * test: refused=attached_2_times,_by_the_tree_1_times.*dump_all_processes */
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "test.h"

int main(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	pid_t self = getpid(), pid;
	char *p;

	if (id < 0 && errno == ENOSYS)
		TEST_SKIP("no System V shared memory");
	CHECK(id >= 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		if (fork())
			_exit(0);
		/* Whose parent is gone is nobody's child here. */
		p = shmat(id, NULL, 0);
		strcpy(p, "outside");
		shmctl(id, IPC_RMID, NULL);
		while (!kill(self, 0))
			usleep(20000);
		_exit(0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	p = shmat(id, NULL, 0);
	CHECK(p != (char *)-1);
	while (strcmp(p, "outside"))
		usleep(1000);
	struct shmid_ds ds = { 0 };
	while (!(ds.shm_perm.mode & 01000))
		CHECK(!shmctl(id, IPC_STAT, &ds));
	test_ready();
	CHECK(!strcmp(p, "outside"));
	pass();
}
