// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Most tasks of a large tree have little memory, and of one that left its pages to its parent nothing is written: reading the
 * words of its page map is all the work. So threads take whole tasks, each with files and buffers of its own. A write to one
 * file excludes others (inode_lock() in mm/filemap.c): two threads are better off at two tasks than at one.
 */
#include "common/mm/pages_crowd.h"

#include <pthread.h>

#include "common/base/aside.h"
#include "common/base/clock.h"
#include "common/dump/ahead.h"

/* Fewer tasks have a second thread where they have so much memory. */
#define PAGES_FOR_TWO (2u << 10)

struct seat {
	struct pump *offered;
	bool busy;   /* at a task */
	bool helped; /* by the other one, at this moment */
};

struct crowd {
	struct dump *d, view; /* the second worker's own: it has another current task, arena, and counts */
	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	size_t next; /* in dump.tasks */
	struct seat seats[2];
	size_t failed; /* the first task that did */
	int ret;
	struct err err;
};

static bool has_pages(const struct dump_task *t)
{
	return !t->zombie && !t->unfit && !t->vm_shared;
}

static struct dump_task *take_task(struct crowd *c)
{
	struct dump *d = c->d;

	while (!c->ret && c->next < d->ntasks) {
		struct dump_task *t = d->tasks[c->next++];

		if (has_pages(t))
			return t;
	}
	return NULL;
}

static void note_failure(struct crowd *c, const struct dump_task *t, int ret, struct err *err)
{
	err_task(err, t->pid, t->stat.comm, ret);
	if (c->ret && c->failed < t->index)
		return;
	c->ret = ret;
	c->failed = t->index;
	c->err = *err;
}

/* Called and left with the lock held. */
static void dump_one(struct crowd *c, struct seat *mine, struct dump *d, struct dump_task *t)
{
	struct err err = ERR_INIT;
	int ret;

	mine->busy = true;
	pthread_mutex_unlock(&c->lock);
	d->task = t;
	ret = pages_dump(d, &err);
	pthread_mutex_lock(&c->lock);
	mine->busy = false;
	if (ret)
		note_failure(c, t, ret, &err);
	pthread_cond_broadcast(&c->changed);
}

/* The same. What was helped with has no page left to be taken. */
static void help_one(struct crowd *c, struct seat *other, struct dump *d)
{
	struct pump *p = take_ptr(other->offered);

	other->helped = true;
	pthread_mutex_unlock(&c->lock);
	pump_help(p, d);
	pthread_mutex_lock(&c->lock);
	other->helped = false;
	pthread_cond_broadcast(&c->changed);
}

static void work(struct crowd *c, struct dump *d)
{
	struct seat *mine = &c->seats[d->worker->seat], *other = &c->seats[!d->worker->seat];
	struct dump_task *t;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		t = take_task(c);
		if (t)
			dump_one(c, mine, d, t);
		else if (other->offered)
			help_one(c, other, d);
		else if (other->busy)
			pthread_cond_wait(&c->changed, &c->lock);
		else
			break;
	}
	pthread_mutex_unlock(&c->lock);
}

static int second_worker(void *crowd, struct err *err)
{
	struct crowd *c = crowd;

	work(c, &c->view);
	return 0;
}

void crowd_offer(const struct worker *w, struct pump *p)
{
	struct crowd *c = w->crowd;

	pthread_mutex_lock(&c->lock);
	c->seats[w->seat].offered = p;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void crowd_withdraw(const struct worker *w)
{
	struct crowd *c = w->crowd;
	struct seat *mine = &c->seats[w->seat];

	pthread_mutex_lock(&c->lock);
	mine->offered = NULL;
	while (mine->helped)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void add_counts(struct dump_stats *to, const struct dump_stats *from)
{
	to->pages_scanned += from->pages_scanned;
	to->pages_written += from->pages_written;
	to->pages_zero += from->pages_zero;
	to->pages_cow += from->pages_cow;
	to->pages_parent += from->pages_parent;
	to->pages_file += from->pages_file;
}

static int dump_by_two(struct dump *d, struct err *err)
{
	struct crowd c = { .d = d, .view = *d, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .err = ERR_INIT };
	struct worker workers[2] = { { &c, 0 }, { &c, 1 } };
	struct err ignore = ERR_INIT;
	struct aside beside;

	c.view.arena = d->beside;
	c.view.known = NULL;
	c.view.stats = (struct dump_stats){ 0 };
	c.view.worker = &workers[1];
	d->worker = &workers[0];
	aside_start(&beside, second_worker, &c);
	work(&c, d);
	aside_join(&beside, &ignore);
	d->worker = NULL;
	d->task = d->tasks[0];
	add_counts(&d->stats, &c.view.stats);
	if (c.ret)
		*err = c.err;
	return c.ret;
}

/* Streams have an order, compression has threads of its own, and what is known of an older checkpoint is one reader's. */
static bool is_for_two(const struct dump *d)
{
	uint64_t pages = 0;
	size_t n = 0;

	if (image_store_is_stream(d->store) || d->opts->compress || d->opts->pre_dump || d->previous || dump_stays_tracked(d))
		return false;
	for (size_t i = 0; i < d->ntasks; i++) {
		const struct dump_task *t = d->tasks[i];

		if (!has_pages(t))
			continue;
		n++;
		pages += t->stat.rss;
	}
	return n >= TASKS_FOR_TWO || (n > 1 && pages >= PAGES_FOR_TWO);
}

int pages_dump_all(struct dump *d, struct err *err)
{
	const uint64_t before = d->stats.memdump_us, start = now_ns();
	int ret;

	/* In the order of tasks, whoever comes first. */
	for (size_t i = 0; i < d->ntasks; i++)
		if (has_pages(d->tasks[i]))
			d->tasks[i]->pages_id = ++d->objects->last_pages_id;
	ret = is_for_two(d) ? dump_by_two(d, err) : dump_each_task(d, pages_dump, err);
	d->stats.memdump_us = d->stats.memwrite_us = before + (now_ns() - start) / 1000;
	return ret;
}
