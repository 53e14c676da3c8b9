/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller's program, executed in this process. Each descriptor that it makes is moved out of the way at once: to
 * a range of numbers that no target descriptor has, so that tasks can put theirs in place in any order.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/base/fault.h"
#include "common/base/halves.h"
#include "common/tty/pty.h"
#include "common/restore/inner.h"

/* So many strands one of two threads takes at a time. */
#define STRANDS_AT_ONCE 8

/* What helps against what others have done on this host. */
static int advise(long nr, int errnum, int ret, struct err *err)
{
	const bool address = nr == SYS_bind || nr == SYS_connect || nr == SYS_listen;

	if (address && errnum == EADDRINUSE)
		return err_hint(err, ret, "somebody has this address or port: ss -anp (-x of unix sockets) tells who; end it, or"
					  " restore in a network namespace of its own");
	if (address && errnum == EADDRNOTAVAIL)
		return err_hint(err, ret, "the address is of no interface here: add it (ip addr add)");
	if (nr == SYS_inotify_add_watch && errnum == ENOENT)
		return err_hint(err, ret, "what was watched is not there any more: put it back");
	if (nr == SYS_inotify_add_watch && errnum == ENOSPC)
		return err_hint(err, ret, "raise /proc/sys/fs/inotify/max_user_watches");
	if ((nr == SYS_openat || nr == SYS_open) && (errnum == EMFILE || errnum == ENFILE))
		return err_hint(err, ret, "raise the limit of open files (ulimit -n, /proc/sys/fs/file-max)");
	if (nr == SYS_prctl && errnum == EACCES)
		return err_hint(err, ret, "the executable may not be executed here, or somebody has it open for writing");
	if (errnum == EROFS)
		return err_hint(err, ret, "the file system is mounted read-only here");
	return ret;
}

/* The descriptions that the call is about. */
static int name_slots(const struct plan *plan, const struct program *p, size_t i, int ret, struct err *err)
{
	const struct arg *args = program_args(p, i);

	for (int k = 0; k < 6; k++)
		if (args[k].kind == ARG_SLOT && args[k].v < plan->nslots)
			err_object(err, ret, "%s", plan->slot_names[args[k].v]);
	return ret;
}

int step_error(const struct plan *plan, const struct program *p, size_t i, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	int64_t want, result = program_result(p, (struct step_ref){ (uint32_t)i });
	const char *note = program_note(p, i);
	bool failed = result < 0 && result >= -4095;
	int ret = failed ? step_blame(p, i, (int)-result, err) : 0;
	const char *call;
	char *end;

	if (ret)
		return name_slots(plan, p, i, note ? err_object(err, ret, "%s", note) : ret, err);
	program_expect(p, i, &want);
	program_print_step(p, i, false, &text);
	call = text.s ? text.s : "";
	if (text.s && (end = strstr(text.s, "  # "))) /* the note stands in front here */
		*end = 0;
	if (text.s && (end = strrchr(text.s, ')')))
		end[1] = 0;
	if (failed)
		ret = err_set(err, ERR_FAILED, (int)-result, "%s%s%.300s", note ? note : "", note ? ": " : "", call);
	else
		ret = err_set(err, ERR_FAILED, 0, "%s%s%.300s gave %ld, not %ld", note ? note : "", note ? ": " : "", call,
			      (long)result, (long)want);
	return name_slots(plan, p, i, advise(program_nr(p, i), failed ? (int)-result : 0, ret, err), err);
}

/* In whatever order they are; those that follow each other by one call. Negative ones are none. */
static void close_numbers(const int *fd, size_t n)
{
	cleanup_free uint64_t *bits = NULL;
	unsigned end = 0;

	for (size_t i = 0; i < n; i++)
		end = MAX(end, (unsigned)(fd[i] + 1));
	bits = xzalloc((end / 64 + 1) * sizeof(*bits));
	for (size_t i = 0; i < n; i++)
		if (fd[i] >= 0)
			bits[fd[i] / 64] |= 1ull << fd[i] % 64;
#define HAS(number) (bits[(number) / 64] >> (number) % 64 & 1)
	for (unsigned from = 0, to; from < end; from = to + 1) {
		for (to = from; to < end && HAS(to); to++)
			;
		if (to > from && close_range(from, to - 1, 0)) /* a filter that does not know the call */
			for (unsigned i = from; i < to; i++)
				close((int)i);
	}
#undef HAS
}

