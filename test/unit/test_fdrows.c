/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of descriptors by the kernel's own records, against what /proc, stat, fcntl and kcmp tell of each, on this kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/file/fdrows.h"
#include "test/unit/bpf.h"

enum { ROUNDS = 20 };

static int file_of(int flags, off_t at)
{
	char name[] = "/tmp/cr-fdrows.XXXXXX";
	int fd = mkstemp(name), again = open(name, flags | (flags & O_PATH ? 0 : O_CLOEXEC));

	unlink(name);
	close(fd);
	if (at)
		lseek(again, at, SEEK_SET);
	return again;
}

static void fill_pipes(int i)
{
	int full[2], owned[2], packets[2], big[2];

	if (pipe2(full, i % 2 ? O_NONBLOCK : O_CLOEXEC) || pipe(owned) || pipe2(packets, O_DIRECT) || pipe(big) ||
	    write(full[1], "some", 4) != 4)
		_exit(1);
	fcntl(owned[0], F_SETOWN, getpid());
	fcntl(owned[1], F_SETSIG, SIGUSR1);
	fcntl(big[1], F_SETPIPE_SZ, 65536 << i % 3);
	close(big[i % 2]);
	mkfifo("/tmp/cr-fdrows.fifo", 0600);
	open("/tmp/cr-fdrows.fifo", O_RDWR);
	unlink("/tmp/cr-fdrows.fifo");
}

/* Of each kind, in a way that differs from round to round; and duplicates, also those that are left behind. */
static void fill_table(int i)
{
	struct flock posix = { .l_type = F_WRLCK, .l_start = i, .l_len = 1 };
	struct itimerspec later = { .it_value = { 100000 + i, 0 } };
	struct epoll_event ev = { .events = EPOLLIN };
	sigset_t set;
	int fd, ends[2];

	eventfd(i, i % 2 ? EFD_SEMAPHORE : EFD_CLOEXEC);
	fd = eventfd(1u << i, EFD_NONBLOCK);
	if (i % 3 == 0)
		fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_DUPFD, 0);
	fcntl(fd, F_DUPFD_CLOEXEC, 100 * i);
	fill_pipes(i);
	file_of(O_RDONLY, 1ll << (i + 20));
	file_of(O_RDWR | O_APPEND, i);
	file_of(O_PATH, 0);
	flock(file_of(O_RDWR, 0), LOCK_SH);
	fd = file_of(O_RDWR, 0);
	fcntl(fd, F_SETLK, &posix);
	fcntl(fd, F_DUPFD, 0);
	fcntl(file_of(O_RDONLY, 0), F_SETLEASE, F_RDLCK);
	fd = file_of(O_RDWR, 0);
	flock(fd, LOCK_EX);
	flock(fd, LOCK_UN);
	open("/", O_PATH);
	open("/proc/self/status", O_RDONLY);
	fd = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(fd, 0, &later, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1 + i % 2);
	signalfd(-1, &set, 0);
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, ends[0], &ev);
	inotify_init();
	memfd_create("memory", MFD_CLOEXEC);
	/* A hole in the numbers, beyond a word of the bits. */
	dup2(ends[1], 70 * i + 300);
	if (i % 4 == 1)
		close(ends[1]);
}

static pid_t child(void)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < ROUNDS; i++)
			fill_table(i);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

struct seen { struct dump_task task; struct arena *arena; struct log log; char *said; size_t len, n; struct fd_row *rows; bool told; };

static void look(struct seen *s, pid_t pid)
{
	struct fd_rows *r = fd_rows_new();
	struct err err = ERR_INIT;

	memset(s, 0, sizeof(*s));
	s->arena = arena_new();
	s->log = (struct log){ .file = open_memstream(&s->said, &s->len), .level = LOG_DEBUG, .prog = "test" };
	s->task = (struct dump_task){ .pid = pid, .tid = pid };
	assert_int_equal(proc_open(pid, &s->task.proc_fd, &err), 0);
	fd_rows_begin(r, pid);
	s->told = fd_rows_read(r, &s->task, s->arena, &s->log, &s->rows, &s->n);
	fclose(s->log.file);
	fd_rows_free(r);
}

static void look_end(struct seen *s)
{
	close(s->task.proc_fd);
	arena_free(s->arena);
	free(s->said);
	kill(s->task.pid, SIGKILL);
	assert_int_equal(waitpid(s->task.pid, NULL, 0), s->task.pid);
}

