// SPDX-License-Identifier: GPL-2.0-or-later
/* A listening TCP socket with keys that sign segments (TCP_MD5SIG): nobody can read them, so it is refused by name. */
/* test: net refused=listening.TCP.socket.127.0.0.1:4179:.its.segments.are.signed.with.keys..TCP.MD5SIG */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "test.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(4179), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct tcp_md5sig key = { .tcpm_keylen = 6, .tcpm_key = "secret" };
	int s = socket(AF_INET, SOCK_STREAM, 0);

	memcpy(&key.tcpm_addr, &in, sizeof(in));
	if (setsockopt(s, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)))
		TEST_SKIP("no TCP_MD5SIG: %s", strerror(errno));
	CHECK(!bind(s, (struct sockaddr *)&in, sizeof(in)) && !listen(s, 1));
	test_ready();
	CHECK(fcntl(s, F_GETFD) >= 0);
	pass();
}
