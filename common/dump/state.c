/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of one task, all but its files and memory: what /proc and ptrace tell, and what the agent inside of it answers. */
#include "common/dump/state.h"

#include <errno.h>

#include "common/base/aside.h"
#include "common/base/halves.h"
#include "common/base/fault.h"
#include "common/dump/ahead.h"
#include "common/dump/dead_leader.h"
#include "common/dump/identity.h"
#include "common/kinds.h"
#include "common/mm/mm.h"
#include "common/task/cgroup.h"
#include "common/task/task.h"

/* A set of questions: one program, and for each kind that asks its handles. */
struct questions {
	struct program *prog;
	bool lent; /* prog is that of other questions, which come first in it */
	void **slots; /* by index in state_kinds; arena memory */
};

static void questions_done(struct questions *q)
{
	if (!q->lent)
		program_free(q->prog);
}

static int ask(struct dump *d, enum scope scope, struct questions *q, struct err *err)
{
	size_t n = 0;

	while (state_kinds[n])
		n++;
	if (!q->lent)
		q->prog = program_new();
	q->slots = arena_alloc(d->arena, n * sizeof(*q->slots));
	for (size_t i = 0; i < n; i++) {
		const struct state_kind *k = state_kinds[i];
		int ret;

		if (k->scope != scope)
			continue;
		q->slots[i] = arena_alloc(d->arena, k->slot_size);
		if (!k->ask)
			continue;
		if (d->found && d->task->closed)
			continue;
		ret = k->ask(d, q->prog, q->slots[i], err);
		/* Whoever cannot ask says why, and that is, as a rule, what the task would not survive. */
		d->task->closed |= ret != 0;
		ret = dump_note(d, ret, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int record(struct dump *d, enum scope scope, struct dump_thread *t, const struct questions *q, struct err *err)
{
	for (size_t i = 0; state_kinds[i]; i++) {
		const struct state_kind *k = state_kinds[i];
		int ret;

		if (k->scope != scope || !k->dump || (d->task->closed && k->ask))
			continue;
		ret = k->dump(d, t, q->prog, q->slots[i], err);
		if (t != d->task->threads)
			err_object(err, ret, "thread %d", t->frozen->tid);
		ret = dump_note(d, ret, err);
		if (ret)
			return ret;
	}
	return 0;
}

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

	t->frozen = &r->task->fz.threads[i];
	dump_thread_path(r->task, t->frozen->tid, "status", path);
	return proc_status(r->task->proc_fd, path, r->arena, &t->status, err);
}

static int read_all_statuses(struct dump *d, struct err *err)
{
	struct reader mine = { d->task, d->arena }, other = { d->task, d->beside };
	const size_t n = d->task->nthreads;

	return halves_run(&(struct halves){ .n = n, .at_once = n < SHARED_FROM ? n : AT_A_TIME, .one = read_status, .mine = &mine,
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

/* What the takers of answers need. */
struct answers { struct dump *d; const struct questions *q; };

static int record_thread(void *ctx, size_t thread, struct err *err)
{
	const struct answers *a = ctx;

	return record(a->d, SCOPE_THREAD, &a->d->task->threads[thread], a->q, err);
}

/* What needs no answers: for a check of a task that must not be asked. */
static int record_unasked(struct dump *d, const struct questions *task, const struct questions *thread, struct err *err)
{
	int ret = record(d, SCOPE_TASK, &d->task->threads[0], task, err);

	for (size_t i = 0; i < d->task->nthreads && !ret; i++)
		if (!d->task->threads[i].frozen->dead)
			ret = record(d, SCOPE_THREAD, &d->task->threads[i], thread, err);
	if (!ret)
		ret = dead_leader_dump(d, err);
	return ret || d->task->vm_shared ? ret : vma_resolve_files(d, err);
}

/* All that needs the agent inside the process. */
static int ask_inside(struct dump *d, struct err *err)
{
	cleanup(questions_done) struct questions task = { 0 };
	cleanup(questions_done) struct questions leader = { 0 };
	cleanup(questions_done) struct questions others = { 0 };
	struct answers answers = { d, &others };
	struct remote_done take = { record_thread, &answers };
	struct remote_needs needs = { .maps = &d->task->maps, .status = &d->task->threads[d->task->fz.speaker].status };
	const bool alone = d->task->nthreads == 1; /* both sets of questions are asked in one run */
	struct err ignore = ERR_INIT;
	int ret, back;

	ret = ask(d, SCOPE_TASK, &task, err);
	if (alone)
		leader = (struct questions){ .prog = task.prog, .lent = true };
	if (!ret)
		ret = ask(d, SCOPE_THREAD, &leader, err);
	if (!ret && d->task->closed)
		return record_unasked(d, &task, &leader, err);
	if (!ret) {
		needs.size = MAX(program_size(task.prog), program_size(leader.prog));
		if (!alone) {
			others = (struct questions){ .prog = program_copy(leader.prog), .slots = leader.slots };
			needs.others = program_size(others.prog);
		}
		ret = remote_open(&d->task->fz, &needs, d->log, &d->task->remote, err);
	}
	d->task->left_busy = ret == -EBUSY;
	if (ret && d->found && !d->task->left_busy) {
		d->task->closed = true;
		ret = dump_note(d, ret, err);
		return record_unasked(d, &task, &leader, err);
	}
	if (ret)
		return ret;
	remote_prepare(d->task->remote, task.prog, true);
	if (!alone) {
		remote_prepare(d->task->remote, leader.prog, true);
		remote_prepare(d->task->remote, others.prog, false);
	}

	ret = remote_run(d->task->remote, task.prog, err);
	if (!ret)
		ret = record(d, SCOPE_TASK, &d->task->threads[0], &task, err);
	if (!ret && !alone)
		ret = remote_run(d->task->remote, leader.prog, err);
	if (!ret)
		ret = record(d, SCOPE_THREAD, &d->task->threads[d->task->fz.speaker], &leader, err);
	if (!ret)
		ret = alone ? 0 : remote_run_others(d->task->remote, others.prog, &take, err);
	if (!ret)
		ret = dead_leader_dump(d, err);
	back = remote_close(take_ptr(d->task->remote), ret ? &ignore : err);
	return ret ? ret : back;
}

int state_dump(struct dump *d, struct err *err)
{
	struct aside around = { 0 };
	struct dump view = *d;
	int ret = 0, back;

	view.arena = d->beside;
	if (d->ahead)
		ret = ahead_wait(d->ahead, d->task->index, err);
	else
		ret = look_at_kinds(d, err);
	if (!ret && !d->ahead && d->task->nthreads >= SHARED_FROM && !d->found)
		aside_start(&around, state_look_around, &view);
	else if (!ret && !d->ahead)
		ret = state_look_around(d, err);
	if (!ret && d->task->vm_shared) { /* parents come first */
		d->task->maps = d->task->parent->maps;
		d->task->mm = d->task->parent->mm;
	} else if (!ret) {
		ret = mm_collect(d, err);
	}
	fault("dump:looked");
	if (!ret)
		ret = ask_inside(d, err);
	back = aside_join(&around, err);
	if (!ret && !back)
		cgroup_dump(d);
	return ret ? ret : back;
}
