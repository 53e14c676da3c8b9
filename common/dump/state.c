/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of one task, all but its files and memory: what /proc and ptrace tell, and what the agent inside of it answers. */
#include "common/dump/state.h"

#include <errno.h>

#include "common/base/aside.h"
#include "common/base/halves.h"
#include "common/base/fault.h"
#include "common/dump/ahead.h"
#include "common/dump/ask.h"
#include "common/dump/dead_leader.h"
#include "common/dump/identity.h"
#include "common/kinds.h"
#include "common/mm/mm.h"
#include "common/task/alike.h"
#include "common/task/cgroup.h"
#include "common/task/task.h"

/* Work is shared with a second thread of ours from this many threads of the target on: starting one costs as much as ten of them. */
#define SHARED_FROM 32

/* What /proc tells of the target's threads, read by two of ours that take a few at a time. */
struct reader { struct dump_task *task; struct arena *arena; };
#define AT_A_TIME 16

static int read_status(void *view, size_t i, struct err *err)
{
	const struct reader *r = view;
	struct dump_thread *t = &r->task->threads[i];
	char path[THREAD_PATH_MAX];

	if (t->alike & ALIKE_STATUS)
		return 0;
	dump_thread_path(r->task, t->frozen->tid, "status", path);
	return proc_status(r->task->proc_fd, path, r->arena, &t->status, err);
}

static int read_all_statuses(struct dump *d, struct err *err)
{
	struct dump_task *t = d->task;
	struct reader mine = { t, d->arena }, other = { t, d->beside };
	const size_t n = t->nthreads;
	size_t left = 0;
	int ret;

	for (size_t i = 0; i < n; i++)
		t->threads[i].frozen = &t->fz.threads[i];
	ret = read_status(&mine, t->fz.speaker, err);
	if (ret)
		return ret;
	t->threads[t->fz.speaker].alike = ALIKE_STATUS; /* not again */
	alike_look(d->alike, t, d->arena, d->log);
	for (size_t i = 0; i < n; i++)
		left += !(t->threads[i].alike & ALIKE_STATUS);
	return halves_run(&(struct halves){ .n = n, .at_once = left < SHARED_FROM ? n : AT_A_TIME, .one = read_status, .mine = &mine,
					    .other = &other }, err);
}

int state_look(struct dump *d, struct err *err)
{
	struct dump_task *task = d->task;
	int ret;

	task->nthreads = task->fz.nthreads;
	task->threads = arena_alloc(d->arena, task->nthreads * sizeof(*task->threads));
	ret = read_all_statuses(d, err);
	if (ret)
		return ret;
	dead_leader_status(task);
	task->stopped = task->fz.threads[0].stop_signal;
	if (task->parent && task->stopped)
		task->parent->nstopped++;
	for (size_t i = 0; i < task->nthreads; i++) {
		struct dump_thread *t = &task->threads[i];

		t->frozen->pending = (t->status.sig_pnd | t->status.shd_pnd) & ~t->frozen->sigmask;
		t->core = arena_msg(d->arena, CoreEntry, core_entry__init);
		t->core->thread_core = arena_msg(d->arena, ThreadCoreEntry, thread_core_entry__init);
		if (!i)
			t->core->tc = arena_msg(d->arena, TaskCoreEntry, task_core_entry__init);
		if (arch_is_native(&t->frozen->regs))
			continue;
		task->closed = true;
		ret = dump_note(d, err_refuse(err, "thread %d runs 32-bit code, which this version does not restore",
					      t->frozen->tid), err);
		if (ret)
			return ret;
	}
	return task_check(d, err);
}

int state_look_around(void *arg, struct err *err)
{
	const struct dump *d = arg;
	int ret = identity_check(d, err);

	if (!ret)
		ret = task_check_threads(d, err);
	return ret ? ret : cgroup_look(d, err);
}

/* For ask and dump of the kinds. */
static int look_at_kinds(struct dump *d, struct err *err)
{
	for (size_t i = 0; state_kinds[i]; i++) {
		int ret = state_kinds[i]->look ? dump_note(d, state_kinds[i]->look(d, err), err) : 0;

		if (ret)
			return ret;
	}
	return 0;
}

int state_look_ahead(void *d, struct err *err)
{
	int ret = state_look_around(d, err);

	return ret ? ret : look_at_kinds(d, err);
}

/* All but what it has to be asked for. */
static int look_outside(struct dump *d, struct err *err)
{
	int ret = 0;

	if (d->task->vm_shared) { /* parents come first */
		d->task->maps = d->task->parent->maps;
		d->task->mm = d->task->parent->mm;
	} else {
		ret = mm_collect(d, err);
	}
	fault("dump:looked");
	return ret;
}

/* Of a task with many threads, by one of ours that does it meanwhile. */
static int look_beside(void *arg, struct err *err)
{
	int ret = state_look_around(arg, err);

	return ret ? ret : ask_by_number(arg, err);
}

static int dump_one(struct dump *d, struct err *err)
{
	struct aside around = { 0 };
	struct dump view = *d;
	int ret = 0, back;

	view.arena = d->beside;
	if (d->ahead)
		ret = ahead_wait(d->ahead, d->task->index, err);
	else
		ret = look_at_kinds(d, err);
	d->task->by_number_aside = !ret && !d->ahead && d->task->nthreads >= SHARED_FROM && !d->found;
	if (d->task->by_number_aside)
		aside_start(&around, look_beside, &view);
	else if (!ret && !d->ahead)
		ret = state_look_around(d, err);
	if (!ret)
		ret = look_outside(d, err);
	if (!ret)
		ret = ask_inside(d, err);
	back = aside_join(&around, err);
	if (!ret && !back)
		cgroup_dump(d);
	return ret ? ret : back;
}

/* Takes as many tasks as can be asked together, from v on: *n. The one behind them may live in the address space of one of them. */
static int dump_some(struct dump *d, struct dump_task *const *from, size_t left, size_t *n, struct err *err)
{
	struct dump_task *v[ASK_AT_ONCE];
	size_t some = 0;
	int ret = 0;

	for (*n = 0; *n < left && some < ARRAY_SIZE(v) && !ret; ++*n) {
		if (from[*n]->zombie)
			continue;
		if (!ask_is_for_many(from[*n]))
			break;
		d->task = v[some++] = from[*n];
		ret = ahead_wait(d->ahead, d->task->index, err);
		if (!ret)
			ret = look_outside(d, err);
		err_task(err, d->task->pid, d->task->stat.comm, ret);
	}
	if (!ret)
		ret = ask_many(d, v, some, err);
	for (size_t i = 0; i < some && !ret; i++) {
		d->task = v[i];
		cgroup_dump(d);
	}
	return ret;
}

int state_dump_all(struct dump *d, struct err *err)
{
	int ret = 0;

	if (!d->ahead)
		return dump_each_task(d, dump_one, err);
	for (size_t i = 0, n; i < d->ntasks && !ret; i += n) {
		n = 1;
		d->task = d->tasks[i];
		if (d->task->zombie || ask_is_for_many(d->task))
			ret = dump_some(d, d->tasks + i, d->ntasks - i, &n, err);
		else
			ret = err_task(err, d->task->pid, d->task->stat.comm, dump_one(d, err));
	}
	d->task = d->tasks[0];
	return ret;
}