void slots_close(struct slots *slots)
{
	close_numbers(slots->fd, slots->n);
	free(slots->fd);
	*slots = (struct slots){ 0 };
}

/* Above the highest target number when the limit allows, else in the largest gap between them. */
static int choose_range(const struct plan *plan, struct slots *slots, struct err *err)
{
	int need = (int)plan->nslots, best = 0, best_low = 0, next = 0;
	struct rlimit lim;
	int limit;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return err_sys(err, "getrlimit(RLIMIT_NOFILE)");
	if (lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim); /* when it fails we live with what there is */
		getrlimit(RLIMIT_NOFILE, &lim);
	}
	limit = lim.rlim_cur > INT32_MAX ? INT32_MAX : (int)lim.rlim_cur;
	for (size_t i = 0; i <= plan->nfds; i++) {
		int end = i < plan->nfds ? MIN(plan->fds[i], limit) : limit;

		/* The last gap, above all, wins when it is large enough. */
		if (end - next > best || (i == plan->nfds && end - next >= need)) {
			best = end - next;
			best_low = next;
		}
		if (i < plan->nfds)
			next = MAX(next, plan->fds[i] + 1);
	}
	if (best < need)
		return err_hint(err,
				err_set(err, ERR_FAILED, EMFILE, "no %d free descriptor numbers below the limit of %d",
					need, limit),
				"raise the hard limit of open files (ulimit -Hn)");
	slots->low = best_low;
	slots->high = best_low + best;
	return 0;
}

/*
 * The kernel's table of descriptors as large as it will be: where several threads have it in common, each growth waits for a grace period
 * (expand_fdtable() in fs/file.c).
 */
static void grow_table(const struct plan *plan, const struct slots *slots)
{
	const int fd = eventfd(0, EFD_CLOEXEC), last = fcntl(fd, F_DUPFD_CLOEXEC, MIN(slots->low + (int)plan->nslots + 1, slots->high - 1));

	if (last >= 0)
		close(last);
	if (fd >= 0)
		close(fd);
}

/* Moves fd into the range; ours is closed unless it must stay its owner's. */
static int take_slot(struct slots *slots, uint32_t slot, const char *name, int fd, bool keep, struct err *err)
{
	int moved;

	if (!keep && fd >= slots->low && fd < slots->high) {
		slots->fd[slot] = fd;
		return 0;
	}
	moved = fcntl(fd, F_DUPFD_CLOEXEC, slots->low);
	if (moved < 0)
		return err_object(err, err_sys(err, "moving a descriptor to %d and above", slots->low), "%s", name);
	if (!keep)
		close(fd);
	if (moved >= slots->high) {
		close(moved);
		return err_object(err, err_set(err, ERR_FAILED, EMFILE, "no free descriptor number"), "%s", name);
	}
	slots->fd[slot] = moved;
	return 0;
}

/*
 * A descriptor that is made gets the lowest free number. Where many are to come, all numbers below the range are taken first, so that
 * they come into it by themselves: that is one call for each number, and two for each that has to be moved.
 */
#define MANY_SLOTS 64
#define SPARE_NUMBERS 64 /* that are taken for a moment while slots are filled */
struct below { int *fd; size_t n; };

