/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/dump/told.h"

#include "common/kinds.h"

/* Each is a program in memory; who belongs to none of the first ones is asked. */
#define GROUPS_MAX 16

enum { NO_GROUP = -1 };

struct group {
	size_t first; /* the thread that is asked */
	struct program *answers; /* NULL: it has not been */
	bool failed;
};

struct told_threads {
	const struct dump_task *task;
	void *const *slots;
	uint64_t same;
	struct group v[GROUPS_MAX];
	size_t n;
	int8_t *of; /* of each thread: its group */
	bool *asked;
};

struct told_rule told_nothing(const void *slot)
{
	return (struct told_rule){ 0 };
}

static bool asks_threads(const struct state_kind *k)
{
	return k->scope == SCOPE_THREAD && k->ask;
}

/* A filter may answer in the kernel's stead. */
#define FILTERS (TOLD(SECCOMP_MODE) | TOLD(SECCOMP_FILTER) | TOLD(SECCOMP_COUNT))

/* What all kinds name; false: one of them does not, or this kernel does not have it. */
static bool find_rule(struct told_threads *told)
{
	uint64_t own = 0;

	told->same = FILTERS;
	for (size_t i = 0; state_kinds[i]; i++) {
		const struct state_kind *k = state_kinds[i];
		struct told_rule rule;

		if (!asks_threads(k))
			continue;
		if (!k->told)
			return false;
		rule = k->told(told->slots[i]);
		told->same |= rule.same;
		own |= rule.own;
	}
	return !((told->same | own) & ~told->task->told_known);
}

static bool are_same(const struct told_threads *told, const uint64_t *a, const uint64_t *b)
{
	for (unsigned i = 0; i < TOLDS; i++)
		if (told->same >> i & 1 && a[i] != b[i])
			return false;
	return true;
}

static int group_of(struct told_threads *told, size_t thread)
{
	const struct dump_thread *threads = told->task->threads;

	if (!threads[thread].told)
		return NO_GROUP;
	for (size_t i = 0; i < told->n; i++)
		if (are_same(told, threads[thread].told, threads[told->v[i].first].told))
			return (int)i;
	if (told->n == GROUPS_MAX)
		return NO_GROUP;
	told->v[told->n] = (struct group){ .first = thread };
	return (int)told->n++;
}

struct told_threads *told_new(const struct dump_task *t, void *const *slots)
{
	struct told_threads *told = xzalloc(sizeof(*told));
	bool known;

	*told = (struct told_threads){ .task = t, .slots = slots, .of = xzalloc(t->nthreads),
				.asked = xzalloc(t->nthreads * sizeof(*told->asked)) };
	known = find_rule(told);
	for (size_t i = 0; i < t->nthreads; i++)
		told->of[i] = (int8_t)(known && i > t->fz.speaker ? group_of(told, i) : NO_GROUP);
	return told;
}

void told_free(struct told_threads *told)
{
	if (!told)
		return;
	for (size_t i = 0; i < told->n; i++)
		program_free(told->v[i].answers);
	free(told->of);
	free(told->asked);
	free(told);
}

static struct group *find_group(const struct told_threads *told, size_t thread)
{
	return told->of[thread] == NO_GROUP ? NULL : (struct group *)&told->v[told->of[thread]];
}

bool told_asks(const struct told_threads *told, size_t thread)
{
	const struct group *g = find_group(told, thread);

	return !told->asked[thread] && (!g || g->failed || g->first == thread);
}

static void tell(const struct told_threads *told, size_t thread, struct program *prog)
{
	for (size_t i = 0; state_kinds[i]; i++)
		if (asks_threads(state_kinds[i]) && state_kinds[i]->tell)
			state_kinds[i]->tell(told->task->threads[thread].told, prog, told->slots[i]);
}

void told_take(struct told_threads *told, size_t thread, const struct program *prog)
{
	struct group *g = find_group(told, thread);

	told->asked[thread] = true;
	if (!g || g->first != thread)
		return;
	g->answers = program_copy(prog);
	tell(told, thread, g->answers);
	g->failed = !program_same_answers(g->answers, prog);
}

struct program *told_by(struct told_threads *told, size_t thread)
{
	struct group *g = find_group(told, thread);

	if (!g || g->failed || !g->answers || told->asked[thread])
		return NULL;
	tell(told, thread, g->answers);
	return g->answers;
}
