// SPDX-License-Identifier: GPL-2.0-or-later
/* Views of shared anonymous memory: cut, grown behind its end, moved, without access, of much memory; what they hide. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

#define PAGE 4096ul
#define BIG (24ul << 20)

static char *map(size_t len, int prot, int flags)
{
	char *p = mmap(NULL, len, prot, MAP_SHARED | MAP_ANONYMOUS | flags, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* The line of maps that begins at p: its inode, and that it is shared anonymous memory. */
static unsigned long inode(const void *p)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, ino, found = 0;
	char line[400], name[200];

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%*x %*s %*x %*s %lu %199[^\n]", &start, &ino, name) == 3 &&
		    start == (unsigned long)p) {
			CHECK(!strcmp(name, "/dev/zero (deleted)"));
			found = ino;
		}
	fclose(f);
	CHECK(found);
	return found;
}

static bool faults(const char *p)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		_exit(*(volatile const char *)p);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
}

int main(void)
{
	char *cut = map(32 * PAGE, PROT_READ | PROT_WRITE, 0), *grown = map(4 * PAGE, PROT_READ | PROT_WRITE, 0);
	char *none = map(8 * PAGE, PROT_READ | PROT_WRITE, 0), *none2, *lazy = map(1ul << 36, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	char *big = map(BIG, PROT_READ | PROT_WRITE, 0), *tail, *moved;

	for (size_t i = 0; i < 32; i++)
		cut[i * PAGE] = (char)(i + 1);
	CHECK(mremap(cut, 32 * PAGE, 3 * PAGE, 0) == cut); /* the rest is hidden, not gone */
	strcpy(grown, "small");
	grown = mremap(grown, 4 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
	CHECK(grown != MAP_FAILED);
	strcpy(none + PAGE, "closed");
	none2 = mremap(none, 0, 8 * PAGE, MREMAP_MAYMOVE);
	CHECK(none2 != MAP_FAILED && !mprotect(none, 8 * PAGE, PROT_NONE) && !mprotect(none2, 8 * PAGE, PROT_NONE));
	strcpy(lazy + (1ul << 35), "far");
	for (size_t i = 0; i < BIG; i += 8)
		*(size_t *)(void *)(big + i) = i * 31 + 1;
	tail = mremap(big + BIG / 2, 0, PAGE, MREMAP_MAYMOVE);
	moved = mremap(big, BIG, BIG, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)lazy - (1ul << 32));
	CHECK(tail != MAP_FAILED && moved != MAP_FAILED);
	/* A private view of such memory: only through its file, which is in map_files. */
	char path[80], *own;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)tail, (unsigned long)tail + PAGE);
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && (own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)) != MAP_FAILED);
	close(fd);
	own[0] = 77;

	test_ready();

	CHECK_EQ(own[0], 77);
	CHECK(!memcmp(own + PAGE, moved + PAGE, PAGE) && inode(own) == inode(moved));
	moved[PAGE + 1] = 55;
	CHECK_EQ(own[PAGE + 1], 55);
	*(size_t *)(void *)(moved + PAGE) = PAGE * 31 + 1;

	cut = mremap(cut, 3 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
	CHECK(cut != MAP_FAILED);
	for (size_t i = 0; i < 32; i++)
		CHECK_EQ(cut[i * PAGE], (char)(i + 1));
	CHECK(!strcmp(grown, "small") && !faults(grown + 3 * PAGE) && faults(grown + 4 * PAGE));
	CHECK_EQ(inode(none), inode(none2));
	CHECK(inode(none) != inode(cut) && inode(big = moved) == inode(tail));
	CHECK(!mprotect(none2, 8 * PAGE, PROT_READ | PROT_WRITE) && !strcmp(none2 + PAGE, "closed"));
	CHECK(!strcmp(lazy + (1ul << 35), "far") && !lazy[1ul << 34]);
	for (size_t i = 0; i < BIG; i += 8)
		CHECK_EQ(*(size_t *)(void *)(big + i), i * 31 + 1);
	tail[5] = 99;
	CHECK_EQ(big[BIG / 2 + 5], 99);
	pass();
}
