// SPDX-License-Identifier: GPL-2.0-or-later
/* System V shared memory: attached twice, in part, read-only, marked for removal, of another owner, with a key. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "test.h"

#define PAGE 4096ul

static int make(key_t key, size_t size, int mode)
{
	int id = shmget(key, size, IPC_CREAT | IPC_EXCL | mode);

	if (id < 0 && errno == ENOSYS)
		TEST_SKIP("no System V shared memory");
	CHECK(id >= 0);
	return id;
}

static char *attach(int id, int flags)
{
	char *p = shmat(id, NULL, flags);

	CHECK(p != (char *)-1);
	return p;
}

int main(void)
{
	key_t key = (key_t)(0x40000000 | (test_unique() & 0x3fffffff));
	int keyed = make(key, 5 * PAGE + 100, 0640), doomed = make(IPC_PRIVATE, 64 * PAGE, 0600), theirs;
	char *a = attach(keyed, 0), *b = attach(keyed, SHM_RDONLY), *c = attach(doomed, 0), *whole, *e;
	struct shmid_ds ds, before;

	strcpy(a + 4 * PAGE, "with a key");
	strcpy(a + 5 * PAGE + 90, "the end");
	for (size_t i = 0; i < 64; i++)
		c[i * PAGE] = (char)(i + 1);
	whole = attach(doomed, 0);
	CHECK(!munmap(whole, 10 * PAGE) && !munmap(whole + 20 * PAGE, PAGE)); /* two views that begin inside */
	CHECK(!mprotect(whole + 30 * PAGE, PAGE, PROT_NONE));		      /* and now five */
	CHECK(!shmctl(doomed, IPC_RMID, NULL));
	/* Made by somebody, given to somebody else. */
	CHECK(!setresgid(-1, 1234, -1) && !setresuid(-1, 4321, -1));
	theirs = make(IPC_PRIVATE, PAGE, 0604);
	CHECK(!shmctl(theirs, IPC_STAT, &ds));
	ds.shm_perm.uid = 77;
	CHECK(!shmctl(theirs, IPC_SET, &ds));
	CHECK(!setresuid(-1, 0, -1) && !setresgid(-1, 0, -1));
	e = attach(theirs, 0);
	CHECK(!mprotect(e, PAGE, PROT_READ));
	CHECK(!shmctl(theirs, IPC_STAT, &before));

	test_ready();

	CHECK(!strcmp(a + 4 * PAGE, "with a key") && !strcmp(b + 4 * PAGE, "with a key") && !strcmp(a + 5 * PAGE + 90, "the end"));
	strcpy(a, "new");
	CHECK(!strcmp(b, "new"));
	CHECK(mprotect(b, PAGE, PROT_READ | PROT_WRITE) && errno == EACCES); /* attached for reading only */
	CHECK(!shmctl(keyed, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_perm.__key, key);
	CHECK_EQ(ds.shm_segsz, 5 * PAGE + 100);
	CHECK_EQ(ds.shm_perm.mode, 0640);
	CHECK_EQ(ds.shm_nattch, 2);
	CHECK_EQ(shmget(key, 0, 0), keyed);

	for (size_t i = 0; i < 64; i++)
		CHECK_EQ(c[i * PAGE], (char)(i + 1));
	CHECK_EQ(whole[10 * PAGE], 11);
	CHECK_EQ(whole[21 * PAGE], 22);
	whole[63 * PAGE] = 99;
	CHECK_EQ(c[63 * PAGE], 99);
	CHECK(!mprotect(whole + 30 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	CHECK_EQ(whole[30 * PAGE], 31);
	CHECK(!shmctl(doomed, IPC_STAT, &ds));
	CHECK(ds.shm_perm.mode & 01000);
	CHECK(!shmdt(c));
	/* A child shares it. */
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		strcpy(whole + 40 * PAGE, "child");
		_exit(0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid && !strcmp(whole + 40 * PAGE, "child"));
	CHECK(!mprotect(e, PAGE, PROT_READ | PROT_WRITE)); /* it may have found room between the views */
	CHECK(!munmap(whole, 64 * PAGE));
	CHECK(shmctl(doomed, IPC_STAT, &ds) < 0); /* its last user has gone */

	CHECK(!shmctl(theirs, IPC_STAT, &ds));
	CHECK_EQ(ds.shm_perm.uid, 77);
	CHECK_EQ(ds.shm_perm.gid, 1234);
	CHECK_EQ(ds.shm_perm.cuid, 4321);
	CHECK_EQ(ds.shm_perm.cgid, 1234);
	CHECK_EQ(ds.shm_perm.mode, 0604);
	CHECK(!shmctl(theirs, IPC_RMID, NULL) && !shmctl(keyed, IPC_RMID, NULL));
	pass();
}
