// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All that getsockopt(2) can read of sockets of every family, at every level, must be what it was; before, every option that can be
 * set is set to something that a new socket does not have.
 */
/* test: net */
#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "test.h"

#define NAMES 128
#define VALUE 512
struct value { int error; socklen_t len; unsigned char bytes[VALUE]; };

static const int levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, IPPROTO_ICMPV6,
			      IPPROTO_RAW, IPPROTO_TCP, SOL_PACKET, SOL_NETLINK };
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

/* Says something about the moment, or of this very socket, or takes what it shows. */
static bool is_volatile(int level, int name)
{
	static const int socket_level[] = {
		SO_ERROR, SO_MEMINFO, SO_INCOMING_NAPI_ID, SO_COOKIE, 77 /* SO_PEERPIDFD */, 71 /* SO_NETNS_COOKIE */,
	};
	for (size_t i = 0; level == SOL_SOCKET && i < sizeof(socket_level) / sizeof(socket_level[0]); i++)
		if (name == socket_level[i])
			return true;
	/* Repair, and what it shows; statistics; the clock. */
	if (level == IPPROTO_TCP && (name == 11 || (name >= 19 && name <= 22) || name == 24))
		return true;
	return level == SOL_PACKET && (name == PACKET_STATISTICS || name == 17 /* PACKET_ROLLOVER_STATS */);
}

static const struct { const char *name; int family, type, protocol; } kinds[] = {
	{ "unix", AF_UNIX, SOCK_DGRAM, 0 },
	{ "udp4", AF_INET, SOCK_DGRAM, 0 },
	{ "udp6", AF_INET6, SOCK_DGRAM, 0 },
	{ "udplite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE },
	{ "raw4", AF_INET, SOCK_RAW, IPPROTO_ICMP },
	{ "raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 },
	{ "raw6 of no protocol", AF_INET6, SOCK_RAW, 253 },
	{ "tcp", AF_INET, SOCK_STREAM, 0 },
	{ "packet", AF_PACKET, SOCK_RAW, 0 },
	{ "raw6 with headers", AF_INET6, SOCK_RAW, IPPROTO_RAW },
	{ "netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct value before[KINDS][LEVELS][NAMES];

static void look(int fd, int level, int name, struct value *v)
{
	memset(v, 0, sizeof(*v));
	v->len = sizeof(v->bytes);
	if (!getsockopt(fd, level, name, v->bytes, &v->len))
		return;
	v->error = errno;
	v->len = 0;
	memset(v->bytes, 0, sizeof(v->bytes));
}

/* Gives how many options of a level took another value. */
static int set_all(int fd, int level)
{
	int taken = 0;

	for (int name = 0; name < NAMES; name++) {
		struct value was, is;
		if (is_volatile(level, name))
			continue;
		if (level == SOL_SOCKET && (name == SO_LOCK_FILTER || name == SO_TXTIME || name == SO_TIMESTAMPING_OLD ||
					    name == SO_TIMESTAMPING_NEW || name == SO_LINGER))
			continue; /* below */
		if (level == IPPROTO_IP && (name == IP_OPTIONS || name >= 64 /* tables of netfilter */))
			continue;
		if (level == SOL_PACKET && (name == PACKET_RX_RING || name == PACKET_TX_RING || name == PACKET_FANOUT))
			continue;
		look(fd, level, name, &was);
		if (was.error)
			continue;
		if (was.len == sizeof(int)) {
			int old, try[4];
			memcpy(&old, was.bytes, sizeof(old));
			try[0] = old == 0 ? 1 : old == 1 ? 0 : old - 1;
			try[1] = old + 1;
			try[2] = 2;
			try[3] = 16;
			for (int i = 0; i < 4; i++) {
				look(fd, level, name, &is);
				if (!memcmp(&is, &was, sizeof(is)))
					setsockopt(fd, level, name, &try[i], sizeof(int));
			}
		} else if (was.len == 8 && level == SOL_SOCKET && name == SO_MAX_PACING_RATE) {
			uint64_t rate = 5000000000ull;
			setsockopt(fd, level, name, &rate, sizeof(rate));
		} else if (was.len == 16 && level == SOL_SOCKET) {
			struct timeval tv = { 7, 500000 };
			setsockopt(fd, level, name, &tv, sizeof(tv));
		}
		look(fd, level, name, &is);
		taken += memcmp(&is, &was, sizeof(is)) != 0;
	}
	return taken;
}

static void set_special(int fd)
{
	struct linger linger = { 1, 12 };
	struct { uint32_t clock, flags; } txtime = { CLOCK_MONOTONIC, 1 };
	uint32_t stamping = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 3, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, 0xffffffff), BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog prog = { 4, code };
	int one = 1;

	CHECK(!setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_TXTIME, &txtime, sizeof(txtime)));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING_NEW, &stamping, sizeof(stamping)));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	CHECK(!setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)));
}

