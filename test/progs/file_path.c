// SPDX-License-Identifier: GPL-2.0-or-later
/* Directories with a position, O_PATH of files, directories, symbolic links and sockets, one of them only in a message. */
#include <dirent.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "test.h"

/* Names in a buffer of getdents64, one after another; between them are bytes that mean nothing. */
static void names(const char *buf, long n, char *out)
{
	for (long at = 0; at < n;) {
		const struct dirent64 *e = (const struct dirent64 *)(const void *)(buf + at);
		out = stpcpy(out, e->d_name);
		at += e->d_reclen;
	}
}

static int in_message(int sock, int fd)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	if (fd >= 0) {
		control.head = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
	}
	if (recvmsg(sock, &msg, 0) != 1 || msg.msg_controllen < CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

/* Is it the file at which the socket is reached? */
static void leads(int fd, const char *name)
{
	struct stat is, at;

	CHECK(!fstat(fd, &is) && !stat(name, &at));
	CHECK(S_ISSOCK(is.st_mode) && is.st_nlink == 1 && is.st_ino == at.st_ino && is.st_dev == at.st_dev);
}

int main(void)
{
	char name[32], buf[4096], rest[4096], rest2[4096], target[64], before[4096], after[4096];
	struct stat st;

	CHECK(!mkdir("dir", 0755));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "dir/entry-%03d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		CHECK(fd >= 0);
		close(fd);
	}
	CHECK(!symlink("dir/entry-000", "link"));
	int dir = open("dir", O_RDONLY | O_DIRECTORY);
	CHECK(syscall(SYS_getdents64, dir, buf, 1024) > 0);
	off_t at = lseek(dir, 0, SEEK_CUR);
	long n = syscall(SYS_getdents64, dir, rest, sizeof(rest));
	CHECK(n > 0);
	CHECK_EQ(lseek(dir, at, SEEK_SET), at);
	int pathdir = open("dir", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int pathfile = open("dir/entry-001", O_PATH);
	int pathlink = open("link", O_PATH | O_NOFOLLOW);
	CHECK(dir >= 0 && pathdir >= 0 && pathfile >= 0 && pathlink >= 0);
	int flags = fcntl(pathlink, F_GETFL), pair[2];
	struct sockaddr_un first = { AF_UNIX, "first" }, second = { AF_UNIX, "second" };
	int tofirst, tosecond, one, two;

	one = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(!bind(one, (struct sockaddr *)&first, sizeof(first)) && !listen(one, 1));
	tofirst = open("first", O_PATH);
	two = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(!bind(two, (struct sockaddr *)&second, sizeof(second)) && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	tosecond = open("second", O_PATH | O_NOFOLLOW);
	CHECK(!in_message(pair[0], tosecond) && !close(tosecond));

	test_ready();

	CHECK_EQ(lseek(dir, 0, SEEK_CUR), at);
	CHECK_EQ(syscall(SYS_getdents64, dir, rest2, sizeof(rest2)), n);
	names(rest, n, before);
	names(rest2, n, after);
	CHECK(!strcmp(before, after));
	CHECK(fcntl(pathdir, F_GETFL) & O_PATH);
	CHECK_EQ(fcntl(pathdir, F_GETFD), FD_CLOEXEC);
	CHECK(!fstatat(pathdir, "entry-007", &st, 0));
	CHECK(read(pathfile, buf, 1) < 0 && errno == EBADF);
	CHECK(!fstat(pathfile, &st) && S_ISREG(st.st_mode));
	CHECK_EQ(fcntl(pathlink, F_GETFL), flags);
	CHECK_EQ(readlinkat(pathlink, "", target, sizeof(target)), 13);
	CHECK(!memcmp(target, "dir/entry-000", 13));
	leads(tofirst, "first");
	tosecond = in_message(pair[1], -1);
	CHECK(tosecond >= 0);
	leads(tosecond, "second");
	pass();
}
