/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process has for the agent without having been asked: unused bytes of executable memory, and a signal to call with. */
#include "common/remote/cave.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/arch/arch.h"
#include "common/base/io.h"
#include "common/proc/proc.h"

#define TAIL_GUARD 16u /* zeros before the agent: what is before them is not padding */

/* What is at the end of an executable mapping: room, our own code that an earlier dumper left when it died, or
 * something else. */
enum tail { TAIL_USED, TAIL_FREE, TAIL_STALE };

static enum tail look_at_tail(const struct freeze *fz, const struct proc_map *m, struct cave *c)
{
	unsigned char bytes[4096];
	size_t used = sizeof(bytes);
	enum tail tail = TAIL_USED;

	if (m->end - m->start < sizeof(bytes) ||
	    pread_full(fz->mem_fd, bytes, sizeof(bytes), (off_t)(m->end - sizeof(bytes))))
		return TAIL_USED;
	while (used && !bytes[used - 1])
		used--;
	for (size_t guests = GUESTS_MAX; guests && tail != TAIL_STALE; guests--) {
		size_t len = arch_agent_dump_len + (1 + guests) * SLOT_BYTES, at = sizeof(bytes) - len;
		bool stale = len <= sizeof(bytes) && !memcmp(bytes + at, arch_agent_start, arch_agent_dump_len);

		if (!stale && (tail == TAIL_FREE || len + used + TAIL_GUARD > sizeof(bytes)))
			continue;
		tail = stale ? TAIL_STALE : TAIL_FREE;
		c->code = m->end - len;
		c->len = len;
		c->guests = guests;
	}
	return tail;
}

static int look_up_maps(const struct freeze *fz, struct arena *arena, struct proc_maps *maps, struct err *err)
{
	cleanup_fd int proc_fd = -1;
	int ret = proc_open(freeze_tid(fz), &proc_fd, err);

	return ret ? ret : proc_exec_maps(proc_fd, arena, maps, err);
}

/* Its dumper was killed in the middle: whoever is stopped gets to the end of it when he is continued. */
static int still_there(const struct frozen_thread *t, struct err *err)
{
	if (!t->stop_signal)
		return err_set(err, ERR_FAILED, EBUSY, "thread %d is still leaving an earlier dump", t->tid);
	return err_hint(err, err_refuse(err, "thread %d was stopped, and is still leaving an earlier dump", t->tid),
			"it gets on when it is continued (kill -CONT %d)", t->tid);
}

int cave_find(const struct freeze *fz, const struct proc_maps *known, const struct log *log, struct cave *c, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	struct proc_maps maps;

	if (known) {
		maps = *known;
	} else {
		int ret = look_up_maps(fz, arena, &maps, err);

		if (ret)
			return ret;
	}
	/* The vdso first: every native task has one and its tail is padding. Then whatever else is executable. */
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < maps.n; i++) {
			const struct proc_map *m = &maps.v[i];
			enum tail tail;

			if (!m->exec || m->shared || (strcmp(m->name, "[vdso]") != 0) != (round != 0) ||
			    !strcmp(m->name, "[vsyscall]"))
				continue;
			tail = look_at_tail(fz, m, c);
			if (tail == TAIL_USED)
				continue;
			for (size_t t = 0; tail == TAIL_STALE && t < fz->nthreads; t++)
				if (arch_ip(&fz->threads[t].regs) - c->code < c->len)
					return still_there(&fz->threads[t], err);
			log_debug(log, "agent code at 0x%llx in %s", (unsigned long long)c->code, m->name);
			return 0;
		}
	}
	c->len = 0;
	return err_refuse(err, "no executable mapping has unused bytes at its end for the agent");
}

static uint64_t pending(const struct proc_status *s)
{
	return s->shd_pnd | s->sig_pnd;
}

static int look_up_status(const struct freeze *fz, struct arena *arena, struct proc_status *s, struct err *err)
{
	cleanup_fd int proc_fd = -1;
	int ret = proc_open(freeze_tid(fz), &proc_fd, err);

	return ret ? ret : proc_status(proc_fd, "status", arena, s, err);
}

int cave_signal(const struct freeze *fz, const struct proc_status *known, int *signal, bool *matters, struct err *err)
{
	static const int candidates[] = { SIGURG, SIGWINCH, SIGCHLD };
	cleanup_arena struct arena *arena = arena_new();
	uint64_t blocked = 0;
	struct proc_status s;

	if (known) {
		s = *known;
	} else {
		int ret = look_up_status(fz, arena, &s, err);

		if (ret)
			return ret;
	}
	for (size_t t = 0; t < fz->nthreads; t++)
		blocked |= fz->threads[t].dead ? 0 : fz->threads[t].sigmask;
	/* One that is pending is second best: it costs a stop, and without handler it would be thrown away anyway. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
			if (!((s.sig_cgt | blocked | (pass ? 0 : pending(&s))) >> (candidates[i] - 1) & 1)) {
				*signal = candidates[i];
				return 0;
			}
	/* All three are in use. Any of them still works when it is pending nowhere: only a death of the dumper in the
	 * few microseconds of a run could then deliver one that nobody sent, and these signals may come for no reason
	 * anyway. */
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
		if (!(pending(&s) >> (candidates[i] - 1) & 1)) {
			*signal = candidates[i];
			*matters = true;
			return 0;
		}
	return err_refuse(err, "SIGURG, SIGWINCH and SIGCHLD are all handled and pending at once");
}
