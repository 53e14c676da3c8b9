// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptors of namespaces: the very same ones again. */
#include "test.h"

static const char *const names[] = { "net", "uts", "ipc", "pid", "mnt", "user", "cgroup", "time" };

int main(void)
{
	enum { N = sizeof(names) / sizeof(names[0]) };
	struct stat st[N], now, same;
	char path[64];
	int fd[N];

	for (size_t i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		fd[i] = open(path, O_RDONLY);
		CHECK(fd[i] >= 0 && !fstat(fd[i], &st[i]));
	}
	test_ready();
	for (size_t i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		CHECK(!fstat(fd[i], &now) && !stat(path, &same));
		CHECK(now.st_dev == st[i].st_dev && now.st_ino == st[i].st_ino);
		CHECK(now.st_ino == same.st_ino);
	}
	pass();
}
