// SPDX-License-Identifier: GPL-2.0-or-later
/* Deleted files: content with holes, attributes, several openings of one, a name taken by another file, directories, fifos, nameless files. */
#include <dirent.h>
#include <sys/mman.h>
#include <sys/xattr.h>

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

/* One file, opened three times. */
static struct { int rw, ro, app; } small;

/* Extended attributes: whatever of them this file system has. */
static const struct { const char *name, *value; size_t len; } attributes[] = {
	{ "user.test", "its value", 9 },
	{ "trusted.test", "with\0zero", 9 },
	{ "trusted.empty", "", 0 },
	/* struct vfs_cap_data of linux/capability.h, revision 2: CAP_NET_BIND_SERVICE */
	{ "security.capability", "\0\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20 },
};
enum { ATTRIBUTES = sizeof(attributes) / sizeof(attributes[0]) };
static bool has_attribute[2][ATTRIBUTES]; /* of the file, of the directory */

static void set_attributes(int fd, bool has[ATTRIBUTES])
{
	for (size_t i = 0; i < ATTRIBUTES; i++)
		has[i] = !fsetxattr(fd, attributes[i].name, attributes[i].value, attributes[i].len, 0);
}

static void check_attributes(int fd, const bool has[ATTRIBUTES])
{
	char buf[64];

	for (size_t i = 0; i < ATTRIBUTES; i++) {
		ssize_t n = fgetxattr(fd, attributes[i].name, buf, sizeof(buf));

		if (has[i] ? n != (ssize_t)attributes[i].len || memcmp(buf, attributes[i].value, (size_t)n) : n >= 0)
			fail("attribute %s has %zd bytes", attributes[i].name, n);
	}
}

static void make_small(void)
{
	const struct timespec times[2] = { { 1000000000, 123456789 }, { 1100000000, 654321987 } };

	small.rw = open("small", O_RDWR | O_CREAT, 0640);
	CHECK_EQ(write(small.rw, "ghost content", 13), 13);
	CHECK_EQ(lseek(small.rw, 6, SEEK_SET), 6);
	small.ro = open("small", O_RDONLY);
	small.app = open("small", O_WRONLY | O_APPEND);
	CHECK(small.rw >= 0 && small.ro >= 0 && small.app >= 0);
	CHECK(!fchown(small.rw, 1234, 4321) && !fchmod(small.rw, 04751));
	set_attributes(small.rw, has_attribute[0]);
	CHECK(!futimens(small.rw, times));
	CHECK(!unlink("small"));
}

static void check_small(void)
{
	char buf[64];
	struct stat st, st2;

	CHECK(!fstat(small.rw, &st));
	check_attributes(small.rw, has_attribute[0]);
	CHECK_EQ(st.st_mtim.tv_sec, 1100000000);
	CHECK_EQ(st.st_mtim.tv_nsec, 654321987);
	CHECK_EQ(st.st_atim.tv_nsec, 123456789);
	CHECK_EQ(read(small.rw, buf, 7), 7);
	CHECK(!memcmp(buf, "content", 7));
	CHECK_EQ(write(small.app, "+", 1), 1);
	CHECK_EQ(pread(small.ro, buf, sizeof(buf), 0), 14);
	CHECK(!memcmp(buf, "ghost content+", 14));
	CHECK(!fstat(small.rw, &st) && !fstat(small.ro, &st2));
	CHECK(st.st_ino == st2.st_ino && st.st_nlink == 0);
	CHECK_EQ(st.st_mode, S_IFREG | 04751);
	CHECK_EQ(st.st_uid, 1234);
	CHECK_EQ(st.st_gid, 4321);
	shown_as(small.rw, "small");
}

/* A large one of almost nothing but holes, mapped as well. */
static struct { int fd; char *map; } sparse;

static void make_sparse(void)
{
	sparse.fd = open("sparse", O_RDWR | O_CREAT, 0600);
	CHECK(sparse.fd >= 0);
	CHECK_EQ(pwrite(sparse.fd, "begin", 5, 0), 5);
	CHECK_EQ(pwrite(sparse.fd, "end", 3, 64 << 20), 3);
	CHECK(!ftruncate(sparse.fd, (64 << 20) + 1000000));
	sparse.map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, sparse.fd, 0);
	CHECK(sparse.map != MAP_FAILED);
	strcpy(sparse.map + 100, "through the mapping");
	CHECK(!unlink("sparse"));
}

