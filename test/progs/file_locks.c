// SPDX-License-Identifier: GPL-2.0-or-later
/* All kinds of locks: ranges of the process, of a description, whole files, leases. What another process may lock or not
 * is the proof; that leases are there is what fcntl says.
 * test: dump=--file-locks restore=--file-locks */
#include <sys/file.h>
#include <sys/wait.h>

#include "test.h"

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

/* What a process that has no locks meets there: the type of the lock in its way, F_UNLCK when there is none. */
static int met(const char *name, off_t start, off_t len)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct flock l = range(F_WRLCK, start, len);
		int fd = open(name, O_RDWR);

		_exit(fd < 0 || fcntl(fd, F_GETLK, &l) ? 99 : l.l_type);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool flockable(const char *name, int how)
{
	int fd = open(name, O_RDWR), ret = flock(fd, how | LOCK_NB);

	CHECK(fd >= 0 && (!ret || errno == EWOULDBLOCK));
	close(fd);
	return !ret;
}

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0);
	return fd;
}

int main(void)
{
	int posix = make("posix"), again = dup(posix), ofd = make("ofd"), ex = make("exclusive"), sh = make("shared");
	int rd = open("read-lease", O_RDONLY | O_CREAT, 0600), wr = make("write-lease"), other = open("posix", O_RDONLY);
	struct flock l;

	CHECK(again >= 0 && rd >= 0 && other >= 0);
	l = range(F_WRLCK, 10, 10);
	CHECK(!fcntl(posix, F_SETLK, &l));
	l = range(F_RDLCK, 100, 0);
	CHECK(!fcntl(other, F_SETLK, &l));
	l = range(F_WRLCK, 5, 1);
	CHECK(!fcntl(ofd, F_OFD_SETLK, &l));
	CHECK(!flock(ex, LOCK_EX) && !flock(sh, LOCK_SH));
	CHECK(!fcntl(rd, F_SETLEASE, F_RDLCK) && !fcntl(wr, F_SETLEASE, F_WRLCK));
	test_ready();
	CHECK_EQ(met("posix", 10, 1), F_WRLCK);
	CHECK_EQ(met("posix", 19, 1), F_WRLCK);
	CHECK_EQ(met("posix", 0, 10), F_UNLCK);
	CHECK_EQ(met("posix", 20, 80), F_UNLCK);
	CHECK_EQ(met("posix", 1 << 30, 1), F_RDLCK);
	CHECK_EQ(met("ofd", 5, 1), F_WRLCK);
	CHECK_EQ(met("ofd", 6, 1), F_UNLCK);
	/* It is the description's and not the process's: another description of ours meets it too. */
	l = range(F_WRLCK, 5, 1);
	CHECK(!fcntl(open("ofd", O_RDWR), F_GETLK, &l));
	CHECK_EQ(l.l_type, F_WRLCK);
	CHECK(!flockable("exclusive", LOCK_SH) && flockable("shared", LOCK_SH) && !flockable("shared", LOCK_EX));
	CHECK_EQ(fcntl(rd, F_GETLEASE), F_RDLCK);
	CHECK_EQ(fcntl(wr, F_GETLEASE), F_WRLCK);
	CHECK(!flock(ex, LOCK_UN) && flockable("exclusive", LOCK_EX));
	pass();
}
