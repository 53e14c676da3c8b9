/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel takes for the least that a dump and a restore of many threads or tasks must do, in one thread and without any of what
 * makes a dump of it:
 *
 *	out	each is listed, seized, interrupted and waited for, its registers and its floating point state are read, and it is killed and
 *		reaped
 *	in	each is made, and has run
 *
 *	raw_tasks threads|tasks N [rounds (5)]
 *
 * For programs: one line "OUT IN", medians in microseconds.
 */
#include <dirent.h>
#include <elf.h>
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUNDS = 31, MAX_N = 100000, STACK = 16 << 10, XSTATE_MAX = 64 << 10 };

/* Shared by all processes: how many have run, and what making them took. */
static struct { _Atomic size_t run; _Atomic bool made; double in_us; } *shared;

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int rest(void *arg)
{
	shared->run++;
	for (;;)
		pause();
	return 0;
}

/* The process that has them: as threads, or each of them a child of the caller. */
static void make_threads(size_t n)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	char *stacks = mmap(NULL, n * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (stacks == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < n; i++)
		if (clone(rest, stacks + (i + 1) * STACK, flags, NULL) < 0)
			err(1, "clone");
}

static void wait_for_all(size_t n, double from)
{
	while (shared->run < n)
		sched_yield();
	shared->in_us = now_us() - from;
	shared->made = true;
}

static size_t list(pid_t pid, pid_t *out)
{
	char path[64];
	const struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	if (!d)
		err(1, "%s", path);
	while ((e = readdir(d)) && n <= MAX_N)
		if (e->d_name[0] != '.')
			out[n++] = (pid_t)atoi(e->d_name);
	closedir(d);
	return n;
}

static void must(long ret, const char *what)
{
	if (ret < 0)
		err(1, "%s", what);
}

static void take_out(const pid_t *v, size_t n, bool threads)
{
	static char buf[XSTATE_MAX];
	int status;

	for (size_t i = 0; i < n; i++)
		must(ptrace(PTRACE_SEIZE, v[i], NULL, NULL), "PTRACE_SEIZE");
	for (size_t i = 0; i < n; i++)
		must(ptrace(PTRACE_INTERRUPT, v[i], NULL, NULL), "PTRACE_INTERRUPT");
	for (size_t i = 0; i < n; i++)
		must(waitpid(v[i], &status, __WALL), "waitpid");
	for (size_t i = 0; i < n; i++) {
		struct iovec regs = { buf, sizeof(buf) }, fpu = { buf, sizeof(buf) };

		must(ptrace(PTRACE_GETREGSET, v[i], NT_PRSTATUS, &regs), "NT_PRSTATUS");
		must(ptrace(PTRACE_GETREGSET, v[i], NT_X86_XSTATE, &fpu), "NT_X86_XSTATE");
	}
	for (size_t i = 0; i < (threads ? 1 : n); i++)
		must(kill(v[i], SIGKILL), "kill");
	while (waitpid(-1, &status, __WALL) > 0)
		;
}

/* One round: *out and *in in microseconds. */
static void measure(bool threads, size_t n, double *out, double *in)
{
	static pid_t v[MAX_N + 2];
	double from = now_us();
	pid_t pid = 0;

	memset(shared, 0, sizeof(*shared));
	if (threads) {
		pid = fork();
		must(pid, "fork");
		if (!pid) {
			from = now_us();
			make_threads(n);
			wait_for_all(n, from);
			rest(NULL);
		}
		while (!shared->made)
			usleep(1000);
	} else {
		for (size_t i = 0; i < n; i++) {
			v[i] = fork();
			must(v[i], "fork");
			if (!v[i])
				rest(NULL);
		}
		wait_for_all(n, from);
	}
	*in = shared->in_us;
	usleep(10000); /* they come to rest */
	from = now_us();
	if (threads)
		n = list(pid, v);
	take_out(v, n, threads);
	*out = now_us() - from;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	double out[MAX_ROUNDS], in[MAX_ROUNDS];
	const bool threads = argc > 1 && !strcmp(argv[1], "threads");
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;

	if ((!threads && (argc < 2 || strcmp(argv[1], "tasks"))) || !n || n > MAX_N || !rounds || rounds > MAX_ROUNDS)
		errx(2, "usage: raw_tasks threads|tasks N [rounds]");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < rounds; i++)
		measure(threads, n, &out[i], &in[i]);
	qsort(out, rounds, sizeof(*out), compare);
	qsort(in, rounds, sizeof(*in), compare);
	printf("%.0f %.0f\n", out[rounds / 2], in[rounds / 2]);
	return 0;
}
