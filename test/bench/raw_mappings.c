/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel takes for the least that a dump and a restore of many small mappings must do, in one thread and without any of what
 * makes a dump of it:
 *
 *	out	/proc/PID/maps is read, and the page of every other mapping is copied and written to a file in memory; then the process
 *		is killed and reaped
 *	in	the mappings are made, and the pages are read into them from that file
 *
 *	raw_mappings N [rounds (5)]
 *
 * For programs: one line "OUT IN", medians in microseconds. N mappings as `target mappings N` has them.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUNDS = 31, MAX_N = 1000000, PAGE = 4096, AT_ONCE = 512 };

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void must(long ret, const char *what)
{
	if (ret < 0)
		err(1, "%s", what);
}

static void *area(size_t n)
{
	void *p = mmap(NULL, n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(p == MAP_FAILED ? -1 : 0, "mmap");
	return p;
}

/* Every other page, from page `first` on: no more than AT_ONCE of them. */
static int pieces(char *base, size_t first, size_t n, struct iovec iov[AT_ONCE])
{
	int k = 0;

	for (size_t i = first; i < n && k < AT_ONCE; i += 2)
		iov[k++] = (struct iovec){ base + i * PAGE, PAGE };
	return k;
}

static double bring_in(char *base, size_t n, int file)
{
	struct iovec iov[AT_ONCE];
	const double from = now_us();
	off_t at = 0;

	for (size_t i = 0; i < n; i += 2)
		must(mprotect(base + i * PAGE, PAGE, PROT_READ | PROT_WRITE), "mprotect");
	for (size_t i = 0; i < n; i += 2 * AT_ONCE) {
		int k = pieces(base, i, n, iov);

		must(preadv(file, iov, k, at), "preadv");
		at += (off_t)k * PAGE;
	}
	return now_us() - from;
}

static void read_maps(pid_t pid)
{
	char path[32], text[64 << 10];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd, path);
	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
}

static double take_out(pid_t pid, char *base, size_t n, char *buf)
{
	struct iovec iov[AT_ONCE];
	const double from = now_us();
	int file = memfd_create("raw_mappings", MFD_CLOEXEC);

	must(file, "memfd_create");
	read_maps(pid);
	for (size_t i = 0; i < n; i += 2 * AT_ONCE) {
		int k = pieces(base, i, n, iov);
		const struct iovec to = { buf, (size_t)k * PAGE };

		must(process_vm_readv(pid, &to, 1, iov, (unsigned long)k, 0), "process_vm_readv");
		must(write(file, buf, to.iov_len), "write");
	}
	must(kill(pid, SIGKILL), "kill");
	must(waitpid(pid, NULL, 0), "waitpid");
	close(file);
	return now_us() - from;
}

static void measure(size_t n, int file, char *buf, double *out, double *in)
{
	char *base = area(n);
	int ready[2];
	pid_t pid;

	must(pipe(ready), "pipe");
	pid = fork();
	must(pid, "fork");
	if (!pid) {
		double us = bring_in(base, n, file);

		must(write(ready[1], &us, sizeof(us)), "write");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], in, sizeof(*in)) != sizeof(*in))
		errx(1, "the process has ended");
	close(ready[0]);
	*out = take_out(pid, base, n, buf);
	munmap(base, n * PAGE);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	double out[MAX_ROUNDS], in[MAX_ROUNDS];
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
	char *buf = malloc((size_t)AT_ONCE * PAGE);
	int file;

	if (!n || n > MAX_N || !rounds || rounds > MAX_ROUNDS)
		errx(2, "usage: raw_mappings N [rounds]");
	file = memfd_create("raw_mappings", MFD_CLOEXEC);
	must(file, "memfd_create");
	memset(buf, 1, (size_t)AT_ONCE * PAGE);
	for (size_t i = 0; i < n; i += 2 * AT_ONCE)
		must(write(file, buf, (size_t)AT_ONCE * PAGE), "write");
	for (size_t i = 0; i < rounds; i++)
		measure(n, file, buf, &out[i], &in[i]);
	qsort(out, rounds, sizeof(*out), compare);
	qsort(in, rounds, sizeof(*in), compare);
	printf("%.0f %.0f\n", out[rounds / 2], in[rounds / 2]);
	return 0;
}
