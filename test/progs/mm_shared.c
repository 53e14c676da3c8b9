// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared memory: anonymous (one mapping, several, a part of the object), shared files, deleted files, memfds with seals. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

#define PAGE 4096ul

static char *map(size_t len, int flags, int fd, off_t off)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, off);

	CHECK(p != MAP_FAILED);
	return p;
}

int main(void)
{
	char *one = map(64 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *base = map(64 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *again, *part;
	char *cut = map(64 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *file, *gone, *mem, *mem_ro, *mem_private;
	struct stat st;
	int fd, mfd;

	strcpy(one + 3 * PAGE, "one");
	strcpy(base + 40 * PAGE, "several");
	again = mremap(base, 0, 64 * PAGE, MREMAP_MAYMOVE);
	part = mremap(base + 40 * PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
	CHECK(again != MAP_FAILED && part != MAP_FAILED);
	CHECK(!mprotect(part, 2 * PAGE, PROT_READ));
	strcpy(cut + 30 * PAGE, "cut");
	CHECK(!munmap(cut, 16 * PAGE)); /* what stays begins inside of its object */

	fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0644);
	CHECK(fd >= 0 && !ftruncate(fd, 8 * PAGE));
	file = map(8 * PAGE, MAP_SHARED, fd, 0);
	strcpy(file + PAGE, "in the file");
	close(fd);
	fd = open("gone", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && !ftruncate(fd, 4 * PAGE));
	gone = map(4 * PAGE, MAP_SHARED, fd, 0);
	strcpy(gone + 2 * PAGE, "no name");
	close(fd);
	CHECK(!unlink("gone"));

	mfd = memfd_create("thing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(mfd >= 0 && !ftruncate(mfd, 16 * PAGE + 10));
	mem = map(16 * PAGE, MAP_SHARED, mfd, 0);
	mem_private = map(16 * PAGE, MAP_PRIVATE, mfd, 0);
	mem_ro = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, mfd, (off_t)PAGE);
	CHECK(mem_ro != MAP_FAILED);
	strcpy(mem + 5 * PAGE, "memfd");
	strcpy(mem_private + 6 * PAGE, "mine");
	CHECK(lseek(mfd, 77, SEEK_SET) == 77);
	CHECK(!fcntl(mfd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));

	test_ready();

	CHECK(!strcmp(one + 3 * PAGE, "one"));
	CHECK(!strcmp(base + 40 * PAGE, "several") && !strcmp(again + 40 * PAGE, "several") && !strcmp(part, "several"));
	strcpy(again + 41 * PAGE, "same object");
	CHECK(!strcmp(base + 41 * PAGE, "same object") && !strcmp(part + PAGE, "same object"));
	CHECK(!strcmp(cut + 30 * PAGE, "cut"));
	/* Shared with children, not copied. */
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		strcpy(one, "child");
		strcpy(cut + 17 * PAGE, "child");
		_exit(0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(!strcmp(one, "child") && !strcmp(cut + 17 * PAGE, "child"));

	CHECK(!strcmp(file + PAGE, "in the file"));
	strcpy(file + 3 * PAGE, "again");
	char buf[16] = "";
	fd = open("shared", O_RDONLY);
	CHECK(fd >= 0 && pread(fd, buf, 6, 3 * PAGE) == 6 && !strcmp(buf, "again"));
	CHECK(!strcmp(gone + 2 * PAGE, "no name"));
	CHECK(access("gone", F_OK) < 0);

	CHECK(!strcmp(mem + 5 * PAGE, "memfd") && !strcmp(mem_ro + 4 * PAGE, "memfd"));
	CHECK(!strcmp(mem_private + 5 * PAGE, "memfd") && !strcmp(mem_private + 6 * PAGE, "mine") && !mem[6 * PAGE]);
	strcpy(mem + 7 * PAGE, "alive");
	CHECK(pread(mfd, buf, 6, 7 * PAGE) == 6 && !strcmp(buf, "alive") && !strcmp(mem_ro + 6 * PAGE, "alive"));
	CHECK(!fstat(mfd, &st));
	CHECK_EQ(st.st_size, 16 * PAGE + 10);
	CHECK_EQ(lseek(mfd, 0, SEEK_CUR), 77);
	CHECK_EQ(fcntl(mfd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
	CHECK(fcntl(mfd, F_GETFD) & FD_CLOEXEC);
	pass();
}
