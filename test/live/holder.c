/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * holder KIND MIB: so much memory, no two pages alike: private, shared (anonymous) or memfd. Makes `ready`; when `go` is there, looks
 * at all of it and writes `verdict`. When `more` is there, removes it once three of four pages are others.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t word(size_t page, size_t i, size_t round)
{
	return (page * 512 + i + 1) * 0x9e3779b97f4a7c15ull + (page % 4 ? round : 0);
}

static void say(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", name);
	close(fd);
}

int main(int argc, char **argv)
{
	size_t len = argc == 3 ? (size_t)atol(argv[2]) << 20 : 0, round = 0;
	int fd = -1, flags = MAP_SHARED | MAP_ANONYMOUS;
	uint64_t *p;

	if (!len)
		errx(2, "usage: holder private|shared|memfd MIB");
	if (!strcmp(argv[1], "private"))
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
	if (!strcmp(argv[1], "memfd")) {
		flags = MAP_SHARED;
		fd = memfd_create("held", 0);
		if (fd < 0 || ftruncate(fd, (off_t)len))
			err(1, "memfd");
	}
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < len / 8; i++)
		p[i] = word(i / 512, i % 512, 0);
	say("ready", "");
	while (access("go", F_OK)) {
		usleep(10000);
		if (access("more", F_OK))
			continue;
		round++;
		for (size_t i = 0; i < len / 8; i++)
			if (i / 512 % 4)
				p[i] = word(i / 512, i % 512, round);
		unlink("more");
	}
	for (size_t i = 0; i < len / 8; i++)
		if (p[i] != word(i / 512, i % 512, round)) {
			say("verdict", "fail: memory\n");
			return 1;
		}
	say("verdict", "pass\n");
	return 0;
}
