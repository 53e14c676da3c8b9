/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/remote/burial.h"

#include <sys/wait.h>
#include <time.h>

#include "common/base/util.h"

#define LOOK_NS 20000000 /* most processes are frozen before the first look */

static bool is_dead(pid_t tid)
{
	siginfo_t si = { 0 };

	/* Only looks: a tracee's stop is given out whatever was asked for (wait_task_stopped() in kernel/exit.c), and belongs to others. */
	if (waitid(P_PID, (id_t)tid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) || !si.si_pid)
		return false;
	return si.si_code == CLD_EXITED || si.si_code == CLD_KILLED || si.si_code == CLD_DUMPED;
}

static void reap(struct burial *b)
{
	size_t left = 0;

	for (size_t i = 0; i < b->n; i++) {
		int status;

		if (is_dead(b->tids[i]))
			waitpid(b->tids[i], &status, WNOHANG | __WALL);
		else
			b->tids[left++] = b->tids[i];
	}
	b->n = left;
}

static void *work(void *arg)
{
	struct burial *b = arg;

	pthread_mutex_lock(&b->lock);
	while (!b->end) {
		struct timespec next;

		clock_gettime(CLOCK_REALTIME, &next);
		next.tv_nsec += LOOK_NS;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&b->moved, &b->lock, &next))
			reap(b);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

void burial_add(struct burial *b, pid_t tid)
{
	if (!b->running) {
		b->end = false;
		pthread_mutex_init(&b->lock, NULL);
		pthread_cond_init(&b->moved, NULL);
		b->running = !pthread_create(&b->thread, NULL, work, b);
	}
	if (!b->running)
		return;
	pthread_mutex_lock(&b->lock);
	array_reserve(&b->tids, &b->cap, b->n, sizeof(*b->tids));
	b->tids[b->n++] = tid;
	pthread_mutex_unlock(&b->lock);
}

void burial_end(struct burial *b)
{
	if (b->running) {
		pthread_mutex_lock(&b->lock);
		b->end = true;
		pthread_cond_signal(&b->moved);
		pthread_mutex_unlock(&b->lock);
		pthread_join(b->thread, NULL);
		pthread_cond_destroy(&b->moved);
		pthread_mutex_destroy(&b->lock);
	}
	free(b->tids);
	*b = (struct burial){ 0 };
}
