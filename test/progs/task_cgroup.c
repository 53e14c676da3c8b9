/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process in groups of its own in two hierarchies, where there are two: it returns to both. */
#include "test.h"

static const char *const roots[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/freezer" };
static char made[3][128];

static bool put(const char *dir)
{
	char path[160];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY);
	ok = fd >= 0 && write(fd, "0", 1) == 1;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The lines of /proc/self/cgroup that name our group. */
static int places(const char *name)
{
	char line[512];
	FILE *f = fopen("/proc/self/cgroup", "r");
	int n = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		n += strlen(line) > strlen(name) && !strcmp(line + strlen(line) - strlen(name), name);
	}
	fclose(f);
	return n;
}

int main(void)
{
	char name[64];
	int n = 0;

	snprintf(name, sizeof(name), "/cr-group-%lu", test_unique());
	for (int i = 0; i < 3; i++) {
		snprintf(made[i], sizeof(made[i]), "%s%s", roots[i], name);
		if (mkdir(made[i], 0755) || !put(made[i])) {
			rmdir(made[i]);
			made[i][0] = 0;
		}
		n += made[i][0] != 0;
	}
	if (!n)
		TEST_SKIP("no cgroup can be made here");
	CHECK_EQ(places(name), n);
	test_ready();
	int now = places(name);

	for (int i = 0; i < 3; i++)
		if (made[i][0] && put(roots[i]))
			rmdir(made[i]);
	CHECK_EQ(now, n);
	pass();
}
