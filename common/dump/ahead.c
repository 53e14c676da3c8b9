/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/ahead.h"

#include <pthread.h>

#include "common/base/aside.h"

/* From so many tasks on a second thread is worth its start. */
#define TASKS_FOR_TWO 8

struct ahead {
	struct dump *d;
	struct dump view; /* the thread's own: it has another current task */
	int (*look)(void *view, struct err *err);
	struct aside beside;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t done;	/* tasks that are read, in order; the one that failed counts */
	bool stop;
	int ret;	/* of the last of them */
	struct err err;
};

static int look_at(struct ahead *a, struct dump_task *t, struct err *err)
{
	int ret;

	if (t->zombie)
		return 0;
	a->view.task = t;
	ret = t->vm_shared ? 0 : proc_smaps(t->proc_fd, a->d->beside, &t->maps, err);
	return ret ? ret : a->look(&a->view, err);
}

static int work(void *arg, struct err *err)
{
	struct ahead *a = arg;
	bool stop = false;

	for (size_t i = 0; i < a->view.ntasks && !stop; i++) {
		struct err why = ERR_INIT;
		int ret = look_at(a, a->view.tasks[i], &why);

		pthread_mutex_lock(&a->lock);
		a->done = i + 1;
		a->ret = ret;
		a->err = why;
		stop = a->stop || ret;
		pthread_cond_signal(&a->moved);
		pthread_mutex_unlock(&a->lock);
	}
	return 0;
}

struct ahead *ahead_start(struct dump *d, int (*look)(void *view, struct err *err))
{
	struct ahead *a;

	if (d->ntasks < TASKS_FOR_TWO)
		return NULL;
	a = xzalloc(sizeof(*a));
	a->d = d;
	a->view = *d;
	a->look = look;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->moved, NULL);
	aside_start(&a->beside, work, a);
	return a;
}

int ahead_wait(struct ahead *a, size_t i, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&a->lock);
	while (a->done <= i && !(a->done && a->ret))
		pthread_cond_wait(&a->moved, &a->lock);
	/* It stops at the first failure: no task behind that is asked for. */
	if (a->ret && a->done == i + 1) {
		ret = a->ret;
		*err = a->err;
	}
	pthread_mutex_unlock(&a->lock);
	return ret;
}

void ahead_end(struct ahead *a)
{
	struct err ignore = ERR_INIT;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_mutex_unlock(&a->lock);
	aside_join(&a->beside, &ignore);
	pthread_cond_destroy(&a->moved);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
