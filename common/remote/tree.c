/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing a tree of processes. Who is frozen makes no children, so passes over all of them come to an end: a pass sees
 * whoever was made before its parent stood still, and who was handed to another parent meanwhile. A generation is
 * interrupted as a whole before anybody waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/remote/burial.h"
#include "common/remote/frozen.h"

#define PID_BITS (1u << 22) /* PID_MAX_LIMIT */
#define END_NS 10000000000ull /* that the end of a process may take */
#define MANY_THREADS 64
#define BATCH 1024 /* processes that are frozen side by side: each takes a descriptor, also if it turns out to be dead */

struct freezer {
	struct tree *tree;
	size_t first; /* who is before that was dealt with */
	unsigned timeout_ms;
	uint64_t deadline_ns;
	struct findings *found; /* may be NULL */
	uint64_t *known; /* a bit for each pid: in the tree */
	struct burial burial; /* until all stand still */
};

static bool is_known(const struct freezer *f, pid_t pid)
{
	return f->known[(uint32_t)pid / 64] >> ((uint32_t)pid % 64) & 1;
}

/* Each process of the tree takes two descriptors of ours; the hard limit is there to be used. */
static void allow_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur >= lim.rlim_max)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static struct tree_task *add(struct freezer *f, pid_t pid, size_t parent, int proc_fd)
{
	struct tree *t = f->tree;

	array_reserve(&t->v, &t->cap, t->n, sizeof(*t->v));
	f->known[(uint32_t)pid / 64] |= 1ull << ((uint32_t)pid % 64);
	t->v[t->n] = (struct tree_task){ .pid = pid, .parent = parent, .proc_fd = proc_fd,
					 .fz = { .pid = pid, .mem_fd = -1, .burial = &f->burial, .timeout_ms = f->timeout_ms } };
	return &t->v[t->n++];
}

static void forget(struct freezer *f, struct tree_task *t)
{
	f->known[(uint32_t)t->pid / 64] &= ~(1ull << ((uint32_t)t->pid % 64));
	t->gone = true;
	freeze_end(&t->fz, THAW_RUN);
	close(t->proc_fd);
	t->proc_fd = -1;
}

/* The pid stays known, so that no later pass takes it in again. */
static int give_up(struct freezer *f, struct tree_task *t, int ret, struct err *err)
{
	if (t == f->tree->v || !f->found)
		return ret;
	findings_take(f->found, err);
	t->gone = true;
	freeze_end(&t->fz, THAW_RUN);
	close(t->proc_fd);
	t->proc_fd = -1;
	return 0;
}

/* A process without its first thread: what /proc tells of it comes from another, and what is the leader's own from there. */
static int take_dead_leader(struct tree_task *t, struct err *err)
{
	const struct proc_stat leader = t->stat;
	int ret = freeze_dead_leader(&t->fz, &t->proc_fd, err);

	if (!ret)
		ret = proc_stat(t->proc_fd, "stat", &t->stat, err);
	if (ret)
		return ret;
	t->stat.pid = t->pid;
	memcpy(t->stat.comm, leader.comm, sizeof(leader.comm));
	t->stat.exit_signal = leader.exit_signal;
	t->stat.start_time = leader.start_time;
	return 0;
}

static bool has_ended(const struct proc_stat *st)
{
	return st->state == 'X' || (st->state == 'Z' && st->num_threads <= 1);
}

/*
 * Somebody is being killed: the threads that cannot be seized any more are gone in a moment, unless a core file is being written. Or
 * one of them has called execve(2): for a moment the old leader is all that is there, dead, and then it is another. So who looks dead
 * is looked at twice. 1: there is somebody, who has been seized.
 */
