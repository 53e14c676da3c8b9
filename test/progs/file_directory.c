// SPDX-License-Identifier: GPL-2.0-or-later
/* Directories read half way, on the file system of the test and on a tmpfs: the rest comes, and nothing twice. Names are not
 * in any order, so what was read is remembered. */
#include <dirent.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "test.h"

enum { FILES = 300 };
struct entry { uint64_t ino; int64_t off; unsigned short len; unsigned char type; char name[]; };

static void fill(const char *dir)
{
	char path[64];

	CHECK(!mkdir(dir, 0700) || errno == EEXIST);
	for (int i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		CHECK(close(open(path, O_WRONLY | O_CREAT, 0600)) == 0);
	}
}

/* Marks what one or all further calls give; true when there was something. */
static bool some(int fd, bool seen[FILES], size_t room)
{
	char buf[32768] __attribute__((aligned(8)));
	long n = syscall(SYS_getdents64, fd, buf, room);

	CHECK(n >= 0);
	for (long at = 0; at < n; at += ((struct entry *)(void *)(buf + at))->len) {
		const struct entry *e = (const void *)(buf + at);
		int i;

		if (e->name[0] == '.')
			continue;
		i = atoi(e->name);
		CHECK(i >= 0 && i < FILES && !seen[i]);
		seen[i] = true;
	}
	return n > 0;
}

int main(void)
{
	bool here[FILES] = { 0 }, tmpfs[FILES] = { 0 };
	int a, b;

	fill("here");
	CHECK(!mkdir("tmp", 0700) && !mount("none", "tmp", "tmpfs", 0, NULL));
	fill("tmp");
	a = open("here", O_RDONLY | O_DIRECTORY);
	b = open("tmp", O_RDONLY | O_DIRECTORY);
	CHECK(a >= 0 && b >= 0 && some(a, here, 2048) && some(b, tmpfs, 2048));
	test_ready();
	while (some(a, here, 4096))
		;
	while (some(b, tmpfs, 4096))
		;
	for (int i = 0; i < FILES; i++)
		CHECK(here[i] && tmpfs[i]);
	umount2("tmp", MNT_DETACH);
	pass();
}
