// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The connection has ended, and the mark of urgent data is in what waits to be read, or all is read up to it: its byte, read already or
 * not, and what lies behind it come back, with SO_OOBINLINE and without. Nobody gets SIGURG twice.
 */
/* test: net timeout=120 */
#include <fcntl.h>
#include <signal.h>

#include "urgent.h"

struct one { bool v6, inlined, taken; int before, behind; int s, c; };
static struct one all[48];
static unsigned char bytes[2 * URGENT_LONG];
static volatile sig_atomic_t heard;

static void hear(int sig)
{
	(void)sig;
	heard++;
}

static void make(struct one *o)
{
	urgent_pair(o->v6, &o->s, &o->c);
	CHECK(!fcntl(o->s, F_SETOWN, getpid()));
	urgent_say(o->s, o->c, bytes, o->before, o->behind, o->taken, o->inlined);
	urgent_ends(o->s, o->c);
	/* All is read that is in front of it. */
	if (o->before == 1)
		comes(o->s, bytes, o->before, true);
}

static void look(const struct one *o)
{
	const int before = o->before == 1 ? 0 : o->before;
	struct pollfd p = { o->s, POLLPRI, 0 };
	char got = 0;
	int len = -1;

	CHECK(!ioctl(o->s, FIONREAD, &len));
	CHECK_EQ(len, before + (o->inlined ? 1 + o->behind : 0));
	CHECK_EQ(at_mark(o->s), before == 0);
	CHECK(poll(&p, 1, 0) == 1);
	CHECK_EQ(!!(p.revents & POLLPRI), !o->taken);
	if (o->inlined || o->taken)
		CHECK(recv(o->s, &got, 1, MSG_OOB | MSG_PEEK) < 0 && errno == EINVAL);
	else
		CHECK(recv(o->s, &got, 1, MSG_OOB | MSG_PEEK) == 1 && got == 'X');
}

static void read_one(const struct one *o)
{
	char got;

	if (o->before != 1)
		comes(o->s, bytes, o->before, true);
	CHECK(at_mark(o->s));
	if (o->inlined)
		comes(o->s, (const unsigned char *)"X", 1, false);
	comes(o->s, bytes + o->before, o->behind, false);
	CHECK_EQ(read(o->s, &got, 1), 0);
}

int main(void)
{
	static const int places[][2] = { { 3, 3 }, { 0, 3 }, { 1, 3 }, { 3, 0 }, { URGENT_LONG, 2 }, { 2, URGENT_LONG } };

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 11);
	signal(SIGURG, hear);
	for (int i = 0; i < 48; i++) {
		all[i] = (struct one){ .v6 = i & 1, .inlined = i & 2, .taken = i & 4, .before = places[i / 8][0], .behind = places[i / 8][1] };
		make(&all[i]);
		look(&all[i]);
	}
	CHECK_EQ(heard, 48);

	test_ready();

	CHECK_EQ(heard, 48);
	for (int i = 0; i < 48; i++) {
		CHECK_EQ(fcntl(all[i].s, F_GETOWN), getpid());
		look(&all[i]);
		read_one(&all[i]);
	}
	pass();
}
