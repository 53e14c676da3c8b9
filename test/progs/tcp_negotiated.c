// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the two ends of a connection agreed upon when it was opened, in every combination that this host can make: window scale, selective
 * acknowledgements, time stamps, segment size. It is the same afterwards; so are the windows, and the clock does not go back.
 */
/* test: net dump=--tcp-established restore=--tcp-established */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "test.h"

#define CASES 16
static struct end { int fd; struct tcp_info info; unsigned clock; } ends[CASES][2];

static void sysctl(const char *name, int value)
{
	char path[80], text[16];
	int fd, n = snprintf(text, sizeof(text), "%d\n", value);

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		TEST_SKIP("%s cannot be set", path);
	close(fd);
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info i = { 0 };
	socklen_t len = sizeof(i);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) && len >= offsetof(struct tcp_info, tcpi_snd_wnd));
	return i;
}

static unsigned clock_of(int fd)
{
	unsigned v;
	socklen_t len = sizeof(v);

	CHECK(!getsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &v, &len));
	return v;
}

static void say(int from, int to, const char *text, size_t n)
{
	char got[64];

	CHECK_EQ(write(from, text, n), (ssize_t)n);
	for (size_t k = 0; k < n;) {
		ssize_t r = read(to, got + k, sizeof(got) - k);
		CHECK(r > 0);
		k += (size_t)r;
	}
	CHECK(!memcmp(got, text, n));
}

/* bits: window scale, selective acknowledgements, time stamps; an own segment size. */
static void make(unsigned bits, struct end *e)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int l = socket(AF_INET, SOCK_STREAM, 0), mss = 1000;

	sysctl("tcp_window_scaling", (bits & 1) != 0);
	sysctl("tcp_sack", (bits & 2) != 0);
	sysctl("tcp_timestamps", (bits & 4) != 0);
	CHECK(!bind(l, (struct sockaddr *)&in, len) && !listen(l, 1) && !getsockname(l, (struct sockaddr *)&in, &len));
	e[0].fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bits & 8)
		CHECK(!setsockopt(e[0].fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
	CHECK(!connect(e[0].fd, (struct sockaddr *)&in, len));
	e[1].fd = accept(l, NULL, NULL);
	CHECK(e[1].fd >= 0);
	close(l);
	say(e[0].fd, e[1].fd, "there", 5);
	say(e[1].fd, e[0].fd, "and back", 8);
	unsigned want = (bits & 1 ? TCPI_OPT_WSCALE : 0) | (bits & 2 ? TCPI_OPT_SACK : 0) | (bits & 4 ? TCPI_OPT_TIMESTAMPS : 0);
	for (int i = 0; i < 2; i++) {
		e[i].info = info_of(e[i].fd);
		e[i].clock = clock_of(e[i].fd);
		CHECK_EQ(e[i].info.tcpi_options & (TCPI_OPT_WSCALE | TCPI_OPT_SACK | TCPI_OPT_TIMESTAMPS), want);
		CHECK((e[i].info.tcpi_snd_wscale > 0) == ((bits & 1) != 0));
	}
}

#define SAME(field) \
	do { \
		if (now.field != was->field) \
			fail("case %d, end %d: " #field " is %u and was %u", c, i, (unsigned)now.field, (unsigned)was->field); \
	} while (0)

int main(void)
{
	/* As on a real network; segments as long as the loopback device takes them are bound by half a window, too. */
	if (system("exec ip link set lo mtu 1500"))
		TEST_SKIP("the loopback device cannot be changed");
	for (unsigned c = 0; c < CASES; c++)
		make(c, ends[c]);

	test_ready();

	for (int c = 0; c < CASES; c++) {
		for (int i = 0; i < 2; i++) {
			const struct tcp_info now = info_of(ends[c][i].fd), *was = &ends[c][i].info;

			SAME(tcpi_state);
			SAME(tcpi_options);
			SAME(tcpi_snd_wscale);
			SAME(tcpi_rcv_wscale);
			/* Shown less the time stamps that the host would like by now; sent with those that there are. */
			if (abs((int)(now.tcpi_snd_mss - was->tcpi_snd_mss)) > 12)
				SAME(tcpi_snd_mss);
			SAME(tcpi_snd_wnd);
			if (c & 4 && (int)(clock_of(ends[c][i].fd) - ends[c][i].clock) < 0)
				fail("case %d, end %d: the clock went back", c, i);
		}
		say(ends[c][0].fd, ends[c][1].fd, "still there", 11);
		say(ends[c][1].fd, ends[c][0].fd, "and back again", 14);
	}
	pass();
}
