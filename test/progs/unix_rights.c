// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptions that nothing but a message holds, of files that cannot be found by a path: deleted ones, memory files, fifos, devices,
 * a terminal. Other files of the same kinds stand under all low numbers, where a dumper that took its own number of such a
 * description for the task's would find them.
 */
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unix.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

enum { DELETED, TMPFILE, SYMLINK, DIRECTORY, MEMFD, SEALED, FIFO, GONE_FIFO, SLAVE, MASTER, DEAD, VERSION, TUN, KINDS };
enum { DECOYS = 40 };

static int s[2], master, count = TUN;
static struct stat was[KINDS];

static int make_file(const char *name, const char *content)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0640);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	return fd;
}

static int make_memfd(const char *content, int seals)
{
	int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && !ftruncate(fd, 20000));
	CHECK_EQ(pwrite(fd, content, strlen(content), 9000), (ssize_t)strlen(content));
	CHECK(!seals || !fcntl(fd, F_ADD_SEALS, seals));
	CHECK_EQ(lseek(fd, 77, SEEK_SET), 77);
	return fd;
}

static int make_fifo(const char *name, mode_t mode, const char *content)
{
	int fd;

	CHECK(!mkfifo(name, mode));
	fd = open(name, O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	return fd;
}

static int make_symlink(const char *name, const char *to)
{
	CHECK(!symlink(to, name));
	return open(name, O_PATH | O_NOFOLLOW);
}

/* Of each kind one under every low number. */
static void make_decoys(void)
{
	char name[32];

	for (int i = 0; i < DECOYS; i++) {
		snprintf(name, sizeof(name), "decoy.%d", i);
		CHECK(make_file(name, "WRONG") >= 0 && make_memfd("WRONG", 0) >= 0);
		snprintf(name, sizeof(name), "decoy.fifo.%d", i);
		CHECK(make_fifo(name, 0666, "WRONG") >= 0);
		snprintf(name, sizeof(name), "decoy.link.%d", i);
		CHECK(make_symlink(name, "WRONG") >= 0);
	}
}

static int make_slave(void)
{
	int no = 0;

	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	if (master < 0)
		TEST_SKIP("no pty: %s", strerror(errno));
	CHECK(!ioctl(master, TIOCSPTLCK, &no));
	return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
}

static int make_dead(void)
{
	pid_t pid = fork();
	int fd;

	if (!pid)
		_exit(0);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	return fd;
}

static void make(int fd[KINDS])
{
	fd[DELETED] = make_file("deleted", "right");
	fd[SYMLINK] = make_symlink("symlink", "right");
	CHECK(!mkdir("directory", 0751));
	fd[DIRECTORY] = open("directory", O_RDONLY | O_DIRECTORY);
	CHECK(!unlink("deleted") && !unlink("symlink") && !rmdir("directory"));
	fd[TMPFILE] = open(".", O_TMPFILE | O_RDWR, 0604);
	if (fd[TMPFILE] < 0)
		TEST_SKIP("no O_TMPFILE here: %s", strerror(errno));
	CHECK_EQ(write(fd[TMPFILE], "right", 5), 5);
	fd[MEMFD] = make_memfd("right", 0);
	fd[SEALED] = make_memfd("right", F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	fd[FIFO] = make_fifo("fifo", 0620, "right");
	fd[GONE_FIFO] = make_fifo("gone", 0602, "right");
	CHECK(!unlink("gone"));
	fd[SLAVE] = make_slave();
	fd[MASTER] = dup(master);
	fd[DEAD] = make_dead();
	fd[VERSION] = open("/proc/version", O_RDONLY);
	fd[TUN] = open("/dev/net/tun", O_RDWR);
	count += fd[TUN] >= 0;
	for (int i = 0; i < count; i++)
		CHECK(fd[i] >= 0 && !fstat(fd[i], &was[i]));
}

static void check_content(int fd, const char *what, off_t at, off_t size)
{
	char buf[64] = "";
	struct stat st;

	if (pread(fd, buf, 5, at) != 5 || memcmp(buf, "right", 5) || fstat(fd, &st) || st.st_size != size)
		fail("%s holds '%.5s', %lld bytes", what, buf, (long long)st.st_size);
}

static void check_queue(int fd, const char *what)
{
	char buf[64] = "";

	if (read(fd, buf, sizeof(buf)) != 5 || memcmp(buf, "right", 5))
		fail("%s held '%s'", what, buf);
	CHECK_EQ(write(fd, "on", 2), 2);
	CHECK_EQ(read(fd, buf, sizeof(buf)), 2);
}

static void check_slave(int fd)
{
	char buf[64] = "";
	int number, excl;

	CHECK(!ioctl(master, TIOCGPTN, &number) && !ioctl(fd, TIOCGEXCL, &excl));
	CHECK_EQ((int)(was[SLAVE].st_rdev & 0xff), number & 0xff);
	CHECK_EQ(write(fd, "out", 3), 3);
	CHECK_EQ(read(master, buf, sizeof(buf)), 3);
	CHECK_EQ(write(master, "in\n", 3), 3);
	CHECK_EQ(read(fd, buf, sizeof(buf)), 3);
	CHECK(!memcmp(buf, "in\n", 3));
}

static void check_dead(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) < 0 && errno == ESRCH);
}

static void check(const int fd[KINDS])
{
	char buf[64] = "";
	struct stat now;

	for (int i = 0; i < count; i++) {
		CHECK(!fstat(fd[i], &now));
		if (now.st_mode != was[i].st_mode || now.st_rdev != was[i].st_rdev ||
		    (i != DIRECTORY && now.st_nlink != was[i].st_nlink))
			fail("number %d has mode %o, %lu names", i, now.st_mode, (unsigned long)now.st_nlink);
	}
	check_content(fd[DELETED], "deleted file", 0, 5);
	check_content(fd[TMPFILE], "unnamed file", 0, 5);
	check_content(fd[MEMFD], "memory file", 9000, 20000);
	check_content(fd[SEALED], "sealed memory file", 9000, 20000);
	CHECK_EQ(lseek(fd[SEALED], 0, SEEK_CUR), 77);
	CHECK_EQ(fcntl(fd[MEMFD], F_GET_SEALS) & ~F_SEAL_EXEC, 0);
	CHECK_EQ(fcntl(fd[SEALED], F_GET_SEALS) & ~F_SEAL_EXEC, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	CHECK_EQ(readlinkat(fd[SYMLINK], "", buf, sizeof(buf)), 5);
	CHECK(!memcmp(buf, "right", 5));
	check_queue(fd[FIFO], "fifo");
	check_queue(fd[GONE_FIFO], "deleted fifo");
	check_slave(fd[SLAVE]);
	CHECK_EQ(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, master, fd[MASTER]), 0);
	check_dead(fd[DEAD]);
	CHECK(read(fd[VERSION], buf, 5) == 5 && !memcmp(buf, "Linux", 5));
}

int main(void)
{
	int fd[KINDS];

	make(fd);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], "all", 3, fd, (size_t)count);
	for (int i = 0; i < count; i++)
		close(fd[i]);
	make_decoys();

	test_ready();

	check_fds(s[1], 3, "all", fd, (size_t)count, "message");
	check(fd);
	pass();
}
