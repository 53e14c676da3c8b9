/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "common/sock/alike.h"
#include "test/unit/bpf.h"

static int tcp(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static int with(int level, int name, int value)
{
	int fd = tcp(AF_INET);

	assert_int_equal(setsockopt(fd, level, name, &value, sizeof(value)), 0);
	return fd;
}

static bool is_asked(const struct sock_asked *a, int level, int name)
{
	struct sock_change c;

	for (size_t i = 0; level == SOL_SOCKET && sock_option_change(i, &c); i++)
		if (c.name == name && a->options & c.bit)
			return true;
	for (size_t i = 0; level != SOL_SOCKET && inetopt_change(i, &c); i++)
		if (c.level == level && c.name == name && a->rows[i / 64] >> i % 64 & 1)
			return true;
	return false;
}

/* Of what most programs set, the numbers tell; what changes by itself is asked. */
static void test_what_is_asked(void **state)
{
	static const struct { int level, name; bool asked; } all[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, false }, { SOL_SOCKET, SO_REUSEADDR, false }, { SOL_SOCKET, SO_PRIORITY, false },
		{ SOL_SOCKET, SO_LINGER, false }, { SOL_SOCKET, SO_SNDTIMEO, false }, { SOL_SOCKET, SO_ATTACH_FILTER, false },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, false }, { IPPROTO_TCP, TCP_SYNCNT, false }, { IPPROTO_IP, IP_MTU_DISCOVER, false },
		{ SOL_SOCKET, SO_INCOMING_CPU, true }, { IPPROTO_TCP, TCP_WINDOW_CLAMP, true }, { IPPROTO_TCP, TCP_MAXSEG, true },
	};
	struct sock_alike *alike = NULL;
	struct err err = ERR_INIT;

	if (!bpf_can_iterate(ITER_FILE, "f_mode"))
		skip();
	assert_int_equal(sock_alike_open(&alike, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (is_asked(sock_alike_asked(alike), all[i].level, all[i].name) != all[i].asked)
			fail_msg("level %d option %d", all[i].level, all[i].name);
	assert_false(sock_alike_asked(alike)->fields);
	sock_alike_free(alike);
}

static void test_who_is_alike(void **state)
{
	const int fds[] = { tcp(AF_INET), tcp(AF_INET), with(SOL_SOCKET, SO_KEEPALIVE, 1), with(IPPROTO_TCP, TCP_NODELAY, 1),
			    with(IPPROTO_TCP, TCP_KEEPIDLE, 77), with(IPPROTO_IP, IP_TOS, 0x10), tcp(AF_INET6), STDIN_FILENO };
	struct sock_like *like[ARRAY_SIZE(fds)];
	struct sock_alike *alike = NULL;
	struct err err = ERR_INIT;

	if (!bpf_can_iterate(ITER_FILE, "f_mode"))
		skip();
	assert_int_equal(sock_alike_open(&alike, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		like[i] = sock_alike_of(alike, fds[i]);
	assert_non_null(like[0]);
	assert_ptr_equal(like[0], like[1]);
	for (size_t i = 2; i < 6; i++)
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(like[i], like[k]);
	assert_null(like[6]);
	assert_null(like[7]);
	assert_null(sock_alike_of(alike, 1 << 20));
	assert_null(sock_alike_of(alike, -1));
	assert_null(sock_alike_of(NULL, fds[0]));
	sock_alike_free(alike);
	for (size_t i = 0; i < 7; i++)
		close(fds[i]);
}

/* Where the kernel does not tell, that is said, and nothing is left. */
static void test_not_told(void **state)
{
	struct sock_alike *alike = NULL;
	struct err err = ERR_INIT;

	bpf_allowed(false);
	assert_true(sock_alike_open(&alike, &err) < 0);
	bpf_allowed(true);
	assert_null(alike);
	assert_int_equal(err.kind, ERR_FEATURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked),
		cmocka_unit_test(test_who_is_alike),
		cmocka_unit_test(test_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
