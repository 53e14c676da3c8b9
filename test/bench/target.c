/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target KIND N: a process to be measured; creates the file `ready` and sleeps.
 *	threads N	so many threads besides the first
 *	mappings N	so many mappings of one page that cannot merge
 *	memory N	so many MiB of memory, every page different; SIGUSR1 writes to one page of a hundred, and makes the file `changed`
 *	heap N		so many MiB like those of a program with many objects: pointers, counters, words, keys
 *	tcp N		so many connections over loopback, both ends here, with data in all queues
 *	unix N		so many pairs of unix sockets, with a message in each
 *	files N		so many descriptions: eventfds, ends of pipes, and files, in turn
 *	tree N		so many processes: itself and its children
 *	cow N		so many MiB of memory, every page different, shared with eight children that touched nothing
 */
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void must(int ok, const char *what)
{
	if (!ok)
		err(1, "%s", what);
}

static void many_descriptors(void)
{
	struct rlimit lim;

	must(!getrlimit(RLIMIT_NOFILE, &lim), "getrlimit");
	lim.rlim_cur = lim.rlim_max;
	must(!setrlimit(RLIMIT_NOFILE, &lim), "setrlimit");
}

/* 64 bytes each: two pointers, a counter, a random key, and some words. */
static void fill_heap(uint64_t *p, size_t n)
{
	static const char words[] = "value  name   id     status active createdupdated http://.html  true   false  null   0000000user   "
				    "session";
	uint64_t seed = 1;

	for (size_t i = 0; i < n; i++, p += 8) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		p[0] = 0x00007f0000000000ull + (seed >> 40) * 16;
		p[1] = 0x00005555deadb000ull + (i % 1000) * 64;
		p[2] = i;
		p[3] = seed;
		for (size_t k = 4; k < 8; k++)
			memcpy(&p[k], words + (seed >> (k * 8)) % 14 * 7, 7);
	}
}

/* Each end has sent what the other has not read, and more than that has room for: some of it is not sent yet. */
static void connections(size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), size = 2048;
	static char bytes[8192];

	must(!bind(listener, (struct sockaddr *)&a, sizeof(a)) && !listen(listener, 16), "listen");
	must(!getsockname(listener, (struct sockaddr *)&a, &len), "getsockname");
	for (size_t i = 0; i < n; i++) {
		int ends[2] = { socket(AF_INET, SOCK_STREAM, 0), -1 };
		must(!setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), "SO_RCVBUF");
		must(!connect(ends[0], (struct sockaddr *)&a, sizeof(a)), "connect");
		must((ends[1] = accept(listener, NULL, NULL)) >= 0, "accept");
		must(send(ends[0], bytes, 1000, 0) == 1000, "send");
		must(send(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0, "send");
	}
	close(listener);
}

static void unix_pairs(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int ends[2];
		must(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
		must(send(ends[0], "message", 7, 0) == 7, "send");
	}
}

static void descriptions(size_t n)
{
	for (size_t i = 0; i < n; i += 4) {
		int ends[2];
		char name[32];
		snprintf(name, sizeof(name), "file%zu", i);
		must(eventfd(3, 0) >= 0 && !pipe(ends) && open(name, O_CREAT | O_RDWR, 0600) >= 0, "a description");
	}
}

static void children(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		must(pid >= 0, "fork");
		if (pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static uint64_t *memory;
static size_t memory_pages;

static void on_usr1(int sig)
{
	static uint64_t seed = 88172645463325252ull;

	for (size_t i = 0; i < memory_pages / 100; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memory[seed % memory_pages * 512 + i % 512] = seed;
	}
	close(open("changed", O_CREAT | O_WRONLY, 0644));
	(void)sig;
}

static void fill(size_t mib)
{
	uint64_t *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	for (size_t i = 0; i < (mib << 20) / 8; i++)
		p[i] = i * 0x9e3779b97f4a7c15ull;
	memory = p;
	memory_pages = mib << 8;
	signal(SIGUSR1, on_usr1);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: target KIND N");
	size_t n = strtoul(argv[2], NULL, 10);
	if (!strcmp(argv[1], "threads")) {
		pthread_attr_t attr;
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 65536);
		for (size_t i = 0; i < n; i++) {
			pthread_t t;
			int r = pthread_create(&t, &attr, sleeper, NULL);
			if (r)
				errx(1, "thread %zu: %s", i, strerror(r));
		}
	} else if (!strcmp(argv[1], "mappings")) {
		char *p = mmap(NULL, n * 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			err(1, "mmap");
		for (size_t i = 0; i < n / 2; i++) {
			if (mprotect(p + i * 8192, 4096, PROT_READ | PROT_WRITE))
				err(1, "mprotect %zu", i);
			p[i * 8192] = (char)(i | 1);
		}
	} else if (!strcmp(argv[1], "memory")) {
		fill(n);
	} else if (!strcmp(argv[1], "tree")) {
		children(n - 1);
	} else if (!strcmp(argv[1], "cow")) {
		fill(n);
		children(8);
	} else if (!strcmp(argv[1], "heap")) {
		uint64_t *p = mmap(NULL, n << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			err(1, "mmap");
		fill_heap(p, (n << 20) / 64);
	} else if (!strcmp(argv[1], "tcp") || !strcmp(argv[1], "unix") || !strcmp(argv[1], "files")) {
		many_descriptors();
		(argv[1][0] == 't' ? connections : argv[1][0] == 'u' ? unix_pairs : descriptions)(n);
	} else {
		errx(2, "no kind %s", argv[1]);
	}
	close(open("ready", O_CREAT | O_WRONLY, 0644));
	for (;;)
		pause();
}
