// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets on addresses that are no host's, as a transparent proxy has them: IP_TRANSPARENT, IPV6_TRANSPARENT, IPV6_FREEBIND. */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

static const struct { int family, type, level, option; const char *address; } kinds[] = {
	{ AF_INET, SOCK_STREAM, IPPROTO_IP, 19 /* IP_TRANSPARENT */, "203.0.113.5" },
	{ AF_INET, SOCK_DGRAM, IPPROTO_IP, 19, "203.0.113.6" },
	{ AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_FREEBIND, "203.0.113.7" },
	{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, 75 /* IPV6_TRANSPARENT */, "2001:db8::5" },
	{ AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, 75, "2001:db8::6" },
	{ AF_INET6, SOCK_STREAM, IPPROTO_IPV6, 78 /* IPV6_FREEBIND */, "2001:db8::7" },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct sockaddr_storage before[KINDS];
static int fds[KINDS];

static socklen_t address(size_t i, struct sockaddr_storage *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)kinds[i].family;
	in->sin_port = htons((uint16_t)(4200 + i)); /* the same place in both */
	CHECK_EQ(inet_pton(kinds[i].family, kinds[i].address,
			   kinds[i].family == AF_INET ? (void *)&in->sin_addr : (void *)&in6->sin6_addr), 1);
	return kinds[i].family == AF_INET ? sizeof(*in) : sizeof(*in6);
}

static int bind_it(size_t i, int option)
{
	struct sockaddr_storage a;
	const socklen_t len = address(i, &a);
	int fd = socket(kinds[i].family, kinds[i].type, 0), one = 1;

	CHECK(fd >= 0);
	if (option)
		CHECK(!setsockopt(fd, kinds[i].level, kinds[i].option, &one, sizeof(one)));
	if (!bind(fd, (struct sockaddr *)&a, len))
		return fd;
	close(fd);
	return -1;
}

int main(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		socklen_t len = sizeof(before[i]);

		CHECK(bind_it(i, 0) < 0 && errno == EADDRNOTAVAIL); /* the host has it not: else this proves nothing */
		fds[i] = bind_it(i, 1);
		CHECK(fds[i] >= 0);
		CHECK(kinds[i].type != SOCK_STREAM || !listen(fds[i], 3));
		CHECK(!getsockname(fds[i], (struct sockaddr *)&before[i], &len));
	}

	test_ready();

	for (size_t i = 0; i < KINDS; i++) {
		struct sockaddr_storage now = { 0 };
		socklen_t len = sizeof(now);
		int v = 0;

		CHECK(!getsockname(fds[i], (struct sockaddr *)&now, &len));
		CHECK(!memcmp(&now, &before[i], len));
		len = sizeof(v);
		CHECK(!getsockopt(fds[i], kinds[i].level, kinds[i].option, &v, &len));
		CHECK_EQ(v, 1);
		CHECK(bind_it(i, 1) < 0 && errno == EADDRINUSE);
	}
	pass();
}
