/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/start.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "common/base/util.h"

#define STACK (1u << 20)

static void on_limit(int signo)
{
}

void process_begin(void)
{
	/* A handler, because what is ignored stays so in programs that we start. */
	struct sigaction sa = { .sa_handler = on_limit, .sa_flags = SA_RESTART };
	pthread_attr_t attr;
	struct rlimit lim;

	sigaction(SIGXFSZ, &sa, NULL);
	if (getrlimit(RLIMIT_STACK, &lim) || lim.rlim_cur >= STACK)
		return;
	/* That of the first thread grows as far as the limit says then; those of others are as large as it was at the start. */
	lim.rlim_cur = MIN(lim.rlim_max, (rlim_t)STACK);
	setrlimit(RLIMIT_STACK, &lim);
	if (pthread_attr_init(&attr))
		return;
	if (!pthread_attr_setstacksize(&attr, STACK))
		pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}
