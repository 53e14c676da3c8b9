// SPDX-License-Identifier: GPL-2.0-or-later
/* Raw and ping sockets: bound, connected, filters and headers of their own; an echo goes out and comes back afterwards. */
/* test: net */
#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

static struct sockaddr_in lo = { AF_INET, 0, { 0 }, { 0 } };

static void echo4(int s, bool header)
{
	struct icmphdr h = { .type = ICMP_ECHO, .un.echo.sequence = htons(5) };
	unsigned char buf[256];
	uint32_t sum = (ICMP_ECHO << 8) + 5;

	h.checksum = htons((uint16_t)~sum);
	CHECK_EQ(send(s, &h, sizeof(h), 0), sizeof(h));
	for (;;) {
		ssize_t n = recv(s, buf, sizeof(buf), 0);
		CHECK(n >= (ssize_t)(sizeof(h) + (header ? 20 : 0)));
		memcpy(&h, buf + (header ? 20 : 0), sizeof(h));
		if (h.type == ICMP_ECHOREPLY)
			break;
		CHECK(header && h.type == ICMP_ECHO);
	}
	CHECK_EQ(ntohs(h.un.echo.sequence), 5);
}

int main(void)
{
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), own = socket(AF_INET, SOCK_RAW, 253);
	int six = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMPV6), one = 1, v = 0, at = 4;
	int sum = socket(AF_INET6, SOCK_RAW, 253);
	FILE *range = fopen("/proc/sys/net/ipv4/ping_group_range", "w");
	struct icmp_filter filter = { ~(1u << ICMP_ECHOREPLY) }, back = { 0 };
	struct icmp6_filter filter6, back6;
	struct timeval limit = { 5, 0 };
	struct sockaddr_in a, ping_name;
	socklen_t len = sizeof(v);

	if (range)
		fprintf(range, "0 0\n");
	if (range)
		fclose(range);
	int ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	CHECK(raw >= 0 && own >= 0 && six >= 0 && ping >= 0);
	lo.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(!setsockopt(raw, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)));
	CHECK(!bind(raw, (struct sockaddr *)&lo, sizeof(lo)) && !connect(raw, (struct sockaddr *)&lo, sizeof(lo)));
	CHECK(!setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	CHECK(!setsockopt(own, IPPROTO_IP, IP_HDRINCL, &one, sizeof(one)));
	memset(&filter6, 0x5a, sizeof(filter6));
	CHECK(!setsockopt(six, IPPROTO_ICMPV6, ICMPV6_FILTER, &filter6, sizeof(filter6)));
	CHECK(!setsockopt(sum, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof(at)));
	CHECK(!connect(ping, (struct sockaddr *)&lo, sizeof(lo)));
	len = sizeof(ping_name);
	CHECK(!getsockname(ping, (struct sockaddr *)&ping_name, &len));

	test_ready();

	len = sizeof(back);
	CHECK(!getsockopt(raw, SOL_RAW, ICMP_FILTER, &back, &len));
	CHECK_EQ(back.data, filter.data);
	len = sizeof(back6);
	CHECK(!getsockopt(six, IPPROTO_ICMPV6, ICMPV6_FILTER, &back6, &len));
	CHECK(!memcmp(&back6, &filter6, sizeof(filter6)));
	len = sizeof(v);
	CHECK(!getsockopt(own, IPPROTO_IP, IP_HDRINCL, &v, &len));
	CHECK_EQ(v, 1);
	CHECK(!getsockopt(raw, IPPROTO_IP, IP_HDRINCL, &v, &len));
	CHECK_EQ(v, 0);
	CHECK(!getsockopt(sum, IPPROTO_IPV6, IPV6_CHECKSUM, &v, &len));
	CHECK_EQ(v, 4);
	CHECK(!getsockopt(own, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	CHECK_EQ(v, 253);
	len = sizeof(a);
	CHECK(!getsockname(raw, (struct sockaddr *)&a, &len));
	CHECK_EQ(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(fcntl(six, F_GETFL), O_RDWR | O_NONBLOCK);
	echo4(raw, true);
	len = sizeof(a);
	CHECK(!getsockname(ping, (struct sockaddr *)&a, &len));
	CHECK(!memcmp(&a, &ping_name, sizeof(a)));
	echo4(ping, false);
	pass();
}
