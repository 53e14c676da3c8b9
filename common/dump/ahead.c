/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/ahead.h"

#include <pthread.h>

#include "common/base/aside.h"
#include "common/mm/look.h"
#include "common/task/kin.h"

struct ahead {
	struct dump view, mine; /* the thread's own, and the caller's: each has another current task than the dump */
	int (*look)(void *view, struct err *err);
	struct aside beside;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t next; /* the first task that nobody has taken */
	bool *done;
	bool stop;
	size_t failed; /* the first task that did: no other is taken */
	int ret;
	struct err err;
};

static int look_at(struct ahead *a, struct dump *view, struct dump_task *t, struct err *err)
{
	int ret;

	if (t->zombie)
		return 0;
	view->task = t;
	ret = t->vm_shared ? 0 : mm_look(view, t, view->arena, err);
	return ret ? ret : a->look(view, err);
}

/* Under the lock, which is open meanwhile: one task more, if there is one. */
static bool look_at_next(struct ahead *a, struct dump *view)
{
	struct err why = ERR_INIT;
	size_t i = a->next;
	int ret;

	if (a->stop || a->ret || i == view->ntasks)
		return false;
	a->next++;
	/* What it has from its parent is taken from there: who looks at that one may not be done. */
	if (view->tasks[i]->parent && !a->done[view->tasks[i]->parent->index])
		view->tasks[i]->kin &= KIN_ALONE;
	pthread_mutex_unlock(&a->lock);
	ret = look_at(a, view, view->tasks[i], &why);
	pthread_mutex_lock(&a->lock);
	a->done[i] = true;
	if (ret && (!a->ret || i < a->failed)) {
		a->ret = ret;
		a->failed = i;
		a->err = why;
	}
	pthread_cond_signal(&a->moved);
	return true;
}

static int work(void *arg, struct err *err)
{
	struct ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (look_at_next(a, &a->view))
		;
	pthread_mutex_unlock(&a->lock);
	return 0;
}

struct ahead *ahead_start(struct dump *d, int (*look)(void *view, struct err *err))
{
	struct ahead *a;

	if (d->ntasks < TASKS_FOR_TWO)
		return NULL;
	a = xzalloc(sizeof(*a));
	a->view = a->mine = *d;
	a->view.arena = d->ahead_arena;
	a->look = look;
	a->done = arena_alloc(d->arena, d->ntasks * sizeof(*a->done));
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->moved, NULL);
	aside_start(&a->beside, work, a);
	return a;
}

int ahead_wait(struct ahead *a, size_t i, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&a->lock);
	/* Tasks are taken in order: one that is neither done nor to be taken is being looked at. */
	while (!a->done[i])
		if (!look_at_next(a, &a->mine))
			pthread_cond_wait(&a->moved, &a->lock);
	if (a->ret && a->failed == i) {
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
