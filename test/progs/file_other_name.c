// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that lost the name by which they were opened and have another one beside it, as sem_open(3) makes them: the same files again.
 * Their names in /proc are the other ones then.
 * test: busy */
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

int main(void)
{
	char name[64];
	struct stat a, b;
	int fd = open("one", O_RDWR | O_CREAT, 0600), value, status;

	snprintf(name, sizeof(name), "/cr-test-%lu", test_unique());
	sem_t *sem = sem_open(name, O_CREAT | O_EXCL, 0600, 3), *mine = sem_open(name, 0);
	CHECK(sem != SEM_FAILED && mine == sem);
	CHECK(fd >= 0 && write(fd, "0123", 4) == 4 && !link("one", "two") && !unlink("one"));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	pid_t child = fork();
	if (!child) {
		for (int i = 0; i < 4; i++)
			CHECK(!sem_wait(sem));
		_exit(map[0] == 'X' ? 0 : 1);
	}

	test_ready();

	CHECK(!fstat(fd, &a) && !stat("two", &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	CHECK_EQ(b.st_nlink, 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(access("one", F_OK), -1);
	map[0] = 'X';
	sem_t *again = sem_open(name, 0);
	CHECK(again != SEM_FAILED && !sem_post(again)); /* who opens it by name has the same one */
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
	CHECK(!sem_getvalue(sem, &value));
	CHECK_EQ(value, 0);
	CHECK(!sem_unlink(name));
	pass();
}
