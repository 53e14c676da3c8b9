/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every self-proving test program shares. A program brings itself into a state, calls test_ready(), is dumped, killed and
 * restored in there (it cannot tell how often), and then proves with CHECK() that nothing of its state was lost:
 *
 *	#include "test.h"
 *	int main(void)
 *	{
 *		umask(0123);
 *		test_ready();
 *		CHECK(umask(0) == 0123);
 *		pass();
 *	}
 *
 * A program that must be busy or inside a certain system call uses test_ready_mark() and asks test_told() by itself.
 * A comment line of the source tells the runner how to treat it, words separated by blanks:
 *
 *	test: once            one cycle of dump and restore instead of two
 *	test: repeat=10       so many cycles
 *	test: busy            what /proc tells of it changes all the time (else it must be the same before and after)
 *	test: nodetach        cr-restore stays as the parent and must exit with the program's status
 *	test: args=WORD       an argument for main (may be repeated)
 *	test: refused=WORD    the dump must be refused with one line that contains WORD (an extended regular expression, _ stands for a
 *	                      blank), after which the untouched program must pass
 *	test: dump=OPTION     a further option of cr-dump (may be repeated); likewise restore=OPTION
 *	test: timeout=SECONDS instead of 60
 *	test: net             in a network namespace of its own, where the loopback device is up
 *	test: settle=MS       waits so long between ready and the dump (for threads that must have gone to sleep)
 *	test: helper          not a test by itself
 *
 * The runner starts the program in a fresh directory (mode 1777) of its own pid namespace: session leader, stdin /dev/null, stdout
 * and stderr regular files there. Files of the program belong there too. No environment variable but PATH, HOME, LANG and TMPDIR.
 */
#ifndef TEST_H
#define TEST_H

#ifdef NDEBUG
#error "checks must not be compiled away: build without NDEBUG"
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEST_EXIT_PASS = 0, TEST_EXIT_FAIL = 1, TEST_EXIT_SKIP = 77 };

/* Where marker files are: the directory of the start, however cwd or root change later. */
static char test_dir_[PATH_MAX];

__attribute__((constructor, unused)) static void test_start_(void)
{
	if (!getcwd(test_dir_, sizeof(test_dir_)))
		_exit(TEST_EXIT_FAIL);
}

/* After chroot(2): how the directory of the start is reached now ("" when it became the root). */
__attribute__((unused)) static void test_dir_is(const char *path)
{
	snprintf(test_dir_, sizeof(test_dir_), "%s", path);
}

/* Path of a marker file; n >= PATH_MAX + 16 */
__attribute__((unused)) static const char *test_path(char *buf, size_t n, const char *name)
{
	snprintf(buf, n, "%s/%s", test_dir_, name);
	return buf;
}

/* For names and keys in what belongs to the whole machine: another run may have this program, with the same pid, at this moment. */
__attribute__((unused)) static unsigned long test_unique(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long)now.tv_sec * 1000000000ul + (unsigned long)now.tv_nsec;
}

/* Appears with its whole content, so that a reader never sees half a line. */
static int test_put_(const char *name, const char *text)
{
	char path[PATH_MAX + 16], tmp[PATH_MAX + 16];
	test_path(path, sizeof(path), name);
	test_path(tmp, sizeof(tmp), ".marker");
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, strlen(text));
	close(fd);
	if (n != (ssize_t)strlen(text))
		return -EIO;
	return rename(tmp, path) ? -errno : 0;
}

__attribute__((noreturn, unused)) static void test_end_(int status, const char *text)
{
	/* The state under test may be a limit that forbids to write; the proof is over, so it may go. */
	struct rlimit r;
	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	if (!getrlimit(RLIMIT_FSIZE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_FSIZE, &r);
	}
	if (test_put_("verdict", text) < 0) {
		ssize_t n = write(STDERR_FILENO, text, strlen(text));
		(void)n;
	}
	_exit(status);
}

/* Everything was proven. */
__attribute__((noreturn, unused)) static void pass(void)
{
	test_end_(TEST_EXIT_PASS, "pass\n");
}

__attribute__((noreturn, format(printf, 4, 5), unused)) static void test_end_fmt_(int status, const char *word,
										  const char *where, const char *fmt, ...)
{
	char msg[1024], text[1200];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s %s%s\n", word, where, msg);
	test_end_(status, text);
}

#define TEST_STR_(x) #x
#define TEST_STR(x) TEST_STR_(x)
#define TEST_HERE_ __FILE__ ":" TEST_STR(__LINE__) ": "

/* Something was lost. One line, printf-like. */
#define fail(...) test_end_fmt_(TEST_EXIT_FAIL, "fail", TEST_HERE_, __VA_ARGS__)
/* This machine cannot make the state (before test_ready() only). One line with the reason. */
#define TEST_SKIP(...) test_end_fmt_(TEST_EXIT_SKIP, "skip", "", __VA_ARGS__)

/* cond must hold, before and after. */
#define CHECK(cond)                                                       \
	do {                                                              \
		if (!(cond))                                              \
			fail("%s (%s)", #cond, strerror(errno));          \
	} while (0)

/* Two integers must be equal; both are printed when they are not. */
#define CHECK_EQ(a, b)                                                                                     \
	do {                                                                                               \
		long long a_ = (long long)(a), b_ = (long long)(b);                                        \
		if (a_ != b_)                                                                              \
			fail("%s is %lld (0x%llx), not %s = %lld (0x%llx)", #a, a_, (unsigned long long)a_, \
			     #b, b_, (unsigned long long)b_);                                              \
	} while (0)

/* Says ready and goes on. May be called once. */
__attribute__((unused)) static void test_ready_mark(void)
{
	int r = test_put_("ready", "ready\n");
	if (r < 0)
		fail("cannot say ready: %s", strerror(-r));
}

/* True once the proof is asked for. One access(2); errno is kept. */
__attribute__((unused)) static bool test_told(void)
{
	char path[PATH_MAX + 16];
	int e = errno;
	bool told = access(test_path(path, sizeof(path), "go"), F_OK) == 0;
	errno = e;
	return told;
}

/* Sleeps, signals or not. */
__attribute__((unused)) static void test_sleep_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* Waits for the word to go on. Gives up after some minutes, for nobody is there any more. */
__attribute__((unused)) static void test_wait_told(void)
{
	for (int i = 0; !test_told(); i++) {
		if (i > 60000)
			_exit(TEST_EXIT_FAIL);
		test_sleep_ms(5);
	}
}

/* Says ready and returns when the program was dumped and restored. */
__attribute__((unused)) static void test_ready(void)
{
	test_ready_mark();
	test_wait_told();
}

#endif
