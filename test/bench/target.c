/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target KIND N: a process to be measured; creates the file `ready` and sleeps.
 *	threads N	so many threads besides the first
 *	mappings N	so many mappings of one page that cannot merge
 *	memory N	so many MiB of memory, every page different
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
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
		uint64_t *p = mmap(NULL, n << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			err(1, "mmap");
		for (size_t i = 0; i < (n << 20) / 8; i++)
			p[i] = i * 0x9e3779b97f4a7c15ull;
	} else {
		errx(2, "no kind %s", argv[1]);
	}
	close(open("ready", O_CREAT | O_WRONLY, 0644));
	for (;;)
		pause();
}
