// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hundreds of TCP sockets, fresh ones and both ends of connections, of which each but some has one option that no other one has so:
 * whatever number makes an option other than it was. All options of all of them are the same afterwards.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>

#include "sock_look.h"

#define CONNECTIONS 60
#define SOCKETS_MAX 1500
static int fds[SOCKETS_MAX], of[SOCKETS_MAX]; /* of: level and option */
static int n;
static struct value (*before)[LEVELS][NAMES];

/* Acts, and what a checkpoint refuses or does not keep. */
static bool is_left_out(int level, int name)
{
	if (level == IPPROTO_TCP)
		return name == TCP_REPAIR || name == TCP_REPAIR_QUEUE || name == TCP_QUEUE_SEQ || name == TCP_ULP || name == TCP_MD5SIG ||
		       name == TCP_FASTOPEN_CONNECT || name == TCP_TX_DELAY;
	return level == SOL_SOCKET && (name == SO_TIMESTAMPING_OLD || name == SO_TIMESTAMPING_NEW || name == SO_ATTACH_FILTER ||
				       name == SO_RESERVE_MEM || name == SO_BUSY_POLL_BUDGET || name == 62 /* SO_BINDTOIFINDEX */);
}

static int number_of(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) ? -1 : v;
}

static void keep(int fd, int level, int name)
{
	CHECK(n < SOCKETS_MAX);
	fds[n] = fd;
	of[n++] = level << 16 | name;
}

/* A socket for each number that the option takes. */
static void change(int level, int name)
{
	static const int numbers[] = { 0, 1, 2, 3, 16, 77, 1000, 54321 };
	const int fresh = socket(AF_INET, SOCK_STREAM, 0), normal = number_of(fresh, level, name);
	int seen = normal;

	close(fresh);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const int fd = socket(AF_INET, SOCK_STREAM, 0);
		int now;

		CHECK(fd >= 0);
		if (!setsockopt(fd, level, name, &numbers[i], sizeof(int)) && (now = number_of(fd, level, name)) != normal && now != seen) {
			seen = now;
			keep(fd, level, name);
		} else {
			close(fd);
		}
	}
}

static void connections(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	CHECK(!bind(l, (struct sockaddr *)&in, len) && !listen(l, 3) && !getsockname(l, (struct sockaddr *)&in, &len));
	for (int i = 0; i < CONNECTIONS; i++) {
		const int c = socket(AF_INET, SOCK_STREAM, 0);

		CHECK(!connect(c, (struct sockaddr *)&in, len));
		keep(c, 0, 0);
		keep(accept(l, NULL, NULL), 0, 0);
		if (i % 3 == 1)
			CHECK(!setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
		if (i % 5 == 1)
			CHECK(!setsockopt(fds[n - 1], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)));
	}
	close(l);
}

int main(void)
{
	static struct value now[LEVELS][NAMES];
	char wrong[900] = "", name[64];
	int options = 0;

	connections();
	for (int l = 0; l < LEVELS; l++)
		for (int k = 0; k < NAMES; k++)
			if (levels[l] != IPPROTO_IPV6 && !is_report(levels[l], k, false) && !is_left_out(levels[l], k)) {
				const int had = n;
				change(levels[l], k);
				options += n > had;
			}
	/* The changes did something. */
	CHECK(options > 40 && n > 256);
	before = calloc((size_t)n, sizeof(*before));
	CHECK(before);
	for (int i = 0; i < n; i++)
		look(fds[i], i < 2 * CONNECTIONS, before[i]);

	test_ready();

	for (int i = 0; i < n && strlen(wrong) < 700; i++) {
		snprintf(name, sizeof(name), "%d (%d, %d)", i, of[i] >> 16, of[i] & 0xffff);
		look(fds[i], i < 2 * CONNECTIONS, now);
		compare(name, before[i], now, wrong, sizeof(wrong));
	}
	if (*wrong)
		fail("%s", wrong);
	pass();
}
