/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What only a task itself can tell: its threads are borrowed, and answer. Until one is on a processor, and until we are again, takes
 * most of the time that its answers need; so of a tree several tasks are on their way at once, and each part of one's way is waited
 * for when all others have been sent on theirs. Of the threads of a process only those are asked of whom it is not known what they
 * would say (told.h).
 */
#include "common/dump/ask.h"

#include <errno.h>

#include "common/dump/dead_leader.h"
#include "common/dump/told.h"
#include "common/kinds.h"
#include "common/mm/mm.h"

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

		if (k->scope != scope || !k->dump || (d->task->closed && k->ask) || (k->by_number && d->task->by_number_aside))
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

int ask_by_number(struct dump *d, struct err *err)
{
	struct dump_task *t = d->task;

	for (size_t n = t->fz.speaker; n < t->nthreads; n++)
		for (size_t i = 0; state_kinds[i]; i++) {
			const struct state_kind *k = state_kinds[i];
			int ret = k->by_number ? k->dump(d, &t->threads[n], NULL, NULL, err) : 0;

			if (ret)
				return n ? err_object(err, ret, "thread %d", t->threads[n].frozen->tid) : ret;
		}
	return 0;
}

/* What the takers of answers need. */
struct answers { struct dump *d; const struct questions *q; struct told_threads *told; };

static bool is_to_be_asked(void *ctx, size_t thread)
{
	const struct answers *a = ctx;

	return told_asks(a->told, thread);
}

static int record_thread(void *ctx, size_t thread, struct err *err)
{
	const struct answers *a = ctx;

	told_take(a->told, thread, a->q->prog);
	return record(a->d, SCOPE_THREAD, &a->d->task->threads[thread], a->q, err);
}

/* Those of whom it is known what they would say. *left: how many there are of whom it turned out not to be. */
static int record_told(struct answers *a, size_t *left, struct err *err)
{
	struct dump_task *t = a->d->task;
	size_t n = 0;

	*left = 0;
	for (size_t i = t->fz.speaker + 1; i < t->nthreads; i++) {
		struct questions q = { .prog = told_by(a->told, i), .slots = a->q->slots };
		int ret = q.prog ? record(a->d, SCOPE_THREAD, &t->threads[i], &q, err) : 0;

		if (ret)
			return ret;
		n += q.prog != NULL;
		*left += told_asks(a->told, i);
	}
	log_debug(a->d->log, "pid %d: %zu of %zu threads need not be asked", t->pid, n, t->nthreads - 1);
	return 0;
}

/* First those whom others are like, then, where what they said shows that nothing follows from it, these others as well. */
static int ask_others(struct answers *a, struct err *err)
{
	struct remote_done take = { is_to_be_asked, record_thread, a };
	size_t left = 0;
	int ret;

	do {
		ret = remote_run_others(a->d->task->remote, a->q->prog, &take, err);
		if (!ret)
			ret = record_told(a, &left, err);
	} while (!ret && left);
	return ret;
}

static void answers_done(struct answers *a)
{
	told_free(a->told);
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

/* Both sets of questions are asked in one run. */
static bool is_alone(const struct dump_task *t)
{
	return t->nthreads == 1;
}

static int ask_both(struct dump *d, struct questions *task, struct questions *leader, struct err *err)
{
	int ret = ask(d, SCOPE_TASK, task, err);

	if (is_alone(d->task))
		*leader = (struct questions){ .prog = task->prog, .lent = true };
	return ret ? ret : ask(d, SCOPE_THREAD, leader, err);
}

static struct remote_needs needs_of(const struct dump_task *t)
{
	return (struct remote_needs){ .maps = &t->maps, .status = &t->threads[t->fz.speaker].status };
}

int ask_inside(struct dump *d, struct err *err)
{
	cleanup(questions_done) struct questions task = { 0 };
	cleanup(questions_done) struct questions leader = { 0 };
	cleanup(questions_done) struct questions others = { 0 };
	cleanup(answers_done) struct answers answers = { d, &others, NULL };
	struct remote_needs needs = needs_of(d->task);
	const bool alone = is_alone(d->task);
	struct err ignore = ERR_INIT;
	int ret = ask_both(d, &task, &leader, err), back;

	if (!ret && d->task->closed)
		return record_unasked(d, &task, &leader, err);
	if (!ret) {
		needs.size = MAX(program_size(task.prog), program_size(leader.prog));
		if (!alone) {
			others = (struct questions){ .prog = program_copy(leader.prog), .slots = leader.slots };
			needs.others = program_size(others.prog);
			answers.told = told_new(d->task, leader.slots);
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
		ret = alone ? 0 : ask_others(&answers, err);
	if (!ret)
		ret = dead_leader_dump(d, err);
	back = remote_close(take_ptr(d->task->remote), ret ? &ignore : err);
	return ret ? ret : back;
}

/* ---- several tasks ---- */

struct asked { struct questions task, thread; };

static int open_begin(struct dump *d, struct asked *a, struct err *err)
{
	struct remote_needs needs = needs_of(d->task);
	int ret = ask_both(d, &a->task, &a->thread, err);

	if (ret)
		return ret;
	needs.size = program_size(a->task.prog);
	ret = remote_open_begin(&d->task->fz, &needs, d->log, &d->task->remote, err);
	d->task->left_busy = ret == -EBUSY;
	return ret;
}

static int open_go_on(struct dump *d, struct asked *a, struct err *err)
{
	return remote_open_go_on(d->task->remote, err);
}

static int run_begin(struct dump *d, struct asked *a, struct err *err)
{
	int ret = remote_open_end(d->task->remote, err);

	if (ret)
		return ret;
	remote_prepare(d->task->remote, a->task.prog, true);
	return remote_run_begin(d->task->remote, a->task.prog, err);
}

static int run_end(struct dump *d, struct asked *a, struct err *err)
{
	int ret = remote_run_end(d->task->remote, a->task.prog, err);

	if (!ret)
		ret = record(d, SCOPE_TASK, &d->task->threads[0], &a->task, err);
	if (!ret)
		ret = record(d, SCOPE_THREAD, &d->task->threads[0], &a->thread, err);
	return ret ? ret : remote_close_begin(d->task->remote, err);
}

static int close_go_on(struct dump *d, struct asked *a, struct err *err)
{
	return remote_close_go_on(d->task->remote, err);
}

static int close_end(struct dump *d, struct asked *a, struct err *err)
{
	return remote_close_end(take_ptr(d->task->remote), err);
}

bool ask_is_for_many(const struct dump_task *t)
{
	return is_alone(t) && !t->vm_shared && !t->closed;
}

int ask_many(struct dump *d, struct dump_task *const *v, size_t n, struct err *err)
{
	static int (*const parts[])(struct dump *d, struct asked *a, struct err *err) = { open_begin, open_go_on, run_begin, run_end,
											  close_go_on, close_end };
	struct asked all[ASK_AT_ONCE] = { 0 };
	struct err ignore = ERR_INIT;
	int ret = 0;

	for (size_t k = 0; k < ARRAY_SIZE(parts) && !ret; k++)
		for (size_t i = 0; i < n && !ret; i++) {
			d->task = v[i];
			ret = parts[k](d, &all[i], err);
			err_task(err, d->task->pid, d->task->stat.comm, ret);
		}
	for (size_t i = 0; i < n; i++) {
		if (v[i]->remote)
			remote_close(take_ptr(v[i]->remote), &ignore);
		questions_done(&all[i].task);
	}
	return ret;
}