static void check_sparse(void)
{
	char buf[64], zeros[4096];
	struct stat st;

	CHECK(!fstat(sparse.fd, &st));
	CHECK_EQ(st.st_size, (64 << 20) + 1000000);
	CHECK(st.st_blocks < 2048);
	CHECK_EQ(pread(sparse.fd, buf, 5, 0), 5);
	CHECK(!memcmp(buf, "begin", 5));
	CHECK_EQ(pread(sparse.fd, buf, 19, 100), 19);
	CHECK(!memcmp(buf, "through the mapping", 19) && !strcmp(sparse.map + 100, "through the mapping"));
	strcpy(sparse.map + 200, "still one file");
	CHECK_EQ(pread(sparse.fd, buf, 15, 200), 15);
	CHECK(!strcmp(buf, "still one file"));
	CHECK_EQ(pread(sparse.fd, zeros, 4096, 32 << 20), 4096);
	for (int i = 0; i < 4096; i++)
		CHECK(!zeros[i]);
	CHECK_EQ(pread(sparse.fd, buf, 3, 64 << 20), 3);
	CHECK(!memcmp(buf, "end", 3));
	shown_as(sparse.fd, "sparse");
}

/* A name that another file has now. */
static int replaced, fresh;

static void make_replaced(void)
{
	replaced = open("replaced", O_RDWR | O_CREAT, 0600);
	CHECK_EQ(write(replaced, "old", 3), 3);
	fresh = open("fresh", O_RDWR | O_CREAT, 0600);
	CHECK_EQ(write(fresh, "new!", 4), 4);
	CHECK(!rename("fresh", "replaced"));
}

static void check_replaced(void)
{
	char buf[8], path[PATH_MAX + 32];
	struct stat st, st2;

	CHECK_EQ(pread(replaced, buf, 8, 0), 3);
	CHECK(!memcmp(buf, "old", 3));
	CHECK_EQ(pread(fresh, buf, 8, 0), 4);
	CHECK(!memcmp(buf, "new!", 4));
	CHECK(!stat(test_path(path, sizeof(path), "replaced"), &st) && !fstat(fresh, &st2));
	CHECK_EQ(st.st_ino, st2.st_ino);
	CHECK_EQ(st.st_size, 4);
}

/* Directories: an open one, and the one where we are from then on. */
static int dir;

static void make_directories(void)
{
	CHECK(!mkdir("gone", 0751));
	dir = open("gone", O_RDONLY | O_DIRECTORY);
	CHECK(dir >= 0);
	set_attributes(dir, has_attribute[1]);
	CHECK(!rmdir("gone"));
	CHECK(!mkdir("cwd", 0700) && !chdir("cwd") && !rmdir("../cwd"));
}

static void check_directories(void)
{
	char path[PATH_MAX];
	struct stat st;

	CHECK(!fstat(dir, &st) && S_ISDIR(st.st_mode));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_mode & 07777, 0751);
	check_attributes(dir, has_attribute[1]);
	shown_as(dir, "gone");
	CHECK(!getcwd(path, sizeof(path)) && errno == ENOENT);
	CHECK(!stat(".", &st) && st.st_nlink == 0);
}

/* A file that never had a name, and may still get one; -1 where the file system has none. */
static struct { int fd, again, flags; } unnamed;

static void make_unnamed(void)
{
	char path[32];

	unnamed.fd = open(test_dir_, O_RDWR | O_TMPFILE, 0600);
	if (unnamed.fd < 0)
		return;
	CHECK_EQ(write(unnamed.fd, "unnamed", 7), 7);
	unnamed.flags = fcntl(unnamed.fd, F_GETFL);
	/* A second description, which reads. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", unnamed.fd);
	unnamed.again = open(path, O_RDONLY);
	CHECK(unnamed.again >= 0 && lseek(unnamed.again, 2, SEEK_SET) == 2);
}

static void check_unnamed(void)
{
	char buf[64], path[PATH_MAX + 32];

	if (unnamed.fd < 0)
		return;
	CHECK_EQ(fcntl(unnamed.fd, F_GETFL), unnamed.flags);
	CHECK_EQ(lseek(unnamed.fd, 0, SEEK_CUR), 7);
	CHECK_EQ(pread(unnamed.fd, buf, 8, 0), 7);
	CHECK(!memcmp(buf, "unnamed", 7));
	CHECK_EQ(pwrite(unnamed.fd, "UN", 2, 2), 2);
	CHECK(read(unnamed.again, buf, 8) == 5 && !memcmp(buf, "UNmed", 5) && fcntl(unnamed.again, F_GETFL) != unnamed.flags);
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", unnamed.fd);
	CHECK(!linkat(AT_FDCWD, buf, AT_FDCWD, test_path(path, sizeof(path), "named-now"), AT_SYMLINK_FOLLOW));
}

/* Nothing of the restore's own may be left in the directory. */
static void check_nothing_left(void)
{
	char path[PATH_MAX + 32];

	CHECK(access(test_path(path, sizeof(path), "small"), F_OK) && errno == ENOENT);
	DIR *left = opendir(test_dir_);
	CHECK(left);
	for (struct dirent *e; (e = readdir(left));)
		if (strstr(e->d_name, ".ghost"))
			fail("%s is left", e->d_name);
	closedir(left);
}

int main(void)
{
	make_small();
	make_sparse();
	make_replaced();
	make_directories();
	make_unnamed();

	test_ready();

	check_small();
	check_sparse();
	check_replaced();
	check_directories();
	check_unnamed();
	check_nothing_left();
	pass();
}