static int await_end(struct freezer *f, struct tree_task *t, struct err *err)
{
	const struct timespec pause = { 0, 1000000 };
	uint64_t until = now_ns() + END_NS;
	bool before = false;

	if (f->deadline_ns)
		until = MIN(until, f->deadline_ns);
	for (;;) {
		bool ended = has_ended(&t->stat);
		struct err why = ERR_INIT;
		int ret;

		if (ended && before)
			return 0;
		before = ended;
		if (now_ns() >= until)
			return err_set(err, ERR_FAILED, ETIMEDOUT, "it is ending, and does not come to its end");
		if (!ended)
			nanosleep(&pause, NULL);
		ret = freeze_seize(&t->fz, t->proc_fd, &why);
		if (ret > 0)
			return 1;
		if (!ret || ret == -ESRCH)
			ret = proc_stat(t->proc_fd, "stat", &t->stat, err);
		else
			*err = why;
		if (ret)
			return ret;
	}
}

/*
 * Nobody new was found in it: all its threads stand still, or it is dead. /proc/PID was opened before it was seized and
 * dies with it, so a pid that was used anew in between shows here, and a child that was handed to somebody else too. 1: somebody is
 * new after all.
 */
static int conclude(struct freezer *f, struct tree_task *t, struct err *err)
{
	struct err why = ERR_INIT;
	int ret = proc_stat(t->proc_fd, "stat", &t->stat, &why);

	if (!ret && !t->fz.nthreads)
		ret = await_end(f, t, &why);
	if (ret > 0)
		return ret;
	if (ret == -ESRCH && t->parent != (size_t)(t - f->tree->v)) {
		forget(f, t);
		return 0;
	}
	if (ret) {
		*err = why;
		return ret;
	}
	if (t->parent != (size_t)(t - f->tree->v)) {
		if (t->stat.ppid != f->tree->v[t->parent].pid) {
			forget(f, t);
			return 0;
		}
		if (!t->fz.nthreads && t->stat.state == 'Z' && t->stat.num_threads <= 1) {
			t->zombie = true;
			close(t->proc_fd);
			t->proc_fd = -1;
			return 0;
		}
		if (!t->fz.nthreads && t->stat.state == 'X') {
			forget(f, t);
			return 0;
		}
	}
	if (!t->fz.nthreads)
		return err_set(err, ERR_FAILED, ESRCH, "it has ended");
	t->fz.start_time = t->stat.start_time;
	if (t->fz.threads[0].tid != t->pid)
		ret = take_dead_leader(t, err);
	t->frozen = !ret;
	return ret ? ret : freeze_memory(&t->fz, t->proc_fd, err);
}

static const char *name_of(struct tree_task *t)
{
	struct err ignore = ERR_INIT;

	if (!t->stat.comm[0] && t->proc_fd >= 0)
		proc_stat(t->proc_fd, "stat", &t->stat, &ignore);
	return t->stat.comm;
}

static bool is_settled(const struct tree_task *t)
{
	return t->frozen || t->zombie || t->gone;
}

/*
 * Whether there are as many threads as stand still already: then nobody is left who could make another, and the list of them need
 * not be read again. Whoever stands still goes only when the whole process is killed, or another thread calls execve(2).
 */
static bool stand_all(const struct tree_task *t)
{
	struct err ignore = ERR_INIT;
	struct proc_stat st;

	return t->fz.nthreads && t->fz.settled == t->fz.nthreads && !proc_stat(t->proc_fd, "stat", &st, &ignore) &&
	       st.num_threads == (int)t->fz.nthreads && freeze_stands(&t->fz);
}

/* Freezes those that were added, all of them side by side. */
static int take_in(struct freezer *f, struct err *err)
{
	struct tree *t = f->tree;
	size_t first = f->first;

	for (int round = 0; round < FREEZE_PASSES; round++) {
		bool again = false;
		int ret = 0;

		for (size_t i = first; i < t->n; i++) {
			struct tree_task *task = &t->v[i];

			if (is_settled(task))
				continue;
			ret = stand_all(task) ? 0 : freeze_seize(&task->fz, task->proc_fd, err);
			if (!ret || ret == -ESRCH)
				ret = conclude(f, task, err);
			if (ret > 0)
				again = true;
			if (ret < 0)
				ret = give_up(f, task, err_task(err, task->pid, name_of(task), ret), err);
			if (ret < 0)
				return ret;
		}
		if (!again) {
			f->first = t->n;
			return 0;
		}
		for (size_t i = first; i < t->n; i++) {
			struct tree_task *task = &t->v[i];

			if (is_settled(task))
				continue;
			ret = freeze_settle(&task->fz, task->proc_fd, f->deadline_ns, err);
			if (ret)
				ret = give_up(f, task, err_task(err, task->pid, name_of(task), ret), err);
			if (ret)
				return ret;
		}
	}
	return err_set(err, ERR_FAILED, 0, "the tree makes new threads faster than they can be stopped");
}

