// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast can this machine move memory between a process and a file, whatever the way? The dump and the restore are
 * compared with the best figure of this program, measured in the same run.
 *
 *	raw_memory [MiB (1024)] [rounds (5)] [folder (/dev/shm)]
 *
 * Ways out of a process (the source is another process, the sink an unnamed file in the folder):
 *	readv_write	process_vm_readv into a small buffer, pwrite
 *	readv_mmap	process_vm_readv straight into the mapped file
 *	vmsplice	the source gives its pages to a pipe, splice into the file
 *	self_write	the source itself writes its memory: what an agent inside could do at best
 * Ways in (the target is another process with fresh memory):
 *	preadv		the target reads the file itself
 *	writev_mmap	process_vm_writev from the mapped file
 *	writev_buffer	pread into a small buffer, process_vm_writev
 *	uffd_copy	pread into a small buffer, UFFDIO_COPY by a userfaultfd of the target: always small pages
 * Each with one and with two threads where that makes sense, with small and with huge pages in the process.
 *
 * Rounds are interleaved so that a slow moment of the machine hits all ways alike; the median is shown. A table for people is
 * followed by lines "raw_memory WAY THREADS PAGES MIB_PER_S" for programs.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUNDS = 31, BUFFER = 1 << 20, UFFD_BUFFER = 256 << 10 };
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

struct job {
	size_t len, piece; /* bytes in all; bytes for one system call */
	pid_t pid;
	char *remote; /* address of the memory in the other process, the same in this one */
	int fd, threads, dir, uffd;
};

struct part { const struct job *job; size_t from, to; void (*fn)(const struct part *); };

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void must(ssize_t got, size_t want, const char *what)
{
	if (got < 0 || (size_t)got != want)
		err(1, "%s moved %zd bytes of %zu", what, got, want);
}

static void readv_write(const struct part *p)
{
	char *buf = aligned_alloc(4096, BUFFER);

	for (size_t o = p->from; o < p->to; o += BUFFER) {
		size_t n = p->to - o < BUFFER ? p->to - o : BUFFER;
		struct iovec to = { buf, n }, from = { p->job->remote + o, n };

		must(process_vm_readv(p->job->pid, &to, 1, &from, 1, 0), n, "process_vm_readv");
		must(pwrite(p->job->fd, buf, n, o), n, "pwrite");
	}
	free(buf);
}

static void readv_mmap(const struct part *p)
{
	size_t len = p->to - p->from;
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, p->job->fd, p->from);
	struct iovec to, from;

	if (map == MAP_FAILED)
		err(1, "mmap of the file");
	for (size_t o = 0; o < len; o += 16 << 20) {
		size_t n = len - o < (16 << 20) ? len - o : (size_t)(16 << 20);

		to = (struct iovec){ map + o, n };
		from = (struct iovec){ p->job->remote + p->from + o, n };
		must(process_vm_readv(p->job->pid, &to, 1, &from, 1, 0), n, "process_vm_readv");
	}
	munmap(map, len);
}

static void preadv_self(const struct part *p)
{
	for (size_t o = p->from; o < p->to; o += 64 << 20) {
		size_t n = p->to - o < (64 << 20) ? p->to - o : (size_t)(64 << 20);

		must(pread(p->job->fd, p->job->remote + o, n, o), n, "pread");
	}
}

static void write_self(const struct part *p)
{
	for (size_t o = p->from; o < p->to; o += 64 << 20) {
		size_t n = p->to - o < (64 << 20) ? p->to - o : (size_t)(64 << 20);

		must(pwrite(p->job->fd, p->job->remote + o, n, o), n, "pwrite");
	}
}

static void writev_mmap(const struct part *p)
{
	size_t len = p->to - p->from;
	char *map = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_POPULATE, p->job->fd, p->from);
	struct iovec to, from;

	if (map == MAP_FAILED)
		err(1, "mmap of the file");
	for (size_t o = 0; o < len; o += 16 << 20) {
		size_t n = len - o < (16 << 20) ? len - o : (size_t)(16 << 20);

		from = (struct iovec){ map + o, n };
		to = (struct iovec){ p->job->remote + p->from + o, n };
		must(process_vm_writev(p->job->pid, &from, 1, &to, 1, 0), n, "process_vm_writev");
	}
	munmap(map, len);
}

static void writev_buffer(const struct part *p)
{
	char *buf = aligned_alloc(4096, BUFFER);

	for (size_t o = p->from; o < p->to; o += BUFFER) {
		size_t n = p->to - o < BUFFER ? p->to - o : BUFFER;
		struct iovec from = { buf, n }, to = { p->job->remote + o, n };

		must(pread(p->job->fd, buf, n, o), n, "pread");
		must(process_vm_writev(p->job->pid, &from, 1, &to, 1, 0), n, "process_vm_writev");
	}
	free(buf);
}

