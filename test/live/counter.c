/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A target with three threads that counts the SIGTERMs it handles (file `terms`), while it goes on (file `beats`). */
#include <pthread.h>

#include "test/progs/test.h"

static volatile sig_atomic_t terms;

static void on_term(int sig)
{
	terms++;
}

static void put(const char *name, unsigned long v)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu\n", v);
	test_put_(name, text);
}

static void *sleeper(void *arg)
{
	for (;;)
		sleep(1000);
	return arg;
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_term };
	pthread_t t;

	sigaction(SIGTERM, &sa, NULL);
	put("terms", 0);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&t, NULL, sleeper, NULL));
	put("ready", 1);
	for (unsigned long beats = 1;; beats++) {
		struct timespec ts = { 0, 2000000 };

		put("beats", beats);
		put("terms", (unsigned long)terms);
		nanosleep(&ts, NULL);
	}
}