static void take_below(const struct plan *plan, const struct slots *slots, struct below *b)
{
	const size_t low = (size_t)slots->low;
	int fd;

	if (plan->nslots < MANY_SLOTS || low > 2 * plan->nslots || (size_t)(slots->high - slots->low) < plan->nslots + SPARE_NUMBERS)
		return;
	fd = eventfd(0, EFD_CLOEXEC);
	b->fd = xreallocarray(NULL, low + 1, sizeof(*b->fd));
	while (fd >= 0 && fd < slots->low && b->n < low) {
		b->fd[b->n++] = fd;
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	if (fd >= 0)
		close(fd);
}

static void give_below(struct below *b)
{
	close_numbers(b->fd, b->n);
	free(b->fd);
}

/* A program linked into our own memory. */
struct here {
	struct plan *plan;
	struct slots *slots;
	unsigned char *bytes;
	struct agent_step *steps;
	uint32_t *first; /* of each step (insertion index): slot + 1 that it binds, chained by next */
	uint32_t *next;
	uint32_t *place; /* of each slot: a place in the data that holds its number, +1, chained by also */
	uint32_t *also;
	unsigned char *data;
	const struct plan_identity **who; /* of each step; NULL when all are ours */
	uint32_t *strand; /* of each step: one more than its number, or 0; NULL when two threads are not worth it */
	struct stand_in *stand_ins;
	size_t called; /* steps before this place were made by a stand-in, ahead of their turn */
	const struct log *log;
	bool faults; /* some are asked for */
};

/* Descriptors in data: those in messages. */
static void fill_places(const struct here *h, uint32_t slot)
{
	uint32_t ignored;

	for (uint32_t k = h->place[slot]; k; k = h->also[k - 1])
		memcpy(h->data + program_slot_at(h->plan->controller, k - 1, &ignored), &h->slots->fd[slot], sizeof(int));
}

static void index_places(struct here *h)
{
	struct program *p = h->plan->controller;

	for (uint32_t i = 0; i < program_slots(p); i++) {
		uint32_t slot;

		program_slot_at(p, i, &slot);
		h->also[i] = h->place[slot];
		h->place[slot] = i + 1;
	}
}

static void resolve(const struct here *h, size_t i, const struct agent_step *s, uint64_t a[6])
{
	const struct arg *args = program_args(h->plan->controller, i);

	for (int k = 0; k < 6; k++) {
		a[k] = s->arg[k];
		if (args[k].kind == ARG_SLOT)
			a[k] = (uint64_t)(int64_t)h->slots->fd[args[k].v];
		else if (args[k].kind == ARG_RESULT || args[k].kind == ARG_LOAD)
			memcpy(&a[k], (const void *)(uintptr_t)s->arg[k], sizeof(a[k]));
	}
}

static bool hangs_on_others(const struct program *p, size_t i)
{
	const struct arg *args = program_args(p, i);

	for (int k = 0; k < 6; k++)
		if (args[k].kind != ARG_CONST && args[k].kind != ARG_DATA)
			return true;
	return false;
}

/* This step, and those behind it that the same one makes and that need nothing of what comes out of it: mostly pairs. */
static int run_as(struct here *h, size_t place, const struct plan_identity *who, struct err *err)
{
	const struct program *p = h->plan->controller;
	struct stand_in_call v[STAND_IN_CALLS];
	size_t n = 0, done;
	int ret;

	for (size_t at = place; at < program_steps(p) && n < ARRAY_SIZE(v); at++) {
		size_t i = program_at(p, at);

		if (h->who[i] != who || (n && hangs_on_others(p, i)))
			break;
		v[n].nr = (long)h->steps[at].nr;
		resolve(h, i, &h->steps[at], v[n++].a);
	}
	ret = stand_in_calls(&h->stand_ins, who, v, n, &done, h->log, err);
	for (size_t k = 0; !ret && k < done; k++)
		h->steps[place + k].result = v[k].result;
	if (!ret)
		h->called = place + done;
	return ret;
}

/*
 * Both ends of a connection are somebody's (__inet_check_established() in net/ipv4/inet_hashtables.c): on one host, of the cr-dump that
 * sent us the stream. It closes its duplicates of sockets when it has ended the tasks, for which alone we have waited.
 */
#define LET_GO_MS 1000
static long call_again(long nr, const uint64_t a[6], long ret)
{
	for (unsigned ms = 0; ret == -1 && errno == EADDRNOTAVAIL && nr == SYS_connect && ms < LET_GO_MS; ms += 2) {
		nanosleep(&(const struct timespec){ 0, 2000000 }, NULL);
		ret = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	return ret;
}

static int run_step(struct here *h, size_t place, size_t i, struct err *err)
{
	struct agent_step *s = &h->steps[place];
	uint64_t a[6];
	long ret;

	if (place < h->called)
		return 0;
	if (h->who && h->who[i])
		return run_as(h, place, h->who[i], err);
	resolve(h, i, s, a);
	ret = call_again((long)s->nr, a, syscall((long)s->nr, a[0], a[1], a[2], a[3], a[4], a[5]));
	s->result = ret == -1 ? -errno : ret;
	return 0;
}

/* The slots that a step fills; results and data follow the descriptors to their new numbers. */
static int bind_step(struct here *h, size_t i, struct agent_step *s, struct err *err)
{
	for (uint32_t k = h->first[i]; k; k = h->next[k - 1]) {
		const struct plan_bind *b = &h->plan->binds[k - 1];
		unsigned char *at = h->data + b->data.off + b->off;
		int fd = (int)s->result, ret;

		if (b->source == SLOT_DATA)
			memcpy(&fd, at, sizeof(fd));
		if (s->nr == SYS_ioctl) /* TIOCGPTPEER: its flags are to be those that the program can see */
			fcntl(fd, F_SETFD, FD_CLOEXEC);
		ret = take_slot(h->slots, k - 1, h->plan->slot_names[k - 1], fd, false, err);
		if (ret)
			return ret;
		if (b->source == SLOT_DATA)
			memcpy(at, &h->slots->fd[k - 1], sizeof(fd));
		else
			s->result = h->slots->fd[k - 1];
		fill_places(h, k - 1);
	}
	return 0;
}

/* The step at this place, and what follows from its result. */
static int run_place(struct here *h, size_t place, struct err *err)
{
	struct program *p = h->plan->controller;
	size_t i = program_at(p, place);
	struct agent_step *s = &h->steps[place];
	enum step_expect expect;
	int64_t want;
	int ret = 0, fail = h->faults ? fault("restore:controller-step") : 0;

	if (fail)
		s->result = -fail;
	else
		ret = run_step(h, place, i, err);
	if (ret)
		return ret;
	program_set_result(p, i, s->result);
	expect = program_expect(p, i, &want);
	if (!program_met(expect, want, s->result))
		return step_error(h->plan, p, i, err);
	/* An attempt that may fail leaves its slot empty. */
	return s->result < 0 && h->first[i] ? 0 : bind_step(h, i, s, err);
}

/* Steps of one strand at neighbouring places. */
struct piece { size_t at, end; };
struct pieces { struct here *h; struct piece *v; size_t n, cap; };

/* Strands from this place on, to the end of the phase or the first step that is in none. */
static void find_pieces(struct pieces *v, size_t place)
{
	const struct here *h = v->h;
	const struct program *p = h->plan->controller;
	uint32_t last = 0;

	v->n = 0;
	for (; h->strand && place < program_steps(p); place++) {
		const uint32_t strand = h->strand[program_at(p, place)];

		if (strand < last || !strand)
			return;
		if (strand != last) {
			array_reserve(&v->v, &v->cap, v->n, sizeof(*v->v));
			v->v[v->n++].at = place;
		}
		v->v[v->n - 1].end = place + 1;
		last = strand;
	}
}

static int run_piece(void *view, size_t i, struct err *err)
{
	const struct pieces *v = view;
	int ret = 0;

	for (size_t place = v->v[i].at; !ret && place < v->v[i].end; place++)
		ret = run_place(v->h, place, err);
	return ret;
}

static int run_program(struct here *h, struct err *err)
{
	const size_t n = program_steps(h->plan->controller);
	struct pieces v = { .h = h };
	int ret = 0;

	for (size_t place = 0; !ret && place < n;) {
		find_pieces(&v, place);
		if (!v.n) {
			ret = run_place(h, place++, err);
			continue;
		}
		ret = halves_run(&(struct halves){ .n = v.n, .at_once = STRANDS_AT_ONCE, .one = run_piece, .mine = &v, .other = &v }, err);
		place = v.v[v.n - 1].end;
	}
	free(v.v);
	return ret;
}

/* One who makes steps in another's name makes them all. */
static uint32_t *strands_of(const struct plan *plan)
{
	uint32_t *strand;

	if (plan->nas || plan->nstrands <= STRANDS_AT_ONCE)
		return NULL;
	strand = xzalloc(program_steps(plan->controller) * sizeof(*strand));
	for (size_t k = 0; k < plan->nstrands; k++)
		for (uint32_t i = plan->strands[k].from; i < plan->strands[k].to; i++)
			strand[i] = (uint32_t)k + 1;
	return strand;
}

/* All pidfds of one dead process: one that lives no longer than it takes to open them. */
static int make_dead(const struct plan *plan, struct slots *slots, uint32_t number, struct err *err)
{
	long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
	int ret = 0;

	if (!pid)
		_exit(0);
	if (pid < 0)
		return err_sys(err, "a process for a pidfd");
	for (uint32_t i = 0; !ret && i < plan->nslots; i++) {
		const struct plan_bind *b = &plan->binds[i];
		int fd;

		if (b->source != SLOT_DEAD || b->dead != number)
			continue;
		fd = (int)syscall(SYS_pidfd_open, pid, (unsigned)b->fd);
		ret = fd < 0 ? err_sys(err, "pidfd_open") :
			       take_slot(slots, i, plan->slot_names[i], fd, false, err);
	}
	while (waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return ret;
}

/* Descriptors that no step makes; and which step makes the others. */
static int fill_slots(struct here *h, struct err *err)
{
	struct plan *plan = h->plan;
	struct slots *slots = h->slots;
	int ret;

	for (uint32_t i = 0; i < plan->nslots; i++) {
		const struct plan_bind *b = &plan->binds[i];

		if (b->source == SLOT_PTY) {
			int fd = pty_open(b->path, (uint32_t)b->fd, (int)b->off, err);

			ret = fd < 0 ? fd : take_slot(slots, i, plan->slot_names[i], fd, false, err);
			if (ret)
				return ret;
			fill_places(h, i);
			continue;
		}
		if (b->source == SLOT_FD) {
			ret = take_slot(slots, i, plan->slot_names[i], b->fd, true, err);
			if (ret)
				return ret;
			fill_places(h, i);
			continue;
		}
		if (b->source == SLOT_DEAD) {
			ret = slots->fd[i] < 0 ? make_dead(plan, slots, b->dead, err) : 0;
			if (ret)
				return ret;
			fill_places(h, i);
			continue;
		}
		h->next[i] = h->first[b->step.i];
		h->first[b->step.i] = i + 1;
	}
	return 0;
}

int controller_run(struct plan *plan, const struct log *log, struct slots *slots, struct err *err)
{
	cleanup_free const struct plan_identity **who = NULL;
	cleanup_free uint32_t *first = NULL, *next = NULL, *place = NULL, *also = NULL, *strand = NULL;
	struct program *p = plan->controller;
	struct here h = { .plan = plan, .slots = slots, .log = log, .faults = fault_wanted() };
	struct below below = { 0 };
	size_t len;
	int ret;

	slots->n = plan->nslots;
	slots->fd = xreallocarray(NULL, plan->nslots + 1, sizeof(*slots->fd));
	for (size_t i = 0; i < slots->n; i++)
		slots->fd[i] = -1;
	ret = choose_range(plan, slots, err);
	if (ret)
		return ret;
	/* Stand-ins see what we see. */
	h.bytes = mmap(NULL, program_size(p) + 16, PROT_READ | PROT_WRITE, (plan->nas ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
	if (h.bytes == MAP_FAILED)
		return err_sys(err, "no memory for the controller's program");
	program_link(p, &(struct program_link){ .base = (uint64_t)(uintptr_t)h.bytes, .epilogue_phase = INT32_MAX },
		     h.bytes);
	h.steps = (struct agent_step *)(h.bytes + sizeof(struct agent_header));
	program_data_bytes(p, &len);
	h.data = h.bytes + program_size(p) - len;
	if (plan->nas)
		h.who = who = xzalloc(program_steps(p) * sizeof(*who));
	for (size_t i = 0; i < plan->nas; i++)
		who[plan->as[i].step.i] = plan->as[i].who;
	h.first = first = xzalloc((program_steps(p) + 1) * sizeof(*first));
	h.next = next = xzalloc((plan->nslots + 1) * sizeof(*next));
	h.place = place = xzalloc((plan->nslots + 1) * sizeof(*place));
	h.also = also = xzalloc((program_slots(p) + 1) * sizeof(*also));
	h.strand = strand = strands_of(plan);
	if (strand)
		grow_table(plan, slots);
	index_places(&h);
	ret = fill_slots(&h, err);
	log_debug(log, "controller: %zu steps, %zu descriptors from %d", program_steps(p), slots->n, slots->low);
	take_below(plan, slots, &below);
	if (!ret)
		ret = run_program(&h, err);
	give_below(&below);
	stand_ins_end(&h.stand_ins);
	munmap(h.bytes, program_size(p) + 16);
	return ret;
}
