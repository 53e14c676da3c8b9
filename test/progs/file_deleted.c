// SPDX-License-Identifier: GPL-2.0-or-later
/* Deleted files: content with holes, several openings of one, a name taken by another file, directories, fifos, nameless files. */
#include <dirent.h>
#include <sys/mman.h>

#include "test.h"

static void shown_as(int fd, const char *name)
{
	char link[64], want[PATH_MAX + 32], got[PATH_MAX + 32];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, got, sizeof(got) - 1);
	CHECK(n > 0);
	got[n] = 0;
	snprintf(want, sizeof(want), "%s/%s (deleted)", test_dir_, name);
	if (strcmp(got, want))
		fail("shown as %s instead of %s", got, want);
}

int main(void)
{
	char buf[64] = "", zeros[4096] = "";
	struct stat st, st2;

	int small = open("small", O_RDWR | O_CREAT, 0640);
	CHECK_EQ(write(small, "ghost content", 13), 13);
	CHECK_EQ(lseek(small, 6, SEEK_SET), 6);
	int small_ro = open("small", O_RDONLY), small_app = open("small", O_WRONLY | O_APPEND);
	CHECK(!fchown(small, 1234, 4321) && !fchmod(small, 04751));
	struct timespec times[2] = { { 1000000000, 123456000 }, { 1100000000, 654321000 } };
	CHECK(!futimens(small, times));
	CHECK(!unlink("small"));

	int sparse = open("sparse", O_RDWR | O_CREAT, 0600);
	CHECK_EQ(pwrite(sparse, "begin", 5, 0), 5);
	CHECK_EQ(pwrite(sparse, "end", 3, 64 << 20), 3);
	CHECK(!ftruncate(sparse, (64 << 20) + 1000000));
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, sparse, 0);
	CHECK(map != MAP_FAILED);
	strcpy(map + 100, "through the mapping");
	CHECK(!unlink("sparse"));

	int replaced = open("replaced", O_RDWR | O_CREAT, 0600);
	CHECK_EQ(write(replaced, "old", 3), 3);
	int fresh = open("fresh", O_RDWR | O_CREAT, 0600);
	CHECK_EQ(write(fresh, "new!", 4), 4);
	CHECK(!rename("fresh", "replaced"));

	CHECK(!mkdir("gone", 0751));
	int dir = open("gone", O_RDONLY | O_DIRECTORY);
	CHECK(!rmdir("gone"));
	CHECK(!mkdir("cwd", 0700) && !chdir("cwd") && !rmdir("../cwd"));

	int unnamed = open(test_dir_, O_RDWR | O_TMPFILE, 0600);
	if (unnamed >= 0)
		CHECK_EQ(write(unnamed, "unnamed", 7), 7);
	int unnamed_flags = fcntl(unnamed, F_GETFL);
	CHECK(small >= 0 && small_ro >= 0 && small_app >= 0 && sparse >= 0 && replaced >= 0 && dir >= 0);

	test_ready();

	CHECK_EQ(read(small, buf, 7), 7);
	CHECK(!memcmp(buf, "content", 7));
	CHECK_EQ(write(small_app, "+", 1), 1);
	CHECK_EQ(pread(small_ro, buf, sizeof(buf), 0), 14);
	CHECK(!memcmp(buf, "ghost content+", 14));
	CHECK(!fstat(small, &st) && !fstat(small_ro, &st2));
	CHECK(st.st_ino == st2.st_ino && st.st_nlink == 0);
	CHECK_EQ(st.st_mode, S_IFREG | 04751);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(st.st_gid, 4321);
	shown_as(small, "small");

	CHECK(!fstat(sparse, &st));
	CHECK_EQ(st.st_size, (64 << 20) + 1000000);
	CHECK(st.st_blocks < 2048);
	CHECK_EQ(pread(sparse, buf, 5, 0), 5);
	CHECK(!memcmp(buf, "begin", 5));
	CHECK_EQ(pread(sparse, buf, 19, 100), 19);
	CHECK(!memcmp(buf, "through the mapping", 19) && !strcmp(map + 100, "through the mapping"));
	strcpy(map + 200, "still one file");
	CHECK_EQ(pread(sparse, buf, 15, 200), 15);
	CHECK(!strcmp(buf, "still one file"));
	CHECK_EQ(pread(sparse, zeros, 4096, 32 << 20), 4096);
	for (int i = 0; i < 4096; i++)
		CHECK(!zeros[i]);
	CHECK_EQ(pread(sparse, buf, 3, 64 << 20), 3);
	CHECK(!memcmp(buf, "end", 3));
	shown_as(sparse, "sparse");

	CHECK_EQ(pread(replaced, buf, 8, 0), 3);
	CHECK(!memcmp(buf, "old", 3));
	CHECK_EQ(pread(fresh, buf, 8, 0), 4);
	CHECK(!memcmp(buf, "new!", 4));
	char path[PATH_MAX + 32];
	snprintf(path, sizeof(path), "%s/replaced", test_dir_);
	CHECK(!stat(path, &st) && !fstat(fresh, &st2));
	CHECK_EQ(st.st_ino, st2.st_ino);
	CHECK_EQ(st.st_size, 4);

	CHECK(!fstat(dir, &st) && S_ISDIR(st.st_mode));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode & 07777, 0751);
	shown_as(dir, "gone");
	CHECK(!getcwd(path, sizeof(path)) && errno == ENOENT);
	CHECK(!stat(".", &st) && st.st_nlink == 0);

	if (unnamed >= 0) {
		CHECK_EQ(fcntl(unnamed, F_GETFL), unnamed_flags);
		CHECK_EQ(lseek(unnamed, 0, SEEK_CUR), 7);
		CHECK_EQ(pread(unnamed, buf, 8, 0), 7);
		snprintf(buf, sizeof(buf), "/proc/self/fd/%d", unnamed);
		snprintf(path, sizeof(path), "%s/named-now", test_dir_);
		CHECK(!linkat(AT_FDCWD, buf, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
	}
	/* Nothing of the restore's own may be left in the directory. */
	snprintf(path, sizeof(path), "%s/small", test_dir_);
	CHECK(access(path, F_OK) && errno == ENOENT);
	DIR *left = opendir(test_dir_);
	CHECK(left);
	for (struct dirent *e; (e = readdir(left));)
		if (strstr(e->d_name, ".ghost"))
			fail("%s is left", e->d_name);
	closedir(left);
	pass();
}
