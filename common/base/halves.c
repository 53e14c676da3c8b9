/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/halves.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/aside.h"
#include "common/base/util.h"

struct run { const struct halves *h; _Atomic size_t next; _Atomic bool stop; };
struct side { struct run *run; void *view; size_t failed; };

/* Pieces are taken in order, and what was taken is done up to its first failure: so none before the first failure is left out. */
static int work(void *arg, struct err *err)
{
	struct side *s = arg;
	const struct halves *h = s->run->h;
	size_t from;

	while (!atomic_load(&s->run->stop) && (from = atomic_fetch_add(&s->run->next, h->at_once)) < h->n)
		for (size_t i = from; i < MIN(from + h->at_once, h->n); i++) {
			int ret = h->one(s->view, i, err);

			if (!ret)
				continue;
			s->failed = i;
			atomic_store(&s->run->stop, true);
			return ret;
		}
	return 0;
}

int halves_run(const struct halves *h, struct err *err)
{
	struct run run = { .h = h };
	struct side mine = { .run = &run, .view = h->mine }, other = { .run = &run, .view = h->other };
	struct err its = ERR_INIT;
	struct aside beside = { 0 };
	int ret, back;

	if (h->n <= h->at_once)
		return work(&mine, err);
	aside_start(&beside, work, &other);
	ret = work(&mine, err);
	back = aside_join(&beside, &its);
	if (!back || (ret && mine.failed < other.failed))
		return ret;
	*err = its;
	return back;
}