static int add_child(struct freezer *f, size_t parent, pid_t pid, struct err *err)
{
	struct err ignore = ERR_INIT;
	int fd;

	if (pid <= 0 || (uint32_t)pid >= PID_BITS || is_known(f, pid))
		return 0;
	if (pid == getpid())
		return err_hint(err, err_refuse(err, "the dumper itself is in the tree, below pid %d", f->tree->v[parent].pid),
				"run cr-dump from outside of it");
	if (proc_open(pid, &fd, &ignore)) {
		if (ignore.errnum == ESRCH)
			return 0;
		*err = ignore;
		return -ignore.errnum;
	}
	add(f, pid, parent, fd);
	return f->tree->n - f->first < BATCH ? 0 : take_in(f, err);
}

/* Children belong to the thread that made them, until it ends. */
static int find_children(struct freezer *f, size_t i, struct err *err)
{
	for (size_t k = 0; k < f->tree->v[i].fz.nthreads; k++) {
		cleanup_arena struct arena *arena = arena_new();
		const struct tree_task *t = &f->tree->v[i];
		char path[64];
		int *pids = NULL, ret;
		size_t n = 0;

		snprintf(path, sizeof(path), "task/%d/children", t->fz.threads[k].tid);
		ret = proc_numbers(t->proc_fd, path, arena, &pids, &n, err);
		for (size_t c = 0; c < n && !ret; c++)
			ret = add_child(f, i, pids[c], err);
		if (ret)
			return err_task(err, f->tree->v[i].pid, f->tree->v[i].stat.comm, ret);
	}
	return 0;
}

