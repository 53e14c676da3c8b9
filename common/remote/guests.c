/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other threads of a process, while the first one holds the agent's memory: several are inside at once, in two sets, of which one
 * runs while the dumper deals with the answers of the other. See remote.c for how they find back without us.
 */
#include "common/remote/inside.h"

#include <time.h>

#include "common/base/fault.h"

/* A thread that is inside, or about to be. */
struct guest {
	size_t thread;
	enum { OUTSIDE, ENTERED, RUNNING, STOPPED } at;
};

/* Guests that are dealt with together: they have neighbouring slots, flags and programs. */
struct set {
	size_t home; /* of the first */
	size_t n;
	struct guest v[GUESTS_MAX];
};

static struct frozen_thread *guest_thread(const struct remote *r, const struct set *s, size_t i)
{
	return &r->fz->threads[s->v[i].thread];
}

/* From here on the holder's way out allows for guests, or not any more. */
static int expect_guests(struct remote *r, bool perhaps, struct err *err)
{
	struct timespec ts = { 0, perhaps ? GUEST_PERHAPS_NS : 0 };

	return inside_copy(r, &ts, r->region, sizeof(ts), true, err);
}

static int set_flag(struct remote *r, size_t home, uint32_t flag, struct err *err)
{
	return inside_copy(r, &flag, flag_home(r, home), sizeof(flag), true, err);
}

static int start_set(struct remote *r, struct set *s, const struct program *prog, struct err *err)
{
	uint64_t slots[GUESTS_MAX][ARCH_AGENT_SLOTS];
	int ret;

	for (size_t i = 0; i < s->n; i++)
		inside_make_slots(r, s->home + i, guest_thread(r, s, i), slots[i]);
	ret = inside_write_slots(r, s->home, slots[0], s->n, err);
	if (!ret)
		ret = inside_copy_programs(r, s->home, s->n, program_size(prog), true, err);
	for (size_t i = 0; i < s->n && !ret; i++) {
		s->v[i].at = ENTERED;
		ret = inside_enter(r, s->home + i, guest_thread(r, s, i), err);
		/* However long it takes until it runs: it will be inside. */
		if (!ret)
			ret = set_flag(r, s->home + i, GUEST_INSIDE, err);
		fault("dump:guest-expected");
		if (!ret)
			ret = inside_let_run(guest_thread(r, s, i), err);
		if (!ret)
			s->v[i].at = RUNNING;
		fault("dump:guest-runs");
	}
	return ret;
}

/* Waits for all that run, whatever becomes of one of them. */
static int await_set(struct remote *r, struct set *s, struct err *err)
{
	struct err ignore = ERR_INIT;
	int ret = 0;

	for (size_t i = 0; i < s->n && !r->stuck; i++) {
		int back;

		if (s->v[i].at != RUNNING)
			continue;
		back = inside_wait(r, guest_thread(r, s, i)->tid, r->stop_signal, ret ? &ignore : err);
		s->v[i].at = back ? OUTSIDE : STOPPED; /* one that cannot be waited for is dead */
		ret = ret ? ret : back;
	}
	return ret;
}

/* The threads are outside again, each where it was found. */
static int dismiss_set(struct remote *r, struct set *s, struct err *err)
{
	struct err ignore = ERR_INIT;
	int ret = 0, back = 0;

	for (size_t i = 0; i < s->n && !r->stuck; i++) {
		/* One by one: for who has no flag and is not back yet, the holder would wait no longer than for one who may show up. */
		back = set_flag(r, s->home + i, 0, ret ? &ignore : err);
		if (back) { /* the holder would wait for it for ever: they find their way out, and clear their flags, when we are gone */
			r->stuck = true;
			return ret ? ret : back;
		}
		if (s->v[i].at == OUTSIDE)
			continue;
		back = inside_put_back(guest_thread(r, s, i), ret ? &ignore : err);
		ret = ret ? ret : back;
		s->v[i].at = OUTSIDE;
		fault("dump:guest-out");
	}
	return ret;
}

static int finish_set(struct remote *r, struct set *s, struct program *prog, const struct remote_done *done, struct err *err)
{
	struct err ignore = ERR_INIT;
	int ret = await_set(r, s, err), back;

	fault("dump:guest-ran");
	if (!ret)
		ret = inside_copy_programs(r, s->home, s->n, program_size(prog), false, err);
	for (size_t i = 0; i < s->n && !ret; i++)
		ret = inside_take_answers(r, s->home + i, guest_thread(r, s, i), prog, err);
	back = dismiss_set(r, s, ret ? &ignore : err);
	ret = ret ? ret : back;
	for (size_t i = 0; i < s->n && !ret; i++) {
		program_absorb(prog, r->in + program_off(r, s->home + i));
		ret = inside_all_went_well(prog, err);
		if (!ret)
			ret = done->take(done->ctx, s->v[i].thread, err);
	}
	s->n = 0;
	return ret;
}

/* After a failure: nobody stays inside. */
static void abandon_set(struct remote *r, struct set *s)
{
	struct err ignore = ERR_INIT;

	if (!s->n)
		return;
	await_set(r, s, &ignore);
	dismiss_set(r, s, &ignore);
}

int remote_run_others(struct remote *r, struct program *prog, const struct remote_done *done, struct err *err)
{
	size_t half = MAX(r->cave.guests / 2, (size_t)1), next = 0, turn = 0;
	struct set sets[2] = { { .home = 1 }, { .home = 1 + half } };
	bool single = r->cave.guests < 2;
	int ret = 0;

	if (r->fz->nthreads < 2)
		return 0;
	for (size_t home = 1; home <= r->cave.guests && !ret; home++)
		ret = inside_place(r, home, prog, err);
	if (!ret)
		ret = expect_guests(r, true, err);
	while (!ret) {
		struct set *s = &sets[turn], *other = &sets[single ? 0 : !turn];

		for (s->n = 0; s->n < half && next < r->fz->nthreads; next++)
			if (next != r->holder && !r->fz->threads[next].dead && (!done->wanted || done->wanted(done->ctx, next)))
				s->v[s->n++] = (struct guest){ next, OUTSIDE };
		if (!s->n && !other->n)
			break;
		if (s->n)
			ret = start_set(r, s, prog, err);
		if (!ret && other->n)
			ret = finish_set(r, other, prog, done, err);
		turn = single ? 0 : !turn;
	}
	if (ret) {
		abandon_set(r, &sets[0]);
		abandon_set(r, &sets[1]);
		return ret;
	}
	return expect_guests(r, false, err);
}
