// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What was sent as urgent and cannot go, for the other end is full, is still urgent when it goes; and the other end has heard of it and has
 * not got it. Both at once, with an end behind it and without, and with more that is not urgent.
 */
/* test: net dump=--tcp-established restore=--tcp-established timeout=120 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "urgent.h"

/* far: more is in front of it than the pointer of a segment can tell. So the other end has not heard of it, or hears of another place. */
struct one { bool v6, inlined, more, fin, far; int s, c; size_t len; };
static struct one all[24];
static unsigned char buf[65536];
static volatile sig_atomic_t heard;

static void hear(int sig)
{
	(void)sig;
	heard++;
}

static int announced(int fd)
{
	char got;

	return recv(fd, &got, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void make(struct one *o)
{
	const int size = 1 << 18, on = 1, least = o->far ? 100000 : 20000;
	int out = -1;

	urgent_pair(o->v6, &o->s, &o->c);
	if (!o->far)
		CHECK(!fcntl(o->s, F_SETOWN, getpid()));
	CHECK(!setsockopt(o->c, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	fcntl(o->c, F_SETFL, O_NONBLOCK);
	for (int tries = 0; out < least; tries++) {
		const ssize_t w = write(o->c, buf, 4096);

		o->len += w > 0 ? (size_t)w : 0;
		if (w < 0 || tries == 20000)
			fail("nothing stays in the send queue: %d of %zu, %m", out, o->len);
		CHECK(!ioctl(o->c, TIOCOUTQ, &out));
		if (out < least)
			continue;
		usleep(50000);
		CHECK(!ioctl(o->c, TIOCOUTQ, &out));
	}
	CHECK_EQ(send(o->c, "X", 1, MSG_OOB), 1);
	if (o->more)
		CHECK_EQ(write(o->c, "more", 4), 4);
	if (o->fin)
		CHECK(!shutdown(o->c, SHUT_WR));
	/* Its probes tell, if they can. */
	for (int i = 0; i < 6000 && !o->far && !announced(o->s); i++)
		usleep(5000);
	CHECK(o->far || announced(o->s));
	if (o->inlined)
		CHECK(!setsockopt(o->s, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
}

static void read_one(const struct one *o)
{
	const int before = heard;
	char got[8] = "";

	CHECK(o->far || announced(o->s) == !o->inlined);
	for (size_t done = 0; done < o->len;) {
		struct pollfd p = { o->s, POLLIN, 0 };

		CHECK(o->far || !at_mark(o->s));
		CHECK_EQ(poll(&p, 1, 30000), 1);
		const ssize_t r = read(o->s, buf, sizeof(buf));
		CHECK(r > 0 && (size_t)r <= o->len - done);
		done += (size_t)r;
	}
	struct pollfd p = { o->s, POLLPRI, 0 };
	CHECK_EQ(poll(&p, 1, 30000), 1);
	CHECK(at_mark(o->s));
	CHECK_EQ(recv(o->s, got, 1, o->inlined ? 0 : MSG_OOB), 1);
	CHECK_EQ(got[0], 'X');
	if (o->more)
		CHECK(recv(o->s, got, 4, MSG_WAITALL) == 4 && !memcmp(got, "more", 4));
	if (o->fin)
		CHECK_EQ(read(o->s, got, 1), 0);
	CHECK(o->far || heard == before);
}

int main(void)
{
	signal(SIGURG, hear);
	for (int i = 0; i < 24; i++) {
		all[i] = (struct one){ .v6 = i & 1, .more = i & 2, .fin = i & 4, .far = i >= 16, .inlined = i >= 8 };
		make(&all[i]);
	}
	CHECK_EQ(heard, 16);

	test_ready();

	CHECK_EQ(heard, 16);
	for (int i = 0; i < 24; i++)
		read_one(&all[i]);
	pass();
}
