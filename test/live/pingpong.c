// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two small programs that somebody runs on a terminal: a server that counts, and a client that keeps asking it.
 *
 *	pingpong server PORT		for each number n on its one connection it answers n + 1, and prints "pong n + 1"
 *	pingpong client ADDRESS PORT	sends 0, then one more than each answer; prints "ping n" for each; ends with 1 when an answer is
 *					not the next number, or when the connection ends or breaks
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t get(int fd)
{
	uint64_t n;
	ssize_t got = recv(fd, &n, sizeof(n), MSG_WAITALL);

	if (got < 0)
		err(1, "recv");
	if (got != sizeof(n))
		errx(1, "the connection ends");
	return n;
}

static void put(int fd, uint64_t n)
{
	if (send(fd, &n, sizeof(n), MSG_NOSIGNAL) != sizeof(n))
		err(1, "send");
}

static int server(struct sockaddr_in *a)
{
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) || bind(l, (void *)a, sizeof(*a)) || listen(l, 1))
		err(1, "listen");
	printf("listens\n");
	int fd = accept(l, NULL, NULL);
	if (fd < 0)
		err(1, "accept");
	for (;;) {
		uint64_t n = get(fd) + 1;
		printf("pong %llu\n", (unsigned long long)n);
		put(fd, n);
	}
}

static int client(struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (void *)a, sizeof(*a)))
		err(1, "connect");
	for (uint64_t n = 0;; n += 2) {
		struct timespec t = { .tv_nsec = 10000000 };

		printf("ping %llu\n", (unsigned long long)n);
		put(fd, n);
		uint64_t back = get(fd);
		if (back != n + 1)
			errx(1, "%llu is not the answer to %llu", (unsigned long long)back, (unsigned long long)n);
		nanosleep(&t, NULL);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "server")) {
		a.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
		a.sin_addr.s_addr = htonl(INADDR_ANY);
		return server(&a);
	}
	if (argc == 4 && !strcmp(argv[1], "client") && inet_pton(AF_INET, argv[2], &a.sin_addr) == 1) {
		a.sin_port = htons((uint16_t)strtol(argv[3], NULL, 10));
		return client(&a);
	}
	errx(2, "pingpong server PORT | pingpong client ADDRESS PORT");
}