static void uffd_copy(const struct part *p)
{
	char *buf = aligned_alloc(4096, UFFD_BUFFER);

	for (size_t o = p->from; o < p->to; o += UFFD_BUFFER) {
		size_t n = p->to - o < UFFD_BUFFER ? p->to - o : UFFD_BUFFER;
		struct uffdio_copy c = { .dst = (uintptr_t)p->job->remote + o, .src = (uintptr_t)buf, .len = n };

		must(pread(p->job->fd, buf, n, o), n, "pread");
		if (ioctl(p->job->uffd, UFFDIO_COPY, &c))
			err(1, "UFFDIO_COPY");
	}
	free(buf);
}

/* Only while it is used: other ways touch pages that are not there. */
static void uffd_register(const struct job *job, bool on)
{
	struct uffdio_register reg = { { (uintptr_t)job->remote, job->len }, UFFDIO_REGISTER_MODE_MISSING, 0 };

	if (on ? ioctl(job->uffd, UFFDIO_REGISTER, &reg) : ioctl(job->uffd, UFFDIO_UNREGISTER, &reg.range))
		err(1, "userfaultfd");
}

static void *part_thread(void *arg)
{
	struct part *p = arg;

	p->fn(p);
	return NULL;
}

static void in_threads(const struct job *job, void (*fn)(const struct part *))
{
	pthread_t tid[2];
	struct part part[2];
	size_t half = job->len / 2 & ~(size_t)4095;

	part[0] = (struct part){ job, 0, job->threads == 2 ? half : job->len, fn };
	part[1] = (struct part){ job, half, job->len, fn };
	for (int i = 1; i < job->threads; i++)
		if (pthread_create(&tid[i], NULL, part_thread, &part[i]))
			errx(1, "pthread_create");
	fn(&part[0]);
	for (int i = 1; i < job->threads; i++)
		pthread_join(tid[i], NULL);
}

/* In the source: page references, not bytes, go into the pipe. */
static void vmsplice_out(const struct job *job, int pipe_fd)
{
	for (size_t o = 0; o < job->len;) {
		struct iovec v = { job->remote + o, job->len - o };
		ssize_t n = vmsplice(pipe_fd, &v, 1, 0);

		if (n <= 0)
			err(1, "vmsplice");
		o += n;
	}
}

static void splice_in(const struct job *job, int pipe_fd)
{
	for (size_t o = 0; o < job->len;) {
		loff_t off = o;
		ssize_t n = splice(pipe_fd, NULL, job->fd, &off, job->len - o, 0);

		if (n <= 0)
			err(1, "splice");
		o += n;
	}
}

/* Commands for the other process, one byte each on a pipe; it answers with one byte when done. */
struct other { pid_t pid; int to, from, splice, uffd; };

