/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/progress.h"

#include "common/base/clock.h"

#define FIRST_NS 1000000000u
#define EVERY_NS 250000000u

void progress_start(struct progress *p, bool on)
{
	*p = (struct progress){ .on = on, .start_ns = on ? now_ns() : 0 };
}

bool progress_due(const struct progress *p)
{
	uint64_t now;

	if (!p->on)
		return false;
	now = now_ns();
	return now - p->start_ns >= FIRST_NS && now - p->last_ns >= EVERY_NS;
}

void progress_show(struct progress *p, uint64_t done, uint64_t total, const char *text)
{
	if (!progress_due(p))
		return;
	if (total)
		fprintf(stderr, "\r%lu of %lu MiB %s\033[K", (unsigned long)(done >> 20), (unsigned long)(total >> 20), text);
	else
		fprintf(stderr, "\r%lu MiB %s\033[K", (unsigned long)(done >> 20), text);
	fflush(stderr);
	p->last_ns = now_ns();
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->on = p->shown = false;
}