/* Options that every packet carries. */
static void set_headers(int fd, int family, int type)
{
	/* record route with room for one address, end; a hop-by-hop and a destination header of nothing but padding */
	static const unsigned char v4[8] = { 7, 7, 4 }, v6[8] = { 0, 0, 1, 4 };
	unsigned char got[40];
	socklen_t len = sizeof(got);

	if (family == AF_INET) {
		CHECK(!setsockopt(fd, IPPROTO_IP, IP_OPTIONS, v4, sizeof(v4)));
		CHECK(!getsockopt(fd, IPPROTO_IP, IP_OPTIONS, got, &len) && len == sizeof(v4));
	}
	if (family == AF_INET6 && type == SOCK_DGRAM) {
		CHECK(!setsockopt(fd, IPPROTO_IPV6, IPV6_HOPOPTS, v6, sizeof(v6)));
		CHECK(!setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, v6, sizeof(v6)));
		CHECK(!getsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, got, &len) && len == sizeof(v6));
	}
}

int main(void)
{
	int fds[KINDS], taken = 0, different = 0, plain[KINDS];

	for (size_t k = 0; k < KINDS; k++) {
		fds[k] = socket(kinds[k].family, kinds[k].type, kinds[k].protocol);
		plain[k] = socket(kinds[k].family, kinds[k].type, kinds[k].protocol);
		CHECK(fds[k] >= 0 && plain[k] >= 0);
		for (size_t l = 0; l < LEVELS; l++)
			taken += set_all(fds[k], levels[l]);
		set_special(fds[k]);
		set_headers(fds[k], kinds[k].family, kinds[k].type);
		for (size_t l = 0; l < LEVELS; l++)
			for (int name = 0; name < NAMES; name++)
				if (!is_volatile(levels[l], name))
					look(fds[k], levels[l], name, &before[k][l][name]);
	}
	CHECK(taken > 20 * (int)KINDS);
	struct { struct value v[LEVELS][NAMES]; } *fresh = calloc(KINDS, sizeof(*fresh));
	for (size_t k = 0; k < KINDS; k++)
		for (size_t l = 0; l < LEVELS; l++)
			for (int name = 0; name < NAMES; name++)
				if (!is_volatile(levels[l], name))
					look(plain[k], levels[l], name, &fresh[k].v[l][name]);

	test_ready();

	for (size_t i = 0; i < 2 * KINDS; i++)
		for (size_t l = 0; l < LEVELS; l++)
			for (int name = 0; name < NAMES; name++) {
				size_t k = i / 2;
				struct value now, *was = i % 2 ? &fresh[k].v[l][name] : &before[k][l][name];
				if (is_volatile(levels[l], name))
					continue;
				look(i % 2 ? plain[k] : fds[k], levels[l], name, &now);
				if (!memcmp(&now, was, sizeof(now)))
					continue;
				different++;
				fprintf(stderr, "%s%s: level %d option %d: %d bytes %02x%02x%02x%02x error %d, were %d bytes"
					" %02x%02x%02x%02x error %d\n", kinds[k].name, i % 2 ? " (new)" : "", levels[l],
					name, now.len, now.bytes[0], now.bytes[1], now.bytes[2], now.bytes[3], now.error,
					was->len, was->bytes[0], was->bytes[1], was->bytes[2], was->bytes[3], was->error);
			}
	CHECK_EQ(different, 0);
	pass();
}