static void other_main(const struct job *job, int in, int out, int splice_fd)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	c = (char)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (write(out, &c, 1) != 1)
		_exit(1);
	while (read(in, &c, 1) == 1) {
		if (c == 'p' || c == 'P') {
			struct job j = *job;

			j.threads = c == 'P' ? 2 : 1;
			in_threads(&j, preadv_self);
		} else if (c == 'w' || c == 'W') {
			struct job j = *job;

			j.threads = c == 'W' ? 2 : 1;
			in_threads(&j, write_self);
		} else if (c == 'v') {
			vmsplice_out(job, splice_fd);
		} else if (c == 'f') {
			/* fill: no page is zero, no two are equal */
			for (size_t o = 0; o < job->len; o += 8)
				*(uint64_t *)(job->remote + o) = o * 0x9e3779b97f4a7c15ull | 1;
		} else if (c == 'z') {
			madvise(job->remote, job->len, MADV_DONTNEED); /* fresh again */
		}
		if (write(out, "k", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

/* -1: this kernel has none, or does not let us have it. */
static int take_uffd(const struct other *o)
{
	struct uffdio_api api = { .api = UFFD_API };
	int pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0), fd = -1;
	char number;

	if (read(o->from, &number, 1) != 1)
		errx(1, "the other process is gone");
	if (pidfd >= 0 && number >= 0)
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) ? -1 : fd;
}

static struct other other_start(const struct job *job)
{
	int a[2], b[2], s[2];
	struct other o;

	if (pipe(a) || pipe(b) || pipe(s))
		err(1, "pipe");
	fcntl(s[0], F_SETPIPE_SZ, 1 << 20);
	o.pid = fork();
	if (o.pid < 0)
		err(1, "fork");
	if (o.pid == 0) {
		close(a[1]);
		other_main(job, a[0], b[1], s[1]);
	}
	close(a[0]);
	close(b[1]);
	close(s[1]);
	o.to = a[1];
	o.from = b[0];
	o.splice = s[0];
	o.uffd = take_uffd(&o);
	return o;
}

static void other_begin(const struct other *o, char c)
{
	if (write(o->to, &c, 1) != 1)
		err(1, "the other process is gone");
}

static void other_end(const struct other *o)
{
	char c;

	if (read(o->from, &c, 1) != 1)
		errx(1, "the other process is gone");
}

static void other_do(const struct other *o, char c)
{
	other_begin(o, c);
	other_end(o);
}

struct way { const char *name; bool in; int threads; };

static const struct way ways[] = {
	{ "readv_write", false, 1 },   { "readv_write", false, 2 }, { "readv_mmap", false, 1 },
	{ "readv_mmap", false, 2 },    { "vmsplice", false, 1 },    { "self_write", false, 1 },
	{ "self_write", false, 2 },    { "preadv", true, 1 },	    { "preadv", true, 2 },
	{ "writev_mmap", true, 1 },    { "writev_mmap", true, 2 },  { "writev_buffer", true, 1 },
	{ "writev_buffer", true, 2 },  { "uffd_copy", true, 1 },    { "uffd_copy", true, 2 },
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static double run_way(const struct way *w, const struct job *base, const struct other *o)
{
	struct job job = *base;
	double t;

	job.threads = w->threads;
	job.pid = o->pid;
	job.uffd = o->uffd;
	if (w->in) {
		other_do(o, 'z');
	} else if (ftruncate(job.fd, 0) || ftruncate(job.fd, job.len)) {
		err(1, "ftruncate");
	}
	t = now();
	if (!strcmp(w->name, "readv_write"))
		in_threads(&job, readv_write);
	else if (!strcmp(w->name, "readv_mmap"))
		in_threads(&job, readv_mmap);
	else if (!strcmp(w->name, "writev_mmap"))
		in_threads(&job, writev_mmap);
	else if (!strcmp(w->name, "writev_buffer"))
		in_threads(&job, writev_buffer);
	else if (!strcmp(w->name, "uffd_copy")) {
		uffd_register(&job, true);
		in_threads(&job, uffd_copy);
		uffd_register(&job, false);
	} else if (!strcmp(w->name, "self_write"))
		other_do(o, w->threads == 2 ? 'W' : 'w');
	else if (!strcmp(w->name, "preadv"))
		other_do(o, w->threads == 2 ? 'P' : 'p');
	else {
		other_begin(o, 'v');
		splice_in(&job, o->splice);
		other_end(o);
	}
	return now() - t;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
	int rounds = argc > 2 ? atoi(argv[2]) : 5;
	const char *dir = argc > 3 ? argv[3] : "/dev/shm";
	static double t[2][WAYS][MAX_ROUNDS];
	struct other o[2];
	struct job job[2];

	if (!mib || mib > 1 << 20 || rounds < 1 || rounds > MAX_ROUNDS)
		errx(2, "usage: raw_memory [MiB] [rounds 1..%d] [folder]", MAX_ROUNDS);
	for (int huge = 0; huge < 2; huge++) {
		struct job *j = &job[huge];

		*j = (struct job){ .len = mib << 20 };
		j->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (j->fd < 0 || ftruncate(j->fd, j->len))
			err(1, "%s", dir);
		j->remote = mmap(NULL, j->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (j->remote == MAP_FAILED)
			err(1, "mmap");
		madvise(j->remote, j->len, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		o[huge] = other_start(j);
	}
	for (int r = 0; r < rounds; r++)
		for (int huge = 0; huge < 2; huge++) {
			other_do(&o[huge], 'f');
			for (int w = 0; w < WAYS; w++)
				t[huge][w][r] = run_way(&ways[w], &job[huge], &o[huge]);
			if (ftruncate(job[huge].fd, 0) || ftruncate(job[huge].fd, job[huge].len))
				err(1, "ftruncate");
			other_do(&o[huge], 'z');
		}
	printf("%zu MiB, median of %d rounds, %s\n%-16s %8s %14s %14s\n", mib, rounds, dir, "way", "threads",
	       "small MiB/s", "huge MiB/s");
	for (int w = 0; w < WAYS; w++) {
		for (int huge = 0; huge < 2; huge++)
			qsort(t[huge][w], rounds, sizeof(double), by_value);
		printf("%-16s %8d %14.0f %14.0f\n", ways[w].name, ways[w].threads, mib / t[0][w][rounds / 2],
		       mib / t[1][w][rounds / 2]);
	}
	for (int w = 0; w < WAYS; w++)
		for (int huge = 0; huge < 2; huge++)
			printf("raw_memory %s %d %s %.0f\n", ways[w].name, ways[w].threads, huge ? "huge" : "small",
			       mib / t[huge][w][rounds / 2]);
	for (int huge = 0; huge < 2; huge++) {
		/* Not by end of file: the second process holds copies of the first one's pipes. */
		kill(o[huge].pid, SIGKILL);
		waitpid(o[huge].pid, NULL, 0);
	}
	return 0;
}
