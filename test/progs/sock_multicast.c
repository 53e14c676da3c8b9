// SPDX-License-Identifier: GPL-2.0-or-later
/* Multicast groups of both families, with and without a list of sources: each arrives, or not, as before. */
/* test: net */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

static struct group_req request(const char *text)
{
	struct group_req r = { .gr_interface = 1 };
	struct sockaddr_in *in = (void *)&r.gr_group;
	struct sockaddr_in6 *in6 = (void *)&r.gr_group;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		in->sin_family = AF_INET;
	else
		in6->sin6_family = inet_pton(AF_INET6, text, &in6->sin6_addr) == 1 ? AF_INET6 : 0;
	return r;
}

/* Mode and number of sources, -1: no member. */
static int mode(int s, int level, const char *text, unsigned *sources)
{
	_Alignas(struct group_filter) unsigned char room[GROUP_FILTER_SIZE(8)] = { 0 };
	struct group_filter *gf = (void *)room;
	struct group_req r = request(text);
	socklen_t len = sizeof(room);

	gf->gf_interface = 1;
	gf->gf_group = r.gr_group;
	gf->gf_numsrc = 8;
	if (getsockopt(s, level, MCAST_MSFILTER, gf, &len))
		return -1;
	*sources = gf->gf_numsrc;
	return (int)gf->gf_fmode;
}

int main(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0), none = socket(AF_INET, SOCK_DGRAM, 0);
	struct group_req all = request("239.1.2.3"), some = request("239.1.2.4"), g6 = request("ff15::77");
	struct group_source_req from = { .gsr_interface = 1, .gsr_group = some.gr_group, .gsr_source = request("127.0.0.9").gr_group };
	unsigned n = 9;

	CHECK(!setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &all, sizeof(all)));
	CHECK(!setsockopt(a, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &from, sizeof(from)));
	CHECK(!setsockopt(six, IPPROTO_IPV6, MCAST_JOIN_GROUP, &g6, sizeof(g6)));
	CHECK(!setsockopt(six, IPPROTO_IP, MCAST_JOIN_GROUP, &all, sizeof(all)));
	from.gsr_group = all.gr_group;
	CHECK(!setsockopt(six, IPPROTO_IP, MCAST_BLOCK_SOURCE, &from, sizeof(from)));
	CHECK_EQ(mode(none, IPPROTO_IP, "239.1.2.3", &n), -1);

	test_ready();

	CHECK_EQ(mode(a, IPPROTO_IP, "239.1.2.3", &n), MCAST_EXCLUDE);
	CHECK_EQ(n, 0);
	CHECK_EQ(mode(a, IPPROTO_IP, "239.1.2.4", &n), MCAST_INCLUDE);
	CHECK_EQ(n, 1);
	CHECK_EQ(mode(six, IPPROTO_IPV6, "ff15::77", &n), MCAST_EXCLUDE);
	CHECK_EQ(n, 0);
	CHECK_EQ(mode(six, IPPROTO_IP, "239.1.2.3", &n), MCAST_EXCLUDE);
	CHECK_EQ(n, 1);
	CHECK_EQ(mode(none, IPPROTO_IP, "239.1.2.3", &n), -1);
	CHECK_EQ(mode(a, IPPROTO_IP, "239.1.2.5", &n), -1);
	pass();
}