static void compare_info(const struct seen *s, const struct fd_row *row)
{
	struct proc_fdinfo want;
	struct err err = ERR_INIT;
	const char *more;

	assert_int_equal(proc_fdinfo(s->task.proc_fd, row->number, s->arena, &want, &err), 0);
	assert_int_equal(want.pos, row->info.pos);
	assert_int_equal(want.flags, row->info.flags);
	assert_int_equal(want.mnt_id, row->info.mnt_id);
	assert_int_equal(want.ino, row->info.ino);
	more = strstr(want.text, "\nino:");
	more = more ? strchr(more + 1, '\n') : NULL;
	assert_non_null(more);
	if (*row->info.text)
		assert_int_equal(strncmp(row->info.text, more, strlen(more)), 0); /* a kernel may show less of an eventfd */
	else
		assert_string_equal(more, "\n");
}

static void compare(const struct seen *s, const struct fd_row *row, int pidfd)
{
	struct f_owner_ex owner;
	char path[32], link[4096] = "";
	struct stat st;
	int bytes;
	cleanup_fd int fd = (int)syscall(SYS_pidfd_getfd, pidfd, row->number, 0);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL), row->flags);
	if (row->ownerless && !(row->flags & O_PATH)) {
		assert_int_equal(fcntl(fd, F_GETSIG), 0);
		assert_int_equal(fcntl(fd, F_GETOWN_EX, &owner), 0);
		assert_int_equal(owner.pid, 0);
	}
	if (row->known)
		compare_info(s, row);
	if (!row->complete)
		return;
	snprintf(path, sizeof(path), "fd/%d", row->number);
	assert_true(readlinkat(s->task.proc_fd, path, link, sizeof(link) - 1) > 0);
	assert_string_equal(link, row->link);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_dev, row->dev);
	assert_int_equal(st.st_ino, row->info.ino);
	assert_int_equal(st.st_mode, row->mode);
	if (!row->pipe_size)
		return;
	assert_int_equal(fcntl(fd, F_GETPIPE_SZ), row->pipe_size);
	assert_int_equal(ioctl(fd, FIONREAD, &bytes), 0);
	assert_int_equal(bytes, 0);
}

static void test_rows(void **state)
{
	size_t known = 0, complete = 0, ownerless = 0, n;
	struct err err = ERR_INIT;
	struct seen s;
	int *numbers;

	look(&s, child());
	if (!s.told) {
		print_message("%s", s.said);
		look_end(&s);
		assert_false(bpf_can_iterate(ITER_FILE, "f_pos"));
		skip();
	}
	assert_int_equal(proc_numbers(s.task.proc_fd, "fdinfo", s.arena, &numbers, &n, &err), 0);
	assert_int_equal(n, s.n);
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, s.task.pid, 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(s.rows[i].number, numbers[i]);
		compare(&s, &s.rows[i], pidfd);
		known += s.rows[i].known;
		complete += s.rows[i].complete;
		ownerless += s.rows[i].ownerless;
		for (size_t k = 0; k < i; k += 7)
			assert_int_equal(s.rows[i].file == s.rows[k].file,
					 !syscall(SYS_kcmp, s.task.pid, s.task.pid, KCMP_FILE, numbers[i], numbers[k]));
	}
	/* Owned are two of each round, one that has a lease, and an eventfd and its duplicates of every third round. */
	assert_int_equal(n - ownerless, 3 * ROUNDS + 3 * 7);
	/* Of each round an eventfd, or four, and three ends of pipes; and what there was before. */
	assert_true(complete >= 4 * ROUNDS + 3 * 13);
	assert_true(known > 15 * ROUNDS && known < n - 8 * ROUNDS);
	look_end(&s);
}

/* Whoever may not load programs is told nothing. */
static void test_not_told(void **state)
{
	struct seen s;

	bpf_allowed(false);
	look(&s, child());
	assert_false(s.told);
	assert_non_null(strstr(s.said, "are read from /proc"));
	look_end(&s);
	bpf_allowed(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_not_told) };

	struct rlimit lim;

	if (!getrlimit(RLIMIT_NOFILE, &lim)) {
		lim.rlim_cur = MIN(lim.rlim_max, (rlim_t)4096);
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
