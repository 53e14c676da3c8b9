/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test: */
/* memfds: modes with and without the exec bit, every seal, size, name, and content that another task shares. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

static const struct { const char *name; unsigned flags; mode_t mode; int seals; } cases[] = {
	{ "plain", MFD_ALLOW_SEALING | MFD_EXEC, 0777, 0 },
	{ "mode", MFD_ALLOW_SEALING | MFD_EXEC, 0640, F_SEAL_SHRINK },
	{ "noexec", MFD_NOEXEC_SEAL, 0666, F_SEAL_EXEC },
	{ "sealed", MFD_ALLOW_SEALING | MFD_EXEC, 0777, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL },
	{ "future", MFD_ALLOW_SEALING | MFD_EXEC, 0777, F_SEAL_FUTURE_WRITE },
	{ "no seals", MFD_EXEC, 0777, F_SEAL_SEAL },
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

int main(void)
{
	int fd[CASES], status;
	char text[32], path[64], link[64];
	struct stat st;
	pid_t pid;

	for (int i = 0; i < CASES; i++) {
		fd[i] = memfd_create(cases[i].name, cases[i].flags);
		if (fd[i] < 0 && errno == EINVAL)
			TEST_SKIP("memfds here have no exec bit");
		CHECK(fd[i] >= 0);
		CHECK_EQ(write(fd[i], cases[i].name, strlen(cases[i].name)), (ssize_t)strlen(cases[i].name));
		CHECK(!ftruncate(fd[i], 10000 + i));
		if (!(cases[i].flags & MFD_NOEXEC_SEAL))
			CHECK(!fchmod(fd[i], cases[i].mode));
		if (cases[i].flags & MFD_ALLOW_SEALING)
			CHECK(!fcntl(fd[i], F_ADD_SEALS, cases[i].seals));
	}
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		test_wait_told();
		_exit(pwrite(fd[0], "child", 5, 100) != 5);
	}

	test_ready();

	CHECK(waitpid(pid, &status, 0) == pid && !status);
	CHECK_EQ(pread(fd[0], text, 5, 100), 5);
	CHECK(!memcmp(text, "child", 5));
	for (int i = 0; i < CASES; i++) {
		size_t n = strlen(cases[i].name);

		CHECK(!fstat(fd[i], &st));
		CHECK_EQ(st.st_size, 10000 + i);
		CHECK_EQ(st.st_mode & 07777, cases[i].mode);
		CHECK_EQ(fcntl(fd[i], F_GET_SEALS), cases[i].seals);
		CHECK_EQ(pread(fd[i], text, n, 0), (ssize_t)n);
		CHECK(!memcmp(text, cases[i].name, n));
		CHECK_EQ(lseek(fd[i], 0, SEEK_CUR), (off_t)n);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[i]);
		CHECK(readlink(path, link, sizeof(link)) > 7 && !strncmp(link, "/memfd:", 7));
	}
	CHECK(fchmod(fd[2], 0777) && errno == EPERM);
	CHECK(ftruncate(fd[3], 5) && errno == EPERM);
	CHECK(pwrite(fd[4], "x", 1, 0) < 0 && errno == EPERM);
	pass();
}