/* Marks the tasks that have children who are not in the tree. */
static int find_parents(const struct freezer *f, bool *wanted, struct err *err)
{
	cleanup_arena struct arena *arena = arena_new();
	size_t n = 0, at = 0;
	int *pids = NULL, ret = proc_numbers(AT_FDCWD, "/proc", arena, &pids, &n, err);

	for (size_t i = 0; i < n && !ret; i++) {
		struct err ignore = ERR_INIT;
		struct proc_stat st;
		char path[64];

		if ((uint32_t)pids[i] < PID_BITS && is_known(f, pids[i]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pids[i]);
		if (proc_stat(AT_FDCWD, path, &st, &ignore) || st.ppid <= 0 || (uint32_t)st.ppid >= PID_BITS ||
		    !is_known(f, st.ppid))
			continue;
		for (size_t k = 0; k < f->tree->n; k++, at++) {
			at = at < f->tree->n ? at : 0;
			if (f->tree->v[at].pid == st.ppid)
				break;
		}
		wanted[at] = true;
	}
	return ret;
}

/*
 * Each thread has a file of its children, and most threads have none. Where the others on this machine are fewer than those threads,
 * asking the others for their parents is less work. Who has children that are not known is then asked for them, because only his
 * files tell their order.
 */
static bool others_are_few(const struct freezer *f, size_t from, size_t to)
{
	size_t all = 0, these = 0;
	struct sysinfo s;

	for (size_t i = 0; i < f->tree->n; i++) {
		all += f->tree->v[i].fz.nthreads;
		these += i >= from && i < to ? f->tree->v[i].fz.nthreads : 0;
	}
	return these >= MANY_THREADS && !sysinfo(&s) && s.procs < all + these / 2;
}

/* The children of these tasks. */
static int find_generation(struct freezer *f, size_t from, size_t to, struct err *err)
{
	cleanup_free bool *wanted = NULL;
	int ret = 0;

	if (others_are_few(f, from, to)) {
		wanted = xzalloc(f->tree->n * sizeof(*wanted));
		ret = find_parents(f, wanted, err);
	}
	for (size_t i = from; i < to && !ret; i++)
		if (!wanted || wanted[i])
			ret = find_children(f, i, err);
	return ret;
}

static int freeze_descendants(struct freezer *f, struct err *err)
{
	struct tree *t = f->tree;

	for (int round = 0; round < FREEZE_PASSES; round++) {
		size_t before = t->n;

		for (size_t from = 0, to = t->n; from < to; from = to, to = t->n) {
			int ret = find_generation(f, from, to, err);

			if (!ret)
				ret = take_in(f, err);
			if (ret)
				return ret;
		}
		if (t->n == before)
			return 0;
		if (f->deadline_ns && now_ns() >= f->deadline_ns)
			break;
	}
	return err_hint(err, err_set(err, ERR_FAILED, ETIMEDOUT, "the tree makes new processes faster than they can be stopped"),
			"try a longer --timeout");
}

/* Parents first, each with all below it before the next one; without those that are gone. */
static void put_in_order(struct tree *t)
{
	cleanup_free size_t *first = xzalloc(t->n * sizeof(*first)), *next = xzalloc(t->n * sizeof(*next));
	cleanup_free size_t *place = xzalloc(t->n * sizeof(*place));
	struct tree_task *v = xzalloc(t->n * sizeof(*v));
	size_t n = 0;

	/* 0 ends a list: the root is nobody's child. */
	for (size_t i = t->n; i-- > 1;) {
		if (t->v[i].gone)
			continue;
		next[i] = first[t->v[i].parent];
		first[t->v[i].parent] = i;
	}
	for (size_t i = 0;;) {
		place[i] = n;
		v[n] = t->v[i];
		v[n++].parent = place[t->v[i].parent];
		if (first[i]) {
			i = first[i];
			continue;
		}
		while (i && !next[i])
			i = t->v[i].parent;
		if (!i)
			break;
		i = next[i];
	}
	free(t->v);
	*t = (struct tree){ v, n, t->n };
}

int freeze_tree(pid_t root, unsigned timeout_ms, const struct log *log, struct findings *found, struct tree *tree,
		struct err *err)
{
	struct freezer f = { .tree = tree, .found = found, .timeout_ms = timeout_ms,
			     .deadline_ns = timeout_ms ? now_ns() + timeout_ms * 1000000ull : 0 };
	cleanup_free uint64_t *known = NULL;
	struct proc_stat st = { .comm = "" };
	int fd, ret;

	*tree = (struct tree){ 0 };
	ret = proc_open(root, &fd, err);
	if (ret)
		return ret;
	ret = proc_stat(fd, "stat", &st, err);
	if (!ret)
		ret = freeze_check(root, fd, &st, err);
	if (ret) {
		close(fd);
		return err_task(err, root, st.comm, ret);
	}
	f.known = known = xzalloc(PID_BITS / 64 * sizeof(*known));
	allow_descriptors();
	freeze_wait_begin();
	add(&f, root, 0, fd);
	ret = take_in(&f, err);
	if (!ret)
		ret = freeze_descendants(&f, err);
	burial_end(&f.burial);
	for (size_t i = 0; i < tree->n; i++)
		tree->v[i].fz.burial = NULL;
	if (ret) {
		tree_free(tree, THAW_RUN);
		return ret;
	}
	put_in_order(tree);
	log_info(log, "pid %d (%s): %zu processes frozen", root, st.comm, tree->n);
	return 0;
}

void tree_free(struct tree *tree, enum thaw how)
{
	cleanup_free struct freeze **all = xzalloc((tree->n + 1) * sizeof(*all));

	for (size_t i = 0; i < tree->n; i++) {
		all[i] = &tree->v[i].fz;
		if (tree->v[i].proc_fd >= 0)
			close(tree->v[i].proc_fd);
	}
	freeze_end_all(all, tree->n, how);
	free(tree->v);
	*tree = (struct tree){ 0 };
}
