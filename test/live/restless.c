// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * restless WAY: is never the same for long: makes processes by vfork(2) or fork(2), threads, or becomes itself again by execve(2), from
 * its first thread, from another one, from three at once, or from the last of a crowd. Counts its turns in the file "beat", which it has
 * mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void *nothing(void *arg)
{
	return arg;
}

static void *becomes(void *argv)
{
	usleep(500);
	execv("/proc/self/exe", argv);
	abort();
}

static void *becomes_at_once(void *argv)
{
	execv("/proc/self/exe", argv);
	abort();
}

static void *idles(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void reap(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		abort();
}

static void turn(const char *way, char **argv)
{
	char name[] = "true", *quick[] = { name, NULL };
	pthread_t t[4];
	pid_t pid;

	if (!strcmp(way, "spawn")) {
		if (posix_spawnp(&pid, "true", NULL, NULL, quick, environ))
			abort();
		reap(pid);
	} else if (!strcmp(way, "vfork")) {
		pid = vfork();
		if (!pid) {
			usleep(5000);
			_exit(0);
		}
		reap(pid);
	} else if (!strcmp(way, "fork")) {
		pid = fork();
		if (!pid)
			_exit(0);
		reap(pid);
	} else if (!strcmp(way, "threads")) {
		for (int i = 0; i < 4; i++)
			if (pthread_create(&t[i], NULL, nothing, NULL))
				abort();
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
	} else if (!strcmp(way, "exec")) {
		usleep(200);
		becomes(argv);
	} else if (!strcmp(way, "exec-race")) {
		/* EAGAIN: one of them is in execve(2) (copy_fs() in kernel/fork.c). */
		for (int i = 0; i < 3; i++)
			if (pthread_create(t, NULL, becomes_at_once, argv) && !i)
				abort();
		for (;;)
			pause();
	} else if (!strcmp(way, "exec-thread") || !strcmp(way, "exec-crowd")) {
		for (int i = 0; i < 100 && !strcmp(way, "exec-crowd"); i++)
			if (pthread_create(t, NULL, idles, NULL))
				abort();
		if (pthread_create(t, NULL, becomes, argv))
			abort();
		for (;;)
			pause();
	} else {
		abort();
	}
}

int main(int argc, char **argv)
{
	int fd = open("beat", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (argc != 2 || fd < 0 || ftruncate(fd, sizeof(unsigned)))
		return 1;
	volatile unsigned *beat = mmap(NULL, sizeof(*beat), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (beat == MAP_FAILED)
		return 1;
	close(fd);
	for (;;) {
		++*beat;
		turn(argv[1], argv);
	}
}
