// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Urgent data that waits to be read: its byte, and its mark, at which reading stops, at every place of what waits; with SO_OOBINLINE and
 * without, read already or not, and with the peer's end behind it. Nobody gets SIGURG twice.
 */
/* test: net dump=--tcp-established restore=--tcp-established timeout=120 */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tcp_state.h"
#include "urgent.h"

struct one { bool v6, inlined, taken, fin; int before, behind; int s, c; };
static struct one all[200];
static size_t n;
static unsigned char bytes[2 * URGENT_LONG];
static volatile sig_atomic_t heard;

static void hear(int sig)
{
	(void)sig;
	heard++;
}

static void make(struct one o)
{
	struct one *to = &all[n++];

	urgent_pair(o.v6, &o.s, &o.c);
	CHECK(!fcntl(o.s, F_SETOWN, getpid()));
	urgent_say(o.s, o.c, bytes, o.before, o.behind, o.taken, o.inlined);
	if (o.fin) {
		CHECK(!shutdown(o.c, SHUT_WR));
		wait_state(o.s, CLOSE_WAIT);
		wait_state(o.c, FIN_WAIT2);
	}
	*to = o;
}

static void looks(const struct one *o)
{
	struct pollfd p = { o->s, POLLPRI, 0 };
	int len = -1;
	char got = 0;

	CHECK(!ioctl(o->s, FIONREAD, &len));
	CHECK_EQ(len, o->before + (o->inlined ? 1 + o->behind : 0));
	CHECK_EQ(at_mark(o->s), o->before == 0);
	CHECK_EQ(poll(&p, 1, 0), !o->taken);
	if (o->inlined || o->taken)
		CHECK(recv(o->s, &got, 1, MSG_OOB | MSG_PEEK) < 0 && errno == EINVAL);
	else
		CHECK(recv(o->s, &got, 1, MSG_OOB | MSG_PEEK) == 1 && got == 'X');
	CHECK_EQ(state(o->s), o->fin ? CLOSE_WAIT : ESTABLISHED);
}

static void read_one(const struct one *o)
{
	char got;
	const int before = heard;

	comes(o->s, bytes, o->before, true);
	CHECK(at_mark(o->s));
	if (!o->inlined && !o->taken)
		CHECK(recv(o->s, &got, 1, MSG_OOB) == 1 && got == 'X');
	if (o->inlined)
		comes(o->s, (const unsigned char *)"X", 1, false);
	if (o->behind) {
		comes(o->s, bytes + o->before, o->behind, false);
		CHECK(!at_mark(o->s));
	}
	if (o->fin) {
		CHECK_EQ(read(o->s, &got, 1), 0);
		wait_state(o->c, FIN_WAIT2);
		return;
	}
	CHECK_EQ(write(o->c, "later", 5), 5);
	comes(o->s, (const unsigned char *)"later", 5, false);
	/* More of it is heard of. */
	CHECK_EQ(send(o->c, "Y", 1, MSG_OOB), 1);
	for (int i = 0; i < 6000 && heard == before; i++)
		usleep(5000);
	CHECK_EQ(heard, before + 1);
}

int main(void)
{
	static const int places[][2] = { { 3, 3 }, { 0, 3 }, { 3, 0 }, { 0, 0 }, { URGENT_LONG, 2 }, { 2, URGENT_LONG } };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 11);
	signal(SIGURG, hear);
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 6; j++)
			make((struct one){ .v6 = i & 1, .inlined = i & 2, .taken = i & 4, .fin = i & 8, .before = places[j][0],
					   .behind = places[j][1] });
	CHECK_EQ(heard, n);
	for (size_t i = 0; i < n; i++)
		looks(&all[i]);

	test_ready();

	CHECK_EQ(heard, n);
	for (size_t i = 0; i < n; i++) {
		CHECK_EQ(fcntl(all[i].s, F_GETOWN), getpid());
		looks(&all[i]);
		read_one(&all[i]);
	}
	pass();
}
